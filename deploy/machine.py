"""What `./run` asks of the machine below vmportal: is its libvirt there, and the keeper that starts what is missing."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from deploy.environment import REPOSITORY

LOCAL_URI = "qemu:///system"
_SYSTEM_PYTHON = "/usr/bin/python3"
_LIBVIRT_SECONDS = 15


class MachineError(Exception):
    """The machine lacks something; the text says what."""


def libvirt_problem() -> str:
    """Why this machine's own libvirt does not answer; empty when it does."""
    command = ["virsh", "--connect", LOCAL_URI, "--quiet", "version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIBVIRT_SECONDS, check=False)
    except FileNotFoundError:
        return "virsh is not installed"
    except subprocess.TimeoutExpired:
        return f"it does not answer within {_LIBVIRT_SECONDS} s"
    return "" if done.returncode == 0 else done.stderr.strip()


def start_libvirt_with_systemd() -> None:
    """Ask systemd for libvirtd; what it says is seen by asking libvirt again."""
    for unit in ("virtlogd.socket", "libvirtd.socket", "libvirtd.service"):
        subprocess.run([*as_root(), "systemctl", "start", unit], stdin=subprocess.DEVNULL, check=False)


def has_systemd() -> bool:
    """As sd_booted(3)."""
    return Path("/run/systemd/system").is_dir()


def as_root() -> list[str]:
    """What stands before a command that needs root."""
    return [] if os.geteuid() == 0 else ["sudo"]


class Keeper:
    """The process that runs as root beside `./run`: deploy/keeper.py, alive as long as its standard input."""

    def __init__(self, *, data_dir: Path, libvirtd: bool, lab_hosts: int) -> None:
        self.lab_hosts: list[dict[str, str]] = []
        python = _SYSTEM_PYTHON if Path(_SYSTEM_PYTHON).exists() else sys.executable
        self._command = [*as_root(), python, str(REPOSITORY / "deploy" / "keeper.py"), "--state-dir", str(data_dir)]
        if libvirtd:
            self._command.append("--libvirtd")
        if lab_hosts:
            # The name decides the hosts' UUIDs and, mostly, addresses: at the next start they are the same hosts.
            name = f"lab-{hashlib.sha256(str(data_dir).encode()).hexdigest()[:4]}"
            lab = {"lab": lab_hosts, "lab-dir": data_dir / "lab", "lab-name": name, "guests": lab_hosts + 1}
            self._command += [part for name, value in lab.items() for part in (f"--{name}", str(value))]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Returns when everything is up. Raises MachineError."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        answer: dict[str, Any] = json.loads(self._output.readline() or "{}")
        if "hosts" not in answer:
            raise MachineError(answer.get("error", "What needs root could not be started; the reason stands above."))
        self.lab_hosts = answer["hosts"]

    def stop(self) -> None:
        """Close its input, and wait until it has taken everything down; harmless when it does not run."""
        if self._process is None:
            return
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()
        self._process = None

    @property
    def _output(self) -> IO[str]:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout
