"""What is done to a network itself, https://libvirt.org/html/libvirt-libvirt-network.html.

When a network is stopped, guests' cards are plugged into nothing, until the guests are started anew.
"""

from uuid import UUID

import libvirt

from hypervisors import errors
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.definitions import Definitions
from hypervisors.gateway.failure_rules import rule
from hypervisors.gateway.networks.networks import definition_of, read_network
from hypervisors.libvirtxml.network_changes import LiveUpdate

_COMMANDS = {
    "add": libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
    "modify": libvirt.VIR_NETWORK_UPDATE_COMMAND_MODIFY,
    "delete": libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE,
}
_SECTIONS = {
    "dhcp_host": libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST,
    "dhcp_range": libvirt.VIR_NETWORK_SECTION_IP_DHCP_RANGE,
    "dns_host": libvirt.VIR_NETWORK_SECTION_DNS_HOST,
    "port_group": libvirt.VIR_NETWORK_SECTION_PORTGROUP,
    "forward_interface": libvirt.VIR_NETWORK_SECTION_FORWARD_INTERFACE,
}


def update_network(connection: Connection, uuid: UUID, update: LiveUpdate) -> None:
    """Change one that runs, and not its definition. Raises: errors.OperationRefused where it cannot be, and others."""
    with NETWORKS.translated("change the network while it runs"):
        command, section = _COMMANDS[update.command], _SECTIONS[update.section]
        flags = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE
        NETWORKS.get(connection, uuid).update(command, section, update.parent_index, update.xml, flags)


# The first match wins.
_RULES = [
    rule(
        "already exists with uuid|already defined|is already defined with uuid",
        errors.NameTaken,
        "A network of this host has that name already.",
    ),
    rule(
        "already in use by interface",
        errors.NetworkConflict,
        "The host is in such a network already: choose other addresses.",
    ),
    rule(
        "bridge name .* already in use",
        errors.NetworkConflict,
        "Choose another name for the bridge, or leave it to libvirt.",
    ),
    rule(
        "no usable vf",
        errors.DeviceMissing,
        "The interface has no virtual functions: switch SR-IOV on for it on the host (sriov_numvfs).",
    ),
    rule("qdisc kind is unknown", errors.OperationRefused, "The host's kernel cannot limit traffic: sch_htb, sch_sfq."),
    rule("failed to find .*dnsmasq|dnsmasq.*no such file", errors.OperationRefused, "Install dnsmasq-base there."),
    rule(
        "no such device|cannot get interface|unable to get index for interface|not a bridge",
        errors.DeviceMissing,
        "Check its name on that host.",
    ),
    rule("connections? in use|in use by .* domains?", errors.OperationRefused, "Guests are plugged into it."),
]

NETWORKS = Definitions(
    noun="network",
    by_uuid=libvirt.virConnect.networkLookupByUUID,
    by_name=libvirt.virConnect.networkLookupByName,
    define_xml=libvirt.virConnect.networkDefineXML,
    definition_of=definition_of,
    read=read_network,
    rules=_RULES,
)
