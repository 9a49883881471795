"""Where a browser is, although nginx, and perhaps other proxies in front of it, stand between.

Each proxy appends the address it was reached from to X-Forwarded-For, so only its end can be believed: what our own
nginx wrote, and, going left, what was written by proxies named in VMPORTAL_TRUSTED_PROXIES. Whatever stands further
left was claimed by the browser. https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For
"""

from ipaddress import IPv6Address, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest

# A person with IPv6 has so many addresses.
_PREFIX_LENGTH = 64


def client_address(*, peer: str, forwarded_for: str) -> str:
    """`peer` is who connected to us: "" for a unix socket, which our own nginx alone reaches."""
    if peer and not _is_own_proxy(peer):
        return _normal(peer)
    address = peer
    for hop in reversed(forwarded_for.split(",")):
        found = _normal(hop)
        if not found:
            break
        address = found
        if not any(ip_address(address) in network for network in settings.TRUSTED_PROXIES):
            break
    return address


def address_of(request: HttpRequest) -> str:
    return client_address(
        peer=request.META.get("REMOTE_ADDR", ""), forwarded_for=request.META.get("HTTP_X_FORWARDED_FOR", "")
    )


def network_of(address: str) -> str:
    """What is counted as one place: the address, or the network of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(IPv6Network((parsed, _PREFIX_LENGTH), strict=False)) if isinstance(parsed, IPv6Address) else address


def _is_own_proxy(peer: str) -> bool:
    try:
        parsed = ip_address(peer)
    except ValueError:
        return False
    return parsed.is_loopback or any(parsed in network for network in settings.OWN_PROXIES)


def _normal(hop: str) -> str:
    """The address in "192.0.2.1:4711", "[2001:db8::1]:4711" and "::ffff:192.0.2.1"; "" for nonsense."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ip_address(text)
    except ValueError:
        return ""
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)
