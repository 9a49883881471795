"""A virtual network's XML as frozen values, https://libvirt.org/formatnetwork.html."""

import ipaddress
from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_at, number, parse_document
from hypervisors.libvirtxml.network_reader import kind_of


@dataclass(frozen=True, kw_only=True)
class ParsedNetwork:
    """What calls do not tell."""

    forward_mode: str = "isolated"
    # One of network_kinds.NETWORK_KINDS, or a mode that is none of them.
    kind: str = "isolated"
    bridge: str = ""
    addresses: tuple[str, ...] = ()  # "192.168.122.1/24"
    # Cards that are plugged in now; 0 of one that is stopped.
    connection_count: int = 0


def parse_network(xml: str) -> ParsedNetwork:
    """Raises: ValueError when it is not well-formed."""
    root = parse_document(xml)
    forward = root.find("forward")
    return ParsedNetwork(
        forward_mode="isolated" if forward is None else forward.get("mode", "nat"),
        kind=kind_of(root),
        connection_count=number(root.get("connections", "")) or 0,
        bridge=attribute_at(root, "bridge", "name"),
        addresses=tuple(filter(None, (_address(ip) for ip in root.iterfind("ip")))),
    )


def _address(ip: etree._Element) -> str:
    address, prefix, netmask = ip.get("address", ""), ip.get("prefix", ""), ip.get("netmask", "")
    if not address:
        return ""
    try:
        return ipaddress.ip_interface(f"{address}/{prefix or netmask}" if prefix or netmask else address).with_prefixlen
    except ValueError:
        return address
