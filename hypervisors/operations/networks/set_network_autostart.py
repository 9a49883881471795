"""Whether a network starts with its host."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.networks.network_actions import set_network_autostart
from hypervisors.gateway.networks.networks import read_network
from hypervisors.models import Network
from hypervisors.operations.networks.network_operations import SingleNetworkCall


@dataclass(frozen=True, kw_only=True)
class NetworkAutostartParameters:
    autostart: bool


class SetNetworkAutostart(SingleNetworkCall):
    kind = "set_network_autostart"
    label = gettext_lazy("Change autostart of network")
    icon = "power"
    done = gettext_lazy("Done.")
    Parameters: ClassVar[type[Any]] = NetworkAutostartParameters

    def word(self, network: Network) -> str:
        return _("Do not start with the host") if network.autostart else _("Start with the host")

    def click_values(self, network: Network) -> dict[str, str]:
        return {"autostart": "" if network.autostart else "1"}

    def check(self, network: Network, given: Mapping[str, Any]) -> NetworkAutostartParameters:
        return NetworkAutostartParameters(autostart=bool(given.get("autostart")))

    def why_not_in_this_state(self, network: Network) -> str:
        if network.persistent:
            return ""
        return _("It was started without being defined: libvirt forgets it when it is stopped.")

    def act(self, connection: Connection, uuid: UUID, parameters: NetworkAutostartParameters) -> None:
        set_network_autostart(connection, uuid, autostart=parameters.autostart)

    def is_done(self, connection: Connection, uuid: UUID, parameters: NetworkAutostartParameters) -> bool:
        facts = read_network(connection, uuid)
        return facts is not None and facts.autostart == parameters.autostart
