"""Change a network's definition, guarded by the digest of what the person saw, without unplugging anybody."""

from collections.abc import Sequence
from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.networks.networks import NetworkFacts
from hypervisors.libvirtxml.network_host_files import reaches_into_host
from hypervisors.libvirtxml.network_specs import NetworkSpec
from hypervisors.models import Network
from hypervisors.operations.definitions.editing import Change, EditDefinition, EditParameters
from hypervisors.operations.networks.network_checks import why_no_device, why_taken
from hypervisors.operations.networks.network_definitions import change_network, outcome_text
from hypervisors.operations.networks.network_operations import NetworkOperation
from hypervisors.privileges import Privilege


class EditNetwork(EditDefinition[Network], NetworkOperation):
    kind = "edit_network"
    label = gettext_lazy("Edit network")
    identity = ("name", "uuid")
    identity_stays = gettext_lazy("Its name and its UUID stay: to have others, create another network.")

    def also_needs(
        self, network: Network, parameters: EditParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        """Options of dnsmasq are programs that its root runs: who gives new ones manages the host."""
        reaches = reaches_into_host(parameters.xml, before=network.definition_xml)
        return ((Privilege.HYPERVISOR_MANAGE, network.hypervisor),) if reaches else ()

    def check_change(self, network: Network, new: NetworkSpec, old: NetworkSpec) -> None:
        reason = why_taken(network.hypervisor, new, but=network)
        if not reason and (new.devices, new.bridge) != (old.devices, old.bridge):
            reason = why_no_device(network.hypervisor, new)
        if reason:
            raise NotPossible(reason)

    def change(self, connection: Connection, uuid: UUID, change: Change) -> None:
        change_network(connection, uuid, change)

    def done_text(self, facts: NetworkFacts | None) -> str:
        return outcome_text(facts)
