"""Changing a network's definition, and telling one that runs what libvirt can tell it; the rest waits.

What guests have is left alone: no card is unplugged by it.
"""

from uuid import UUID

from django.utils.translation import gettext as _

from hypervisors.errors import OperationRefused
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.networks.network_actions import NETWORKS, update_network
from hypervisors.gateway.networks.networks import NetworkFacts, read_network
from hypervisors.libvirtxml.network_changes import live_updates
from hypervisors.operations.definitions.editing import Change, change_definition
from hypervisors.operations.networks.network_operations import NetworkOperation


def change_network(connection: Connection, uuid: UUID, change: Change) -> tuple[str, ...]:
    """What could not be told to the one that runs, in libvirt's words. Raises: errors.HypervisorError, and Change's."""
    change_definition(NETWORKS, connection, uuid, change, gone=NetworkOperation.gone)
    return tell_running(connection, uuid)


def tell_running(connection: Connection, uuid: UUID) -> tuple[str, ...]:
    """Bring the network that runs as near to its definition as libvirt can; what it refused. Does no harm twice."""
    facts = read_network(connection, uuid)
    if facts is None or not facts.live_xml or not facts.definition_xml:
        return ()
    refused = []
    for update in live_updates(facts.live_xml, facts.definition_xml):
        try:
            update_network(connection, uuid, update)
        except OperationRefused as error:
            refused.append(str(error))
    return tuple(refused)


def outcome_text(facts: NetworkFacts | None) -> str:
    """What is so now, of a network that was changed."""
    if facts is None or not facts.active:
        return _("It is changed.")
    if facts.pending:
        return _(
            "It is changed; not all of that can be told to a network that runs: the rest applies when it is restarted."
        )
    return _("It is changed, and applies already.")
