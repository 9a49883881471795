"""TCP ports to listen on: a free one, or why one cannot be had."""

import random
import socket

# Below Linux' ephemeral range, so that no outgoing connection takes a port while its process restarts.
_INTERNAL_PORTS = range(20000, 32000)


class PortTaken(Exception):
    """Nothing can listen there; the text says why and what to do."""


def free_port() -> int:
    """A free TCP port of the loopback interface, outside the range of outgoing connections."""
    for _ in range(200):
        port = random.choice(_INTERNAL_PORTS)
        if _is_free("127.0.0.1", port):
            return port
    raise PortTaken("No free port was found on 127.0.0.1.")


def check_port_is_free(host: str, port: int) -> None:
    """Raises PortTaken when nothing can listen at this address, with what to do."""
    try:
        _try_to_listen(host, port)
    except OSError as error:
        raise PortTaken(
            f"Cannot listen on {host}, port {port}: {error.strerror}. Choose another with --listen HOST:PORT."
        ) from error


def _is_free(host: str, port: int) -> bool:
    try:
        _try_to_listen(host, port)
    except OSError:
        return False
    return True


def _try_to_listen(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as listener:
        # As nginx does: a port whose last connections still linger is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1)
