"""Screens without libvirt: QEMUs of a test's own, each with a VNC server."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

NAME = "a screen"


def free_port(lowest: int = 5900) -> int:
    """VNC ports start at 5900."""
    for port in range(lowest, lowest + 2000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def accepts(port: int, address: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((address.strip("[]"), port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def start_screen() -> Iterator[Callable[..., int]]:
    """Starts a QEMU with a VNC server and nothing to boot; returns the port."""
    started = []

    def start(vnc_options: str = "", *more: str, path: str = "", address: str = "127.0.0.1") -> int:
        port = free_port(6500)
        where = f"unix:{path}" if path else f"{address}:{port - 5900}"
        command = ["qemu-system-x86_64", "-m", "16", "-name", NAME, "-monitor", "none", "-serial", "none", *more]
        started.append(subprocess.Popen([*command, "-vnc", f"{where}{vnc_options}"]))
        until(lambda: os.path.exists(path) if path else accepts(port, address), "QEMU did not start")
        return port

    yield start
    for process in started:
        process.kill()
        process.wait()
