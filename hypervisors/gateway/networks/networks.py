"""A hypervisor's virtual networks, https://libvirt.org/html/libvirt-libvirt-network.html."""

from dataclasses import dataclass, field
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.failures import is_missing
from hypervisors.gateway.networks.leases import read_leases
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


def list_networks(connection: Connection) -> list[NetworkFacts]:
    """All networks. Raises: errors.HypervisorError."""
    with translated("list the networks"):
        return [facts for network in connection.raw.listAllNetworks() if (facts := _facts(network)) is not None]


def _facts(network: "libvirt.virNetwork") -> NetworkFacts | None:
    """None when it vanished between two calls."""
    try:
        parsed = _parsed(network.XMLDesc(0))
        is_active = bool(network.isActive())
        return NetworkFacts(
            uuid=UUID(bytes=network.UUID()),
            name=network.name(),
            active=is_active,
            autostart=bool(network.autostart()),
            forward_mode=parsed.forward_mode,
            bridge=parsed.bridge,
            addresses=parsed.addresses,
            leases=read_leases(network) if is_active else {},
        )
    except libvirt.libvirtError as error:
        if is_missing(error):
            return None
        raise


def _parsed(xml: str) -> ParsedNetwork:
    try:
        return parse_network(xml)
    except ValueError:
        return ParsedNetwork()
