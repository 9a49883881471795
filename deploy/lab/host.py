"""A host of the lab: its start and end, its processes, and virsh on it."""

import contextlib
import socket
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from deploy.lab.host_files import init_path, started_path
from deploy.lab.network import plug_in
from deploy.lab.plan import HostPlan, LabPlan
from deploy.lab.process import LabError, kill, processes_in, run, running_script, wait_until
from deploy.lab.sign_in import client_file

_LIBVIRTD_PORT = 16509
_START_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Host:
    """A running or dead host; nothing is remembered here, all is asked of the machine."""

    lab: LabPlan
    plan: HostPlan

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def address(self) -> str:
        return self.plan.address

    @property
    def uri(self) -> str:
        """Plain tcp."""
        return self.plan.uri

    @property
    def tls_uri(self) -> str:
        return self.plan.tls_uri

    @property
    def ssh_uri(self) -> str:
        return self.plan.ssh_uri

    @property
    def host_uuid(self) -> str:
        return self.plan.host_uuid

    def virsh(self, *arguments: str, timeout_seconds: float = 60) -> str:
        """What virsh prints, connected to this host by its tcp URI. Raises LabError with what it says otherwise."""
        environment = {"LIBVIRT_AUTH_FILE": str(client_file(self.lab))}
        command = ["virsh", "--quiet", "--connect", self.uri, *arguments]
        return run(*command, timeout_seconds=timeout_seconds, environment=environment).strip()

    def run(self, *command: str, timeout_seconds: float = 60) -> str:
        """What a command prints that runs inside the host."""
        inside = ["nsenter", "--target", str(self.init_pid()), "--mount", "--uts", "--ipc", "--net", "--pid", "--"]
        return run(*inside, *command, timeout_seconds=timeout_seconds)

    # --- start and end

    def begin(self) -> None:
        """Start it without waiting for it; harmless when it runs."""
        if self.is_running():
            return
        plug_in(self.lab, self.plan)
        started_path(self.plan).unlink(missing_ok=True)
        unshare = ["unshare", "--uts", "--mount", "--ipc", "--pid", "--fork", "--mount-proc", "--kill-child"]
        init = ["/bin/sh", str(init_path(self.plan))]
        with self._log.open("ab") as log:
            # Forked off, so that the host is nobody's child here.
            command = ["setsid", "--fork", "ip", "netns", "exec", self.plan.namespace, *unshare, *init]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")

    def wait_until_up(self) -> None:
        """Until libvirtd takes connections. Raises LabError with the end of its log when it does not."""
        try:
            wait_until(lambda: started_path(self.plan).exists() or not self.is_starting(), _START_SECONDS)
            wait_until(self.accepts, 15)
        except LabError:
            raise LabError(f"{self.name} did not come up:\n{self._log.read_text()[-2000:]}") from None

    def kill(self) -> None:
        """As if its power had failed: everything in it ends at once."""
        kill([*self.processes(), *running_script(init_path(self.plan))])

    # --- what it is

    def processes(self) -> dict[int, int]:
        """The machine's ids of its processes, each with the one that the host itself knows."""
        return processes_in(self.plan.namespace)

    def init_pid(self) -> int:
        """The machine's id of its process 1. Raises LabError when the host is off."""
        for pid, inner in self.processes().items():
            if inner == 1:
                return pid
        raise LabError(f"{self.name} is not running.")

    def is_running(self) -> bool:
        return 1 in self.processes().values()

    def is_starting(self) -> bool:
        return bool(self.processes())

    def accepts(self) -> bool:
        """Does its libvirtd take connections?"""
        with contextlib.suppress(OSError), socket.create_connection((self.address, _LIBVIRTD_PORT), timeout=1):
            return True
        return False

    # --- its daemons and guests

    def start_libvirtd(self) -> None:
        self.run("libvirtd", "--daemon", "--listen")
        wait_until(self.accepts, 15, waiting_for=f"libvirtd of {self.name}")

    def qemu_pid(self, domain: str) -> int:
        """The machine's id of a domain's QEMU, which is asked of the system alone: libvirtd may be frozen."""
        wanted = domain.encode()
        for pid in self.processes():
            arguments = _arguments_of(pid)
            if b"qemu-system" in arguments[0] and any(part.startswith(b"guest=" + wanted + b",") for part in arguments):
                return pid
        raise LabError(f"{self.name} runs no domain {domain!r}.")

    def libvirtd_pid(self) -> int:
        """The machine's id of its libvirtd. Raises LabError when there is none."""
        return self._pid_in(Path("/run/libvirtd.pid"))

    def _pid_in(self, file: Path) -> int:
        inner = int(Path(f"/proc/{self.init_pid()}/root{file}").read_text())
        for pid, candidate in self.processes().items():
            if candidate == inner and b"libvirtd" in _arguments_of(pid)[0]:
                return pid
        raise LabError(f"{self.name} runs no libvirtd.")

    @property
    def _log(self) -> Path:
        return self.plan.directory / "host.log"


def new_uuid() -> str:
    return str(uuid.uuid4())


def _arguments_of(pid: int) -> list[bytes]:
    """At least one, which is empty for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return [b""]
