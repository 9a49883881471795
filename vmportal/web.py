"""The web processes: forked from one that has loaded the application, each with a socket of its own.

    python -m vmportal.web --listen unix:/run/vmportal/web-{}.sock      one for each core, or WEB_CONCURRENCY
    python -m vmportal.web --listen 10.0.0.2:8001 --processes 2         ports 8001 and 8002

One that ends, or whose event loop does not come round any more, is replaced alone. nginx spreads the requests: sockets
of their own are filled evenly, while of those who wait at a common one the first to wake takes all that is there.
https://www.uvicorn.org/settings/
"""

import argparse
import gc
import logging
import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.server import Server

from vmportal.processes import die_with_parent

logger = logging.getLogger(__name__)

# One that ends sooner is not replaced before so long.
_LEAST_LIFE_SECONDS = 1.0
_GRACEFUL_SECONDS = 3
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# An event loop that has not come round for so long is not well: its process is not announced, and is replaced.
_LOOP_WELL_SECONDS = 10.0
_LOOK_SECONDS = 0.2
# What loads and binds may take its time.
_BEGIN_SECONDS = 60.0
_TIME = struct.Struct("d")


def main() -> int:
    arguments = _arguments()
    addresses = [_address(arguments.listen, number) for number in range(1, arguments.processes + 1)]
    return WebProcesses(addresses).run()


def default_processes() -> int:
    """WEB_CONCURRENCY, else the cores there are. Raises: ValueError."""
    wanted = int(os.environ.get("WEB_CONCURRENCY") or len(os.sched_getaffinity(0)))
    if not 1 <= wanted <= 256:
        raise ValueError(f"WEB_CONCURRENCY is {wanted}; it must be from 1 to 256")
    return wanted


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m vmportal.web", description=__doc__)
    parser.add_argument("--listen", required=True, metavar="unix:PATH-{}|HOST:PORT")
    parser.add_argument("--processes", type=int, default=default_processes())
    return parser.parse_args()


def _address(listen: str, number: int) -> dict[str, Any]:
    """Where the process of this number, counted from 1, listens: uvicorn's options."""
    if listen.startswith("unix:"):
        return {"uds": listen.removeprefix("unix:").replace("{}", str(number))}
    host, _, port = listen.rpartition(":")
    return {"host": host.strip("[]"), "port": int(port) + number - 1}


class WebProcesses:
    """The parent: it serves nobody, and keeps one process for each address."""

    def __init__(self, addresses: list[dict[str, Any]]) -> None:
        self._addresses = addresses
        self._numbers: dict[int, int] = {}
        self._started_at: dict[int, float] = {}
        self._stopping = False
        # time.monotonic() of each process's last turn, written by it and read by the parent.
        self._turns = mmap.mmap(-1, _TIME.size * len(addresses))

    def run(self) -> int:
        """Until SIGTERM or SIGINT."""
        import vmportal.asgi  # noqa: F401 - what every request needs is loaded before there are several

        gc.collect()
        gc.freeze()
        for stop in _STOP_SIGNALS:
            signal.signal(stop, self._stop)
        for number in range(len(self._addresses)):
            self._start(number)
        while self._numbers:
            pid, status = self._wait()
            number = self._numbers.pop(pid, -1)
            if number >= 0 and not self._stopping:
                logger.warning("Web process %d ended (%s) and is replaced.", pid, _how(status))
                self._pause(number)
                self._start(number)
        return 0

    def _wait(self) -> tuple[int, int]:
        """The next that ends, and how; those that hang are made to."""
        looked_at = time.monotonic()
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                return pid, status
            time.sleep(_LOOK_SECONDS)
            if time.monotonic() - looked_at > 10 * _LOOK_SECONDS:
                # We were frozen, and they perhaps too.
                self._forgive()
            looked_at = time.monotonic()
            for pid, number in self._numbers.items():
                if not self._stopping and looked_at - self._turned_at(number) > _LOOP_WELL_SECONDS:
                    logger.warning("Web process %d hangs, and is ended.", pid)
                    self._note_turn(number, looked_at)
                    os.kill(pid, signal.SIGKILL)

    def _forgive(self) -> None:
        for number in self._numbers.values():
            self._note_turn(number, max(time.monotonic(), self._turned_at(number)))

    def _turned_at(self, number: int) -> float:
        turned_at: float = _TIME.unpack_from(self._turns, number * _TIME.size)[0]
        return turned_at

    def _note_turn(self, number: int, turned_at: float) -> None:
        _TIME.pack_into(self._turns, number * _TIME.size, turned_at)

    def _start(self, number: int) -> None:
        parent = os.getpid()
        self._note_turn(number, time.monotonic() + _BEGIN_SECONDS)
        # A stop that came between the fork and the note of its process would miss it.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        pid = -1 if self._stopping else os.fork()
        if pid > 0:
            self._numbers[pid], self._started_at[number] = number, time.monotonic()
        elif pid == 0:
            for stop in _STOP_SIGNALS:
                signal.signal(stop, lambda *_: sys.exit(0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        if pid == 0:
            # At once: one that lingered would remove its successor's socket at its end.
            die_with_parent(signal.SIGKILL, parent)
            os._exit(_serve(self._addresses[number], on_turn=partial(self._note_turn, number)))

    def _pause(self, number: int) -> None:
        lived = time.monotonic() - self._started_at[number]
        if lived < _LEAST_LIFE_SECONDS:
            time.sleep(_LEAST_LIFE_SECONDS - lived)

    def _stop(self, signal_number: int, frame: FrameType | None) -> None:
        self._stopping = True
        for pid in self._numbers:
            os.kill(pid, signal.SIGTERM)


class _TickingServer(Server):
    """Knows when its event loop last came round."""

    ticked_at = time.monotonic()
    on_turn: Callable[[float], None]

    async def on_tick(self, counter: int) -> bool:
        self.ticked_at = time.monotonic()
        self.on_turn(self.ticked_at)
        return await super().on_tick(counter)


def _serve(address: dict[str, Any], *, on_turn: Callable[[float], None]) -> int:
    """In the child: until it is told to stop. Returns the exit status."""
    from hypervisors.models.instances import Announcer, this_instance

    config = uvicorn.Config(
        "vmportal.asgi:application",
        # Deflate costs memory per socket.
        ws_per_message_deflate=False,
        access_log=False,
        server_header=False,
        lifespan="off",
        # Whom to believe about a browser's address: hypervisors/access/client_addresses.py.
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        log_level="warning",
        **address,
    )
    server = _TickingServer(config)
    server.ticked_at = time.monotonic()
    server.on_turn = on_turn
    announcer = Announcer(
        lambda: this_instance("web"), is_well=lambda: time.monotonic() - server.ticked_at < _LOOP_WELL_SECONDS
    )
    announcer.start()
    try:
        server.run()
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        logger.exception("A web process broke.")
        return 1
    finally:
        announcer.stop()
        logging.shutdown()
    return 0


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"status {code}"


if __name__ == "__main__":
    sys.exit(main())
