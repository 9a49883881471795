"""Open a link to a domain's VNC server the way its hypervisor is reached; see VncDisplay for where it listens."""

import ipaddress
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from hypervisors.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectionRefused,
    ConnectionTimedOut,
    NotPossible,
)
from hypervisors.gateway.consoles.displays import VncDisplay
from hypervisors.gateway.consoles.rfb_security import authenticate
from hypervisors.gateway.consoles.screen_addresses import addresses_from_here, addresses_of_this_machine
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.ssh_tunnels import SshStream, open_ssh_socket, open_ssh_stream

OPEN_SECONDS = 8


@dataclass(kw_only=True)
class DisplayLink:
    """A socket on which the server waits for ClientInit."""

    socket: socket.socket
    stream: SshStream | None = None

    def close(self) -> None:
        # After TLS it is not the stream's own socket.
        with suppress(OSError):
            self.socket.close()
        if self.stream is not None:
            self.stream.close()


def open_display_link(endpoint: Endpoint, display: VncDisplay) -> DisplayLink:
    """Connect and pass the server's security. Raises: errors.HypervisorError, errors.NotPossible."""
    deadline = time.monotonic() + OPEN_SECONDS
    opener = _OPENERS.get(endpoint.uri.transport)
    if opener is None:
        raise NotPossible("libvirt's test driver has no screens.")
    link = opener(endpoint, display)
    try:
        link.socket = authenticate(link.socket, endpoint, display.password, deadline)
    except TimeoutError as error:
        link.close()
        raise ConnectionTimedOut("The VNC server does not answer: its QEMU hangs or is overloaded.") from error
    except AuthenticationFailed as error:
        link.close()
        raise AuthenticationFailed(_why_rejected(display) or str(error)) from error
    except (OSError, ConnectionFailed) as error:
        said = link.stream.complaint() if link.stream else ""
        link.close()
        if said or isinstance(error, OSError):
            raise ConnectionFailed(f"The VNC server cannot be reached: {said or error}.") from error
        raise
    except NotPossible:
        link.close()
        raise
    return link


def _open_here(endpoint: Endpoint, display: VncDisplay) -> DisplayLink:
    if display.socket:
        return DisplayLink(socket=_connect_unix(display.socket))
    return DisplayLink(socket=_connect(addresses_of_this_machine(display.address), display.port))


def _open_through_ssh(endpoint: Endpoint, display: VncDisplay) -> DisplayLink:
    """What the address means is for the host to say: it is resolved there."""
    if display.socket:
        return DisplayLink(socket=open_ssh_socket(endpoint, display.socket, timeout_seconds=OPEN_SECONDS))
    assert display.port is not None
    stream = open_ssh_stream(endpoint, _address_seen_there(display), display.port, timeout_seconds=OPEN_SECONDS)
    return DisplayLink(socket=stream.socket, stream=stream)


def _open_over_network(endpoint: Endpoint, display: VncDisplay) -> DisplayLink:
    if display.socket:
        raise NotPossible(
            f"The screen is served on a unix socket of {endpoint.uri.host} only, which is not reached by "
            f"{endpoint.uri.transport}. Reach the host by qemu+ssh://, or give the VM a VNC display with a port."
        )
    return DisplayLink(socket=_connect(addresses_from_here(endpoint, display.address), display.port))


def _why_rejected(display: VncDisplay) -> str:
    """A VNC password that ran out is rejected like a wrong one; the definition tells it apart."""
    valid_to = display.password_valid_to
    if valid_to is None or valid_to > datetime.now(UTC):
        return ""
    return (
        f"The VM's VNC password expired on {valid_to:%Y-%m-%d at %H:%M} UTC. Set another time (passwdValidTo) or "
        "remove the password from the VM's display."
    )


_ADDRESS_OR_NAME = re.compile(r"[A-Za-z0-9:][A-Za-z0-9:._%-]*")
_OPENERS: dict[str, Callable[[Endpoint, VncDisplay], DisplayLink]] = {
    "unix": _open_here,
    "ssh": _open_through_ssh,
    "tcp": _open_over_network,
    "tls": _open_over_network,
}


def _address_seen_there(display: VncDisplay) -> str:
    """The address for somebody on the hypervisor itself."""
    if not display.address or _is_unspecified(display.address):
        return "::1" if ":" in display.address else "127.0.0.1"
    if not _ADDRESS_OR_NAME.fullmatch(display.address):
        raise NotPossible(f"The screen is said to listen on “{display.address}”, which is no address.")
    return display.address


def _is_unspecified(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False


def _connect(addresses: tuple[str, ...], port: int | None) -> socket.socket:
    """To the first that answers; what is said is of the first that was tried."""
    assert port is not None
    failure: ConnectionFailed | None = None
    for address in addresses:
        try:
            return _connect_to(address, port)
        except ConnectionFailed as error:
            failure = failure or error
    raise failure or ConnectionFailed("No address of the host is known.")


def _connect_to(address: str, port: int) -> socket.socket:
    try:
        link = socket.create_connection((address, port), timeout=3)
    except TimeoutError as error:
        raise ConnectionTimedOut(f"{address} did not answer on VNC port {port} within 3 s; a firewall?") from error
    except ConnectionRefusedError as error:
        raise ConnectionRefused(f"Nothing listens on VNC port {port} of {address} any more.") from error
    except OSError as error:
        raise ConnectionFailed(f"{address} cannot be reached: {error.strerror or error}.") from error
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def _connect_unix(path: str) -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(3)
    try:
        link.connect(path)
    except OSError as error:
        link.close()
        raise ConnectionFailed(f"The VNC socket {path} cannot be opened: {error.strerror or error}.") from error
    return link
