#!/usr/bin/env python3
"""Does, as root, what vmportal needs of the machine while it runs: libvirt's daemons, the lab.

`./run` starts this with sudo where it is not root itself, and holds its standard input open. When that closes, however
`./run` ended, everything that was started here is ended. It prints one line of JSON when all is up:
{"hosts": the lab's} or {"error": text}. Python's standard library only: it runs on the system's own python3.
"""

import argparse
import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

LAB = Path(__file__).resolve().parent / "lab"
LIBVIRT_SOCKET = Path("/run/libvirt/libvirt-sock")
# As systemd's units have it, except that without systemd there is no polkit to ask: the group decides.
LIBVIRTD_CONFIGURATION = """\
unix_sock_group = "libvirt"
unix_sock_rw_perms = "0770"
auth_unix_ro = "none"
auth_unix_rw = "none"
"""
DAEMONS = ("virtlogd", "libvirtd")


class KeeperError(Exception):
    """Something could not be started."""


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    adopt_orphans()
    daemons = Daemons(arguments.state_dir / "libvirt")
    try:
        try:
            if arguments.libvirtd:
                daemons.start()
            if arguments.lab:
                bring_lab_up(arguments)
        except (KeeperError, OSError) as error:
            print(json.dumps({"error": str(error)}), flush=True)
            return 1
        print(json.dumps({"hosts": lab_hosts(arguments) if arguments.lab else []}), flush=True)
        while not input_closes_within(1):
            daemons.restart_ended()
    finally:
        if arguments.lab:
            run_lab("down", "--state-dir", str(arguments.lab_dir))
        daemons.stop()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--libvirtd", action="store_true", help="start libvirtd and virtlogd, which nobody else does")
    parser.add_argument("--lab", type=int, default=0, metavar="HOSTS", help="bring up a lab of so many hypervisors")
    parser.add_argument("--lab-dir", type=Path)
    parser.add_argument("--lab-name")
    parser.add_argument("--guests", type=int, default=0)
    return parser.parse_args()


def input_closes_within(seconds: float) -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(readable) and not os.read(sys.stdin.fileno(), 1024)


# --- libvirtd's orphans

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def adopt_orphans() -> None:
    """Reap the QEMUs that libvirtd starts to learn what they can do, once it has killed them.

    They are nobody's children. Where process 1 is slow to reap, as in many containers, libvirtd waits for it two
    seconds at a time, a quarter of a minute in all.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0:
        signal.signal(signal.SIGCHLD, _reap)


def _reap(number: int, frame: "FrameType | None") -> None:
    for pid in _children():
        with contextlib.suppress(OSError):
            # Those that this program started are waited for where they were started.
            if Path(f"/proc/{pid}/comm").read_text().startswith("qemu"):
                os.waitpid(pid, os.WNOHANG)


def _children() -> "list[int]":
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


# --- the lab


def bring_lab_up(arguments: argparse.Namespace) -> None:
    # What an earlier run may have left behind when the machine was switched off.
    if arguments.lab_dir.exists():
        run_lab("down", "--state-dir", str(arguments.lab_dir))
    options = {"name": arguments.lab_name, "hosts": arguments.lab, "guests": arguments.guests}
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    status = run_lab("up", "--state-dir", str(arguments.lab_dir), *given)
    if status != 0:
        raise KeeperError(f"The lab did not come up (status {status}); the reason stands above.")


def lab_hosts(arguments: argparse.Namespace) -> "list[dict[str, str]]":
    """Name and URI of each of the lab's hosts; its files are root's alone."""
    hosts = json.loads((arguments.lab_dir / "lab.json").read_text())["hosts"]
    return [{"name": host["name"], "uri": host["uri"]} for host in hosts]


def run_lab(*arguments: str) -> int:
    # A session of its own: Ctrl-C at the terminal must not reach the lab's hosts.
    command = [sys.executable, str(LAB), *arguments]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True, check=False
    ).returncode


# --- libvirt's daemons, on machines without systemd


class Daemons:
    """virtlogd and libvirtd as children of this process."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Returns when libvirtd's socket answers. Raises KeeperError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "libvirtd.conf").write_text(LIBVIRTD_CONFIGURATION)
        self._give_to_owner_of_data()
        Path("/run/libvirt").mkdir(mode=0o755, exist_ok=True)
        for name in DAEMONS:
            self._start(name)
        deadline = time.monotonic() + 20
        while not self._answers():
            if time.monotonic() > deadline or self._running["libvirtd"].poll() is not None:
                raise KeeperError(f"libvirtd did not start. The end of its log:\n{self._tail('libvirtd')}")
            time.sleep(0.1)

    def restart_ended(self) -> None:
        for name, process in list(self._running.items()):
            if process.poll() is not None:
                self._start(name)

    def stop(self) -> None:
        for process in reversed(self._running.values()):
            process.terminate()
        for process in reversed(self._running.values()):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._running:
            LIBVIRT_SOCKET.unlink(missing_ok=True)
            self._give_to_owner_of_data()
        self._running.clear()

    def _give_to_owner_of_data(self) -> None:
        # Root's files in somebody's data directory would be hard to remove.
        owner = self._directory.parent.stat()
        for path in (self._directory, *self._directory.iterdir()):
            os.chown(path, owner.st_uid, owner.st_gid)

    def _start(self, name: str) -> None:
        options = ["-f", str(self._directory / "libvirtd.conf")] if name == "libvirtd" else []
        with (self._directory / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "--", f"/usr/sbin/{name}", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _answers(self) -> bool:
        command = ["virsh", "--connect", "qemu:///system", "--quiet", "version"]
        return (
            subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
            ).returncode
            == 0
        )

    def _tail(self, name: str) -> str:
        return "\n".join((self._directory / f"{name}.log").read_text(errors="replace").splitlines()[-10:])


if __name__ == "__main__":
    sys.exit(main())
