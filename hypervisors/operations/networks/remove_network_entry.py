"""Remove a fixed address, a name or a port group from a network; one that runs loses it at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.network_reader import read_network_spec
from hypervisors.libvirtxml.network_specs import NetworkSpec
from hypervisors.models import Network
from hypervisors.operations.networks.add_network_entry import NetworkEntryOperation
from hypervisors.operations.networks.network_entries import without_entry


@dataclass(frozen=True, kw_only=True)
class RemoveNetworkEntryParameters:
    """`key` is the address, for a name all that it says, a port group's name."""

    section: str
    key: str


class RemoveNetworkEntry(NetworkEntryOperation):
    kind = "remove_network_entry"
    label = gettext_lazy("Remove from network")
    icon = "minus"
    Parameters: ClassVar[type[Any]] = RemoveNetworkEntryParameters

    def check(self, network: Network, given: Mapping[str, Any]) -> RemoveNetworkEntryParameters:
        parameters = RemoveNetworkEntryParameters(
            section=str(given.get("section") or ""), key=str(given.get("key") or "")[:1000]
        )
        try:
            self.changed(read_network_spec(network.definition_xml), parameters)
        except ValueError as error:
            raise NotPossible(str(error)) from error
        return parameters

    def changed(self, spec: NetworkSpec, parameters: RemoveNetworkEntryParameters) -> NetworkSpec:
        return without_entry(spec, parameters.section, parameters.key)
