"""The web processes: forked from one that has loaded the application, each with a socket of its own.

    python -m vmportal.web --listen unix:/run/vmportal/web-{}.sock      one for each core, or WEB_CONCURRENCY
    python -m vmportal.web --listen 10.0.0.2:8001 --processes 2         ports 8001 and 8002

One that ends is replaced alone. nginx spreads the requests: sockets of their own are filled evenly, while of those who
wait at a common one the first to wake takes all that is there. https://www.uvicorn.org/settings/
"""

import argparse
import gc
import logging
import os
import signal
import sys
import time
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
# An event loop that has not come round for so long is not well, and its process is not announced.
_LOOP_WELL_SECONDS = 10.0


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
        # The socket is reached by nginx alone, which overwrites X-Forwarded-For.
        return {"uds": listen.removeprefix("unix:").replace("{}", str(number)), "forwarded_allow_ips": "*"}
    host, _, port = listen.rpartition(":")
    # By network only those are believed that uvicorn's own variable FORWARDED_ALLOW_IPS names: the nginx machines.
    return {"host": host.strip("[]"), "port": int(port) + number - 1}


class WebProcesses:
    """The parent: it serves nobody, and keeps one process for each address."""

    def __init__(self, addresses: list[dict[str, Any]]) -> None:
        self._addresses = addresses
        self._numbers: dict[int, int] = {}
        self._started_at: dict[int, float] = {}
        self._stopping = False

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
            pid, status = os.wait()
            number = self._numbers.pop(pid, -1)
            if number >= 0 and not self._stopping:
                logger.warning("Web process %d ended (%s) and is replaced.", pid, _how(status))
                self._pause(number)
                self._start(number)
        return 0

    def _start(self, number: int) -> None:
        parent = os.getpid()
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
            os._exit(_serve(self._addresses[number]))

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

    async def on_tick(self, counter: int) -> bool:
        self.ticked_at = time.monotonic()
        return await super().on_tick(counter)


def _serve(address: dict[str, Any]) -> int:
    """In the child: until it is told to stop. Returns the exit status."""
    from hypervisors.models.instances import Announcer, this_instance

    config = uvicorn.Config(
        "vmportal.asgi:application",
        # Deflate costs memory per socket.
        ws_per_message_deflate=False,
        access_log=False,
        server_header=False,
        lifespan="off",
        proxy_headers=True,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        log_level="warning",
        **address,
    )
    server = _TickingServer(config)
    server.ticked_at = time.monotonic()
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
