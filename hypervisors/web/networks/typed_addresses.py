"""What people type into the form of a network, read: addresses, ranges of them, numbers."""

import re
from ipaddress import ip_address, ip_interface

from hypervisors.libvirtxml.network_specs import AddressRange

_RANGE = re.compile(r"\s*[–—-]\s*|\s+to\s+")
# Of what DHCP gives by itself in an IPv6 network.
_IPV6_FIRST, _IPV6_LAST = 0x100, 0x1FF


def whole_range(text: str) -> tuple[AddressRange, ...]:
    """Every address of an IPv4 network but the host's own and its ends; some of an IPv6 network."""
    try:
        own = ip_interface(text)
    except ValueError:
        return ()
    first, last = int(own.network.network_address), int(own.network.broadcast_address)
    if own.version == 6:
        if own.network.prefixlen > 112:
            return ()
        start, end = first + _IPV6_FIRST, first + _IPV6_LAST
    else:
        if own.network.prefixlen > 29:
            return ()
        # The larger part beside the host's own address; as many as libvirt takes.
        below, above = (first + 1, int(own.ip) - 1), (int(own.ip) + 1, last - 1)
        start, end = max(below, above, key=lambda part: part[1] - part[0])
        end = min(end, start + 65534)
    kind = type(own.ip)
    return (AddressRange(start=str(kind(start)), end=str(kind(end))),)


def ranges_of(text: str) -> tuple[AddressRange, ...]:
    """ "a – b, c – d"; one address alone is a range of one."""
    found = []
    for part in filter(None, (part.strip() for part in re.split(r"[,;\n]", text))):
        start, *rest = _RANGE.split(part, maxsplit=1)
        end = rest[0] if rest else start
        found.append(AddressRange(start=plain_address(start), end=plain_address(end)))
    return tuple(found)


def plain_address(text: str) -> str:
    """An address as libvirt writes it; what is none stays as it was typed."""
    try:
        return str(ip_address(text)) if "/" not in text else ip_interface(text).with_prefixlen
    except ValueError:
        return text


def number_of(text: str) -> int | None:
    """0, which is never right, for what is no number."""
    text = text.strip()
    if not text:
        return None
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
