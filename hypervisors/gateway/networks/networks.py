"""A hypervisor's virtual networks, https://libvirt.org/html/libvirt-libvirt-network.html."""

from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.definitions import if_there, xml_of_definition
from hypervisors.gateway.networks.leases import read_leases
from hypervisors.libvirtxml.network_changes import pending_parts
from hypervisors.libvirtxml.network_kinds import PASSING_PREFIX
from hypervisors.libvirtxml.networks import ParsedNetwork, parse_network


@dataclass(frozen=True, kw_only=True)
class NetworkFacts:
    """One virtual network."""

    uuid: UUID
    name: str
    active: bool
    autostart: bool
    forward_mode: str
    bridge: str
    addresses: tuple[str, ...]
    # What its DHCP server gave: addresses by MAC.
    leases: dict[str, list[str]] = field(default_factory=dict)
    persistent: bool = True
    kind: str = ""
    # What it is defined by, and what it runs by; "" where there is no such.
    definition_xml: str = ""
    live_xml: str = ""
    pending: tuple[str, ...] = ()
    connection_count: int = 0


def list_networks(connection: Connection) -> list[NetworkFacts]:
    """All networks. Raises: errors.HypervisorError."""
    with translated("list the networks"):
        # One that vanished between two calls is none.
        found = [if_there(partial(_facts, network)) for network in connection.raw.listAllNetworks()]
        return [facts for facts in found if facts is not None and not facts.name.startswith(PASSING_PREFIX)]


def read_network(connection: Connection, uuid: UUID) -> NetworkFacts | None:
    """One of them; None when it is not there. Raises: errors.HypervisorError."""
    with translated("read the network"):
        return if_there(lambda: _facts(connection.raw.networkLookupByUUID(uuid.bytes)))


def _facts(network: "libvirt.virNetwork") -> NetworkFacts:
    """Raises: libvirt.libvirtError."""
    xml = network.XMLDesc(0)
    parsed = _parsed(xml)
    is_active, persistent = bool(network.isActive()), bool(network.isPersistent())
    definition_xml = definition_of(network) if persistent else ""
    live_xml = xml if is_active else ""
    return NetworkFacts(
        uuid=UUID(bytes=network.UUID()),
        name=network.name(),
        active=is_active,
        autostart=bool(network.autostart()),
        forward_mode=parsed.forward_mode,
        bridge=parsed.bridge,
        addresses=parsed.addresses,
        leases=read_leases(network) if is_active else {},
        persistent=persistent,
        kind=parsed.kind,
        definition_xml=definition_xml,
        live_xml=live_xml,
        pending=_pending(live_xml, definition_xml),
        connection_count=parsed.connection_count if is_active else 0,
    )


def definition_of(network: "libvirt.virNetwork") -> str:
    """Raises: libvirt.libvirtError."""
    return xml_of_definition(network, libvirt.VIR_NETWORK_XML_INACTIVE)


def _pending(live_xml: str, definition_xml: str) -> tuple[str, ...]:
    if not live_xml or not definition_xml:
        return ()
    try:
        return pending_parts(live_xml, definition_xml)
    except ValueError:
        return ()


def _parsed(xml: str) -> ParsedNetwork:
    try:
        return parse_network(xml)
    except ValueError:
        return ParsedNetwork()
