"""What the processes that listen behind nginx have in common: where they listen, and how they serve and stop."""

import signal
import threading
from argparse import ArgumentTypeError
from typing import Protocol

from hypervisors.gateway.ssh_tunnels import close_shared_connections
from hypervisors.models.instances import Announcer, Kind, this_instance


class StoppableServer(Protocol):
    """`stop` is called by another thread than the one that serves."""

    def serve_forever(self) -> None: ...

    def stop(self) -> None: ...


def listening_address(text: str) -> tuple[str, int]:
    """HOST:PORT, as an option's type."""
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit():
        raise ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def serve_until_stopped(server: StoppableServer, *, kind: Kind, address: tuple[str, int]) -> None:
    """Announce the process under its kind, and serve until SIGTERM or SIGINT. For the main thread."""
    stopping = threading.Thread(target=server.stop, name=f"{kind}-stop")

    def stop(*_: object) -> None:
        # shutdown() waits for serve_forever(), which this very thread runs: another must call it.
        if stopping.ident is None:
            stopping.start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    announcer = Announcer(lambda: this_instance(kind, address=f"{address[0]}:{address[1]}"))
    announcer.start()
    server.serve_forever()
    announcer.stop()
    stopping.join()
    close_shared_connections()
