"""Where to dial for a screen. The address that libvirt reports comes from a VM's XML and is not to be trusted.

It only chooses among the addresses that may be dialled: those that the host's URI resolves to, and those that an
administrator wrote down for the host. What is returned is dialled as it is, and no name is resolved a second time.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

from hypervisors.errors import HostNotFound, NotPossible
from hypervisors.gateway.consoles.local_routes import is_delivered_here
from hypervisors.gateway.endpoints import Endpoint

Address = IPv4Address | IPv6Address


def addresses_from_here(endpoint: Endpoint, reported: str) -> tuple[str, ...]:
    """Those to try in turn for a screen of a host that is reached over the network.

    `reported` is an address or name that libvirt says the VNC server listens at; "" where it says none. Raises:
    errors.HostNotFound, errors.NotPossible, which says why none may be dialled, and what to do.
    """
    host, reported = endpoint.uri.host, reported[:253]
    own = _resolved(host)
    if not own:
        raise HostNotFound(f"The name {host} does not resolve.")
    allowed = [*own, *(ip_address(text) for text in endpoint.console_addresses)]
    fitting = _fitting(host, reported, allowed)
    # Who registers a host by 127.0.0.1 says that it is this machine; a name that leads here does not.
    named = set(own) if _plain(host) or host == "localhost" else set[Address]()
    dialled = [address for address in fitting if not _why_never(address, named)]
    if not dialled:
        raise NotPossible(
            f"The screen listens on {fitting[0]}, which is {_why_never(fitting[0], named)}: vmportal does not dial "
            f"that for a host elsewhere. If {host} is this very machine, register it as qemu:///system."
        )
    return tuple(str(address) for address in dict.fromkeys(dialled))


def addresses_of_this_machine(reported: str) -> tuple[str, ...]:
    """The same for a host that is this machine. Raises: errors.NotPossible."""
    if not reported:
        return ("127.0.0.1", "::1")
    found = _resolved(reported)
    if any(address.is_unspecified for address in found):
        return ("127.0.0.1",) if found[0].version == 4 else ("::1", "127.0.0.1")
    here = tuple(str(address) for address in found if is_delivered_here(address))
    if not here:
        raise NotPossible(f"The screen is said to listen on {reported}, which is no address of this machine.")
    return here


def _fitting(host: str, reported: str, allowed: list[Address]) -> list[Address]:
    if not reported:
        return allowed
    found = _resolved(reported)
    if not found:
        raise NotPossible(f"The screen listens on “{reported}”, a name that does not resolve here.")
    if any(address.is_unspecified for address in found):
        return _of_family(host, found[0], allowed)
    fitting = [address for address in found if address in allowed]
    if fitting:
        return fitting
    if any(address.is_loopback for address in found):
        raise NotPossible(
            f"The screen listens on {reported} of {host} only. Reach {host} by qemu+ssh://, "
            'or set vnc_listen = "0.0.0.0" in its qemu.conf and restart the VM.'
        )
    known = ", ".join(sorted({str(address) for address in allowed}))
    raise NotPossible(
        f"The screen listens on {reported}, which is not known to be an address of {host} ({known}). If it is one that "
        f"vmportal reaches, write it into the host's console addresses; or reach {host} by qemu+ssh://."
    )


def _of_family(host: str, any_address: Address, allowed: list[Address]) -> list[Address]:
    """Who listens on 0.0.0.0 is not reached by IPv6; on ::, by both."""
    if any_address.version == 6:
        return sorted(allowed, key=lambda address: address.version, reverse=True)
    fitting: list[Address] = [address for address in allowed if address.version == 4]
    if not fitting:
        raise NotPossible(
            f"The screen listens on all IPv4 addresses of {host} (0.0.0.0), but {host} is known by IPv6 only. Write "
            "its IPv4 address into the host's console addresses, or set "
            'vnc_listen = "::" in its qemu.conf and restart the VM.'
        )
    return fitting


def _why_never(address: Address, named: set[Address]) -> str:
    if address.is_unspecified or address.is_multicast or address.is_link_local:
        return "no address of a single machine"
    if address in named:
        return ""
    if address.is_loopback or is_delivered_here(address):
        return "an address of vmportal's own machine"
    return ""


def _resolved(name: str) -> list[Address]:
    """All addresses of a name or of any spelling of an address, mapped ones as what they map."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(_unmapped(ip_address(str(entry[4][0]))) for entry in found))


def _plain(host: str) -> Address | None:
    try:
        return _unmapped(ip_address(host))
    except ValueError:
        return None


def _unmapped(address: Address) -> Address:
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
