"""Processes: running commands, and finding those that live in a lab's network namespaces (proc(5))."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class LabError(Exception):
    """The lab cannot do what was asked; the text says what to do."""


def run(
    *command: str, timeout_seconds: float = 60, text_input: str = "", environment: dict[str, str] | None = None
) -> str:
    """The command's standard output. Raises LabError with what it said when it fails or hangs."""
    try:
        done = subprocess.run(
            command,
            input=text_input,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
            env=os.environ | {"PATH": PATH, "LC_ALL": "C.UTF-8"} | (environment or {}),
        )
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed: see deploy/lab/apt-packages.txt") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(command)}: no answer within {timeout_seconds:.0f} s") from None
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip() or f'status {done.returncode}'}")
    return done.stdout


Answer = TypeVar("Answer")


def wait_until(predicate: Callable[[], Answer], timeout_seconds: float, *, waiting_for: str = "") -> Answer:
    """The first true answer of the predicate. Raises LabError when there is none in time."""
    deadline = time.monotonic() + timeout_seconds
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            raise LabError(f"Not so within {timeout_seconds:g} s: {waiting_for or predicate.__name__}")
        time.sleep(0.05)
    return answer


def processes_in(namespace: str) -> dict[int, int]:
    """The machine's ids of all processes in the network namespace of that name, each with its innermost id."""
    try:
        wanted = os.stat(f"/run/netns/{namespace}")
    except FileNotFoundError:
        return {}
    return {pid: _innermost_pid(pid) for pid in _all_pids() if _lives_in(pid, wanted)}


def running_script(path: Path) -> list[int]:
    """Ids of what was started with that file as an argument; for a lab whose namespaces have lost their names."""
    return [pid for pid in _all_pids() if os.fsencode(path) in _read(pid, "cmdline").split(b"\0")]


def kill(pids: list[int]) -> None:
    """SIGKILL them and wait until they are gone; those that went before are no error."""
    for pid in pids:
        _signal(pid, signal.SIGKILL)
    wait_until(lambda: not any(_is_alive(pid) for pid in pids), 10, waiting_for=f"processes {pids} gone")


def freeze(pid: int) -> None:
    """Returns when it stands still, which the signal alone does not promise."""
    _signal(pid, signal.SIGSTOP)
    wait_until(lambda: _state(pid) == "T", 10, waiting_for=f"process {pid} stopped")


def thaw(pid: int) -> None:
    _signal(pid, signal.SIGCONT)


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _lives_in(pid: int, wanted: os.stat_result) -> bool:
    try:
        found = os.stat(f"/proc/{pid}/ns/net")
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino)


def _innermost_pid(pid: int) -> int:
    """Equal to `pid` for a process of this machine's own process namespace; 0 for one that has just ended."""
    for line in _read(pid, "status").splitlines():
        if line.startswith(b"NSpid:"):
            return int(line.split()[-1])
    return 0


def _is_alive(pid: int) -> bool:
    """A zombie counts as gone: whoever started it has only not looked yet.

    Each thread is asked: the first one may be a zombie while others still hold the process's sockets and files.
    """
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return False
    return any(_state(int(thread)) not in ("", "Z", "X") for thread in threads)


def _state(pid: int) -> str:
    """As in proc_pid_stat(5); empty when there is no such process."""
    stat = _read(pid, "stat")
    return stat.rpartition(b")")[2].split()[0].decode() if stat else ""


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
