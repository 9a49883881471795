"""Add a fixed address, a name or a port group to a network; one that runs has it at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.networks.networks import read_network
from hypervisors.libvirtxml.network_builder import edit_network
from hypervisors.libvirtxml.network_reader import read_network_spec
from hypervisors.libvirtxml.network_specs import NetworkSpec
from hypervisors.models import Network
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.networks.edit_network import EditNetwork
from hypervisors.operations.networks.network_definitions import change_network, outcome_text
from hypervisors.operations.networks.network_entries import with_entry
from hypervisors.operations.networks.network_operations import NetworkOperation


@dataclass(frozen=True, kw_only=True)
class AddNetworkEntryParameters:
    """`section` is one of network_entries.ENTRY_KINDS; `values` what the form said."""

    section: str
    values: dict[str, str] = field(default_factory=dict)


class NetworkEntryOperation(NetworkOperation):
    """Changes the definition as it is when it is done; then the network that runs."""

    def why_not_in_this_state(self, network: Network) -> str:
        return EditNetwork().why_not_in_this_state(network)

    def changed(self, spec: NetworkSpec, parameters: Any) -> NetworkSpec:
        """Raises: errors.NotPossible."""
        raise NotImplementedError

    def run_on(self, run: Run, network: Network) -> Result:
        uuid, parameters = network.uuid, run.parameters
        problem: HypervisorError | None = None

        def change(now: str) -> str:
            try:
                return edit_network(now, self.changed(read_network_spec(now), parameters))
            except NotPossible:
                if run.adopted:
                    # A worker before this one did it.
                    return now
                raise

        try:
            run.ask(lambda connection: change_network(connection, uuid, change), seconds=self.call_seconds)
        except HypervisorError as error:
            problem = error
        facts = run.ask(lambda connection: read_network(connection, uuid))
        is_so = facts is not None and self._is_so(facts.definition_xml, parameters)
        return run.judge(lambda _connection: is_so, done=outcome_text(facts), problem=problem)

    def _is_so(self, xml: str, parameters: Any) -> bool:
        """Doing it again would be refused, or change nothing."""
        try:
            spec = read_network_spec(xml)
            return self.changed(spec, parameters) == spec
        except NotPossible:
            return True
        except ValueError:
            return False


class AddNetworkEntry(NetworkEntryOperation):
    kind = "add_network_entry"
    label = gettext_lazy("Add to network")
    icon = "plus"
    Parameters: ClassVar[type[Any]] = AddNetworkEntryParameters

    def check(self, network: Network, given: Mapping[str, Any]) -> AddNetworkEntryParameters:
        values = {str(name): str(value)[:1000] for name, value in dict(given.get("values") or {}).items()}
        parameters = AddNetworkEntryParameters(section=str(given.get("section") or ""), values=values)
        try:
            self.changed(read_network_spec(network.definition_xml), parameters)
        except ValueError as error:
            raise NotPossible(str(error)) from error
        return parameters

    def changed(self, spec: NetworkSpec, parameters: AddNetworkEntryParameters) -> NetworkSpec:
        return with_entry(spec, parameters.section, parameters.values)
