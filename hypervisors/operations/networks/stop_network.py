"""Stop a network. Machines that run with a card on it go on without a link."""

from django.utils.translation import gettext_lazy

from hypervisors.models import Network
from hypervisors.operations.definitions.calls import StopDefined
from hypervisors.operations.networks.network_operations import NetworkOperation


class StopNetworkOperation(StopDefined[Network], NetworkOperation):
    kind = "stop_network"
    label = gettext_lazy("Stop network")
    question = gettext_lazy("Stop the network “%s”?")
    warning = gettext_lazy("No machine can be started on it until it is started again.")
