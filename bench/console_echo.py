"""Console echo and bulk through the proxy against raw TCP: `python -m bench.console_echo`.

The far end is an echo server that speaks VNC's opening and then returns what it gets, or floods. Every path carries
the same bytes in one run; the ratios are what to compare, not the absolutes.
"""

import argparse
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ECHO_BYTES = 8
CHUNK = b"\0" * 65536
ORIGIN = "http://127.0.0.1:8080"
_FLOOD = b"\2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="each measures both paths, one after the other")
    parser.add_argument("--echoes", type=int, default=500)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--sessions", type=int, default=100, help="for the memory of one session")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    arguments = parser.parse_args()
    with far_end() as (port, far_pid), proxy(port) as console:
        paths = [lambda: raw_session(port), lambda: console_session(console)]
        rounds = []
        for _ in range(arguments.rounds):
            with on_one_core(os.getpid(), far_pid, proxy_pid(console)):
                echoes = [echo_us(connect(), arguments.echoes) for connect in paths]
            bulks = [bulk_mb_per_s(connect(), arguments.megabytes) for connect in paths]
            rounds.append((echoes, bulks))
        memory_kb = session_memory_kb(console, arguments.sessions)
    report = summary(rounds) | {"memory_kb_per_session": memory_kb}
    print(table(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def summary(rounds: list[tuple[list[float], list[float]]]) -> dict[str, float]:
    """Medians over the rounds; the ratios are those of each round, so that a busy moment weighs on both paths."""
    return {
        "echo_raw_us": statistics.median(raw for (raw, _), _ in rounds),
        "echo_proxy_us": statistics.median(through for (_, through), _ in rounds),
        "echo_times_raw": statistics.median(through / raw for (raw, through), _ in rounds),
        "bulk_raw_mb_per_s": statistics.median(raw for _, (raw, _) in rounds),
        "bulk_proxy_mb_per_s": statistics.median(through for _, (_, through) in rounds),
        "bulk_percent_of_raw": statistics.median(100 * through / raw for _, (raw, through) in rounds),
    }


def table(report: dict[str, float]) -> str:
    return "\n".join(
        [
            "| path | echo median µs (× raw) | bulk MB/s (% of raw) | memory per session |",
            "|---|---|---|---|",
            f"| raw TCP | {report['echo_raw_us']:.0f} | {report['bulk_raw_mb_per_s']:.0f} | – |",
            f"| console proxy | {report['echo_proxy_us']:.0f} ({report['echo_times_raw']:.2f}) "
            f"| {report['bulk_proxy_mb_per_s']:.0f} ({report['bulk_percent_of_raw']:.0f}) "
            f"| {report['memory_kb_per_session']:.0f} KB |",
        ]
    )


# --- both ends ---------------------------------------------------------------------------------------------------


@contextmanager
def far_end() -> Iterator[tuple[int, int]]:
    """Its port and process: one of its own, so that no measured path shares its interpreter with it."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    child = os.fork()
    if child == 0:
        serve_far_end(listener)
        os._exit(0)
    listener.close()
    try:
        yield port, child
    finally:
        os.kill(child, 15)
        os.waitpid(child, 0)


def serve_far_end(listener: socket.socket) -> None:
    while True:
        link, _ = listener.accept()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=echo_or_flood, args=(link,), daemon=True).start()


def echo_or_flood(link: socket.socket) -> None:
    with link:
        link.sendall(b"RFB 003.008\n")
        receive(link, 12)
        link.sendall(b"\1\1")
        receive(link, 1)
        link.sendall(b"\0\0\0\0")
        while data := link.recv(65536):
            if data[:1] == _FLOOD:
                for _ in range(struct.unpack(">I", data[1:5])[0] // len(CHUNK)):
                    link.sendall(CHUNK)
            else:
                link.sendall(data)


def receive(link: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = link.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


class Session:
    """Sends messages and counts the payload that comes back, raw or framed; it copies as little as it can."""

    def __init__(self, link: socket.socket, *, framed: bool) -> None:
        self.link = link
        self.framed = framed
        self.header = b""
        self.payload_left = 0

    def send(self, payload: bytes) -> None:
        self.link.sendall(self.echo_of(payload)[0])

    def echo_of(self, payload: bytes) -> tuple[bytes, int]:
        """The message as it goes out, and how many bytes come back."""
        if not self.framed:
            return payload, len(payload)
        # A mask of zeros is a mask: the payload goes out as it is.
        return bytes([0x82, 0x80 | len(payload), 0, 0, 0, 0]) + payload, 2 + len(payload)

    def expect(self, count: int) -> None:
        while count > 0:
            data = self.link.recv(1 << 18)
            if not data:
                raise EOFError
            count -= self._payload_in(data) if self.framed else len(data)

    def _payload_in(self, data: bytes) -> int:
        position, counted = 0, 0
        while position < len(data):
            if self.payload_left:
                part = min(self.payload_left, len(data) - position)
                position, counted, self.payload_left = position + part, counted + part, self.payload_left - part
                continue
            self.header += data[position : position + 1]
            position += 1
            self._read_header()
        return counted

    def _read_header(self) -> None:
        if len(self.header) < 2:
            return
        length = self.header[1] & 0x7F
        size = {126: 4, 127: 10}.get(length, 2)
        if len(self.header) == size:
            self.payload_left = length if size == 2 else int.from_bytes(self.header[2:], "big")
            self.header = b""


def raw_session(port: int) -> Session:
    link = socket.create_connection(("127.0.0.1", port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    receive(link, 12)
    link.sendall(b"RFB 003.008\n")
    receive(link, 2)
    link.sendall(b"\1")
    receive(link, 4)
    return Session(link, framed=False)


def console_session(port: int) -> Session:
    link = socket.create_connection(("127.0.0.1", port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.sendall(
        b"GET /console/vnc HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: binary, grant.bench\r\nOrigin: " + ORIGIN.encode() + b"\r\n\r\n"
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += receive(link, 1)
    if b" 101 " not in answer.splitlines()[0]:
        raise RuntimeError(answer.decode())
    session = Session(link, framed=True)
    session.expect(12)
    session.send(b"RFB 003.008\n")
    session.expect(2)
    session.send(b"\1")
    session.expect(4)
    return session


# --- measures ----------------------------------------------------------------------------------------------------


@contextmanager
def on_one_core(*pids: int) -> Iterator[None]:
    """These processes, every thread of them and what they open from now on stay on one core.

    Otherwise the scheduler's choice weighs more than the proxy: to wake another core takes longer than an echo.
    """
    cores = os.sched_getaffinity(0)
    _allow(pids, {min(cores)})
    try:
        yield
    finally:
        _allow(pids, cores)


def _allow(pids: tuple[int, ...], cores: set[int]) -> None:
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            # It may have ended meanwhile.
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), cores)


def echo_us(session: Session, count: int) -> float:
    """The median. Both clients do the same: send bytes that are ready, and read so many."""
    message, answer_size = session.echo_of(b"\1" * ECHO_BYTES)
    times = []
    for number in range(count + 200):
        started = time.perf_counter()
        session.link.sendall(message)
        receive(session.link, answer_size)
        if number >= 200:
            times.append(time.perf_counter() - started)
    session.link.close()
    return statistics.median(times) * 1e6


def bulk_mb_per_s(session: Session, megabytes: int) -> float:
    size = megabytes * 1_000_000 // len(CHUNK) * len(CHUNK)
    started = time.perf_counter()
    session.send(_FLOOD + struct.pack(">I", size))
    session.expect(size)
    took = time.perf_counter() - started
    session.link.close()
    return size / 1e6 / took


def session_memory_kb(port: int, count: int) -> float:
    """What the proxy's process grows by with each session."""
    before = resident_kb(proxy_pid(port))
    sessions = [console_session(port) for _ in range(count)]
    grown = (resident_kb(proxy_pid(port)) - before) / count
    for session in sessions:
        session.link.close()
    return grown


def resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


_proxys: dict[int, int] = {}


def proxy_pid(port: int) -> int:
    return _proxys[port]


@contextmanager
def proxy(far_port: int) -> Iterator[int]:
    """The product's proxy in a process of its own; only who may enter and where it leads are given."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as data_dir:
        environment = os.environ | {
            "VMPORTAL_SECRET_KEY": "bench",
            "VMPORTAL_ENCRYPTION_KEY": "bench",
            "VMPORTAL_DATA_DIR": data_dir,
            "VMPORTAL_PUBLIC_ORIGINS": ORIGIN,
            "VMPORTAL_LOG_LEVEL": "CRITICAL",
            # Nothing listens there: a proxy without Redis carries on.
            "REDIS_URL": "redis://127.0.0.1:1/0",
        }
        command = [sys.executable, "-m", "bench.open_console_proxy", str(port), str(far_port)]
        process = subprocess.Popen(command, env=environment, cwd=REPOSITORY)
        _proxys[port] = process.pid
        try:
            wait_until_up(port)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def wait_until_up(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    main()
