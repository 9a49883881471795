"""Whether a network starts with its host."""

from django.utils.translation import gettext_lazy

from hypervisors.models import Network
from hypervisors.operations.definitions.calls import SetAutostart
from hypervisors.operations.networks.network_operations import NetworkOperation


class SetNetworkAutostart(SetAutostart[Network], NetworkOperation):
    kind = "set_network_autostart"
    label = gettext_lazy("Change autostart of network")
