"""What is done to a network itself, https://libvirt.org/html/libvirt-libvirt-network.html.

When a network is stopped, guests' cards are plugged into nothing, until the guests are started anew.
"""

from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

import libvirt

from hypervisors import errors
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.failure_rules import rule, translated_by
from hypervisors.gateway.failures import is_missing
from hypervisors.gateway.networks.networks import definition_of
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


def find_network_uuid(connection: Connection, name: str) -> UUID | None:
    """By its name; None when there is none. Raises: errors.HypervisorError."""
    with _translated(f"look for network {name}"):
        try:
            return UUID(bytes=connection.raw.networkLookupByName(name).UUID())
        except libvirt.libvirtError as error:
            if is_missing(error):
                return None
            raise


def read_network_definition(connection: Connection, uuid: UUID) -> str | None:
    """The XML that it is defined by; None when there is no such network. Raises: errors.HypervisorError."""
    with _translated("read the network's definition"):
        network = _find(connection, uuid)
        return None if network is None else definition_of(network)


def define_network(connection: Connection, xml: str) -> UUID:
    """Define it, or change the definition of the one that has its UUID; one that runs goes on as it is.

    Raises: errors.NameTaken, and others.
    """
    with _translated("define the network"):
        return UUID(bytes=connection.raw.networkDefineXML(xml).UUID())


def undefine_network(connection: Connection, uuid: UUID) -> None:
    """One that is not there is gone already: no error. One that runs stays until it is stopped."""
    with _translated("remove the network's definition"):
        network = _find(connection, uuid)
        if network is not None and network.isPersistent():
            network.undefine()


def start_network(connection: Connection, uuid: UUID) -> None:
    """One that is started already stays so: no error. Raises: errors.NetworkConflict, DeviceMissing, and others."""
    with _translated("start the network"):
        network = _get(connection, uuid)
        if not network.isActive():
            network.create()


def stop_network(connection: Connection, uuid: UUID) -> None:
    """One that is stopped, or gone, is no error."""
    with _translated("stop the network"):
        network = _find(connection, uuid)
        if network is not None and network.isActive():
            network.destroy()


def set_network_autostart(connection: Connection, uuid: UUID, *, autostart: bool) -> None:
    with _translated("change whether the network starts with its host"):
        _get(connection, uuid).setAutostart(int(autostart))


def update_network(connection: Connection, uuid: UUID, update: LiveUpdate) -> None:
    """Change one that runs, and not its definition. Raises: errors.OperationRefused where it cannot be, and others."""
    with _translated("change the network while it runs"):
        command, section = _COMMANDS[update.command], _SECTIONS[update.section]
        flags = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE
        _get(connection, uuid).update(command, section, update.parent_index, update.xml, flags)


def _get(connection: Connection, uuid: UUID) -> Any:
    return connection.raw.networkLookupByUUID(uuid.bytes)


def _find(connection: Connection, uuid: UUID) -> Any:
    try:
        return _get(connection, uuid)
    except libvirt.libvirtError as error:
        if is_missing(error):
            return None
        raise


def _translated(what: str) -> AbstractContextManager[None]:
    return translated_by(_RULES, what)


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
