"""Which addresses a network's DHCP server gave to which cards.

https://libvirt.org/html/libvirt-libvirt-network.html#virNetworkGetDHCPLeases: dnsmasq's own list, which the host reads
from a file: nothing is asked of a guest, and what a guest calls itself is not taken over.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any

import libvirt

# A guest may ask for one address after the other.
_MOST_PER_CARD = 4
_MOST_CARDS = 1000


def read_leases(network: "libvirt.virNetwork") -> dict[str, list[str]]:
    """Addresses by MAC, both in lower case and order; none where the network has no server, or cannot tell."""
    try:
        leases = network.DHCPLeases()
    except libvirt.libvirtError:
        # Of what is off, of other drivers, of what vanished. A connection that is lost is seen by the next call.
        return {}
    return addresses_by_mac(leases)


def addresses_by_mac(leases: list[Mapping[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for lease in leases:
        mac, address = str(lease.get("mac") or "").lower(), _address(lease.get("ipaddr"))
        if mac and address and (mac in found or len(found) < _MOST_CARDS):
            found.setdefault(mac, []).append(address)
    return {mac: sorted(set(addresses))[:_MOST_PER_CARD] for mac, addresses in sorted(found.items())}


def _address(text: Any) -> str:
    """ "" for what is none."""
    try:
        return str(ipaddress.ip_address(str(text)))
    except ValueError:
        return ""
