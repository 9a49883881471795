"""Which addresses a URL that somebody typed may lead to: the Internet's, and networks that an administrator allows.

A name is resolved here, once, and the connection goes to the address that was judged: a second look-up could give
another one (DNS rebinding). https://owasp.org/www-community/attacks/Server_Side_Request_Forgery
"""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from hypervisors.errors import NotPossible

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(NotPossible):
    """The URL leads to where it may not."""


def judged_address(host: str, port: int, *, allow: Iterable[Network] = ()) -> str:
    """An address of the host that may be connected to. Raises: AddressRefused.

    One that may not refuses the name as a whole: who answers so means harm, or is set up wrongly.
    """
    allow = tuple(allow)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressRefused(f"The name {host} does not resolve.") from error
    addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    for address in addresses:
        reason = why_refused(address, allow=allow)
        if reason:
            raise AddressRefused(
                f"{host} is at {address}, {reason}: files are fetched from the Internet only. "
                "An administrator can allow the network (VMPORTAL_FETCH_ALLOW)."
            )
    return str(addresses[0])


def why_refused(address: Address, *, allow: Iterable[Network] = ()) -> str:
    """Why nothing is fetched from there; "" when it may be."""
    forms = _forms(address)
    if any(form in network for form in forms for network in allow if form.version == network.version):
        return ""
    for form in forms:
        if form.is_multicast or form.is_reserved or form.is_unspecified:
            return "which is no address of a server"
        if not form.is_global:
            return "which is in a private network"
        if _is_own(form):
            return "which is this server itself"
    return ""


def _forms(address: Address) -> list[Address]:
    """Itself, and the IPv4 address that stands in it."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    inner = address.sixtofour or (address.teredo[1] if address.teredo else None)
    if inner is None and address in _NAT64:
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    return [address] if inner is None else [address, inner]


def _is_own(address: Address) -> bool:
    """Only an address of this machine can be bound to."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
