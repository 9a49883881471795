"""Open a link to a domain's VNC server the way its hypervisor is reached; see VncDisplay for where it listens."""

import ipaddress
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from hypervisors.errors import ConnectionFailed, ConnectionRefused, ConnectionTimedOut, HostNotFound, NotPossible
from hypervisors.gateway.consoles.displays import VncDisplay
from hypervisors.gateway.consoles.rfb_security import authenticate
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.ssh_tunnels import SshStream, open_ssh_stream

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
    return DisplayLink(socket=_connect(_address_seen_there(display), display.port))


def _open_through_ssh(endpoint: Endpoint, display: VncDisplay) -> DisplayLink:
    _refuse_socket(endpoint, display)
    assert display.port is not None
    stream = open_ssh_stream(endpoint, _address_seen_there(display), display.port, timeout_seconds=OPEN_SECONDS)
    return DisplayLink(socket=stream.socket, stream=stream)


def _open_over_network(endpoint: Endpoint, display: VncDisplay) -> DisplayLink:
    _refuse_socket(endpoint, display)
    return DisplayLink(socket=_connect(address_from_here(endpoint.uri.host, display.address), display.port))


_OPENERS: dict[str, Callable[[Endpoint, VncDisplay], DisplayLink]] = {
    "unix": _open_here,
    "ssh": _open_through_ssh,
    "tcp": _open_over_network,
    "tls": _open_over_network,
}


def address_from_here(host: str, address: str) -> str:
    """The address to connect to over the network, for a VNC server that listens at `address` on `host`.

    Raises: errors.NotPossible when it listens on that host's loopback only.
    """
    if not address or _is(address, "is_unspecified"):
        return host
    if _is(address, "is_loopback") and not (_is(host, "is_loopback") or host == "localhost"):
        raise NotPossible(
            f"The screen listens on {address} of {host} only. Reach {host} by qemu+ssh://, "
            'or set vnc_listen = "0.0.0.0" in its qemu.conf and restart the VM.'
        )
    return address


def _address_seen_there(display: VncDisplay) -> str:
    """The address for somebody on the hypervisor itself."""
    if not display.address or _is(display.address, "is_unspecified"):
        return "::1" if ":" in display.address else "127.0.0.1"
    return display.address


def _is(address: str, quality: str) -> bool:
    try:
        return bool(getattr(ipaddress.ip_address(address), quality))
    except ValueError:
        return False


def _refuse_socket(endpoint: Endpoint, display: VncDisplay) -> None:
    if display.socket:
        raise NotPossible(
            f"The screen is served on a unix socket of {endpoint.uri.host} only; give the VM a VNC display with a port."
        )


def _connect(address: str, port: int | None) -> socket.socket:
    assert port is not None
    try:
        link = socket.create_connection((address, port), timeout=3)
    except socket.gaierror as error:
        raise HostNotFound(f"The name {address} does not resolve.") from error
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
