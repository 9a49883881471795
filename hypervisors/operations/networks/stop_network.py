"""Stop a network. Machines that run with a card on it go on without a link."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.networks.network_actions import stop_network
from hypervisors.models import Network
from hypervisors.operations.networks.network_operations import SingleNetworkCall, is_network_active


class StopNetworkOperation(SingleNetworkCall):
    kind = "stop_network"
    label = gettext_lazy("Stop network")
    icon = "player-stop"
    done = gettext_lazy("It is stopped.")
    question = gettext_lazy("Stop the network “%s”?")
    warning = gettext_lazy("No machine can be started on it until it is started again.")

    def why_not_in_this_state(self, network: Network) -> str:
        return "" if network.active else _("It is not started.")

    def act(self, connection: Connection, uuid: UUID, parameters: Any) -> None:
        stop_network(connection, uuid)

    def is_done(self, connection: Connection, uuid: UUID, parameters: Any) -> bool:
        return not is_network_active(connection, uuid)
