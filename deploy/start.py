"""The command `./run`: start a stack and what it needs of the machine, say where it is, stop it all on Ctrl-C."""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from deploy.environment import REPOSITORY, BadDataDirectory, check_data_dir
from deploy.machine import (
    LOCAL_URI,
    Keeper,
    MachineError,
    has_systemd,
    libvirt_problem,
    start_libvirt_with_systemd,
)
from deploy.stack import Stack, StackError

_FIRST_CONTACT_SECONDS = 10


def main() -> int:
    commands: dict[str, Callable[[list[str]], int]] = {"ctl": _control, "manage": _manage}
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        return commands[name](sys.argv[2:]) if name in commands else _run(_arguments(sys.argv[1:]))
    except (StackError, MachineError, BadDataDirectory) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, _Terminated):
        return 130


class _Terminated(BaseException):
    """SIGTERM or SIGHUP: stop as on Ctrl-C."""


def _run(arguments: argparse.Namespace) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    # Python leaves it ignored where it was inherited so: from a script that starts this in its background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    host, port = arguments.listen
    stack = Stack(_data_dir(arguments.data_dir), port, os.environ, host=host)
    stack.claim()
    _say(f"Data is kept in {stack.data_dir}")
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(_undisturbed, stack.stop)
        hypervisors = _machine_hypervisors(stack, arguments.lab, cleanup)
        # The portal stops before what it looks at; stopping twice is harmless.
        cleanup.callback(_undisturbed, stack.stop)
        _say("Preparing the database and the static files")
        admin_created = stack.prepare(hypervisors)["admin_created"]
        _remember_local_registration(stack, hypervisors)
        _say("Starting the processes")
        stack.launch()
        stack.wait_healthy()
        _say(_hypervisors_seen(stack))
        _print_welcome(stack, admin_created=admin_created)
        if not arguments.check:
            _wait(stack)
        _say("Stopping")
    return 0


# --- arguments


def _arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run", description="Set up and start vmportal.")
    parser.add_argument("--lab", type=_host_count, default=0, metavar="N")
    parser.add_argument("--listen", type=_address, default=("127.0.0.1", 8080), metavar="HOST:PORT")
    parser.add_argument("--data-dir", default=None, metavar="DIR")
    parser.add_argument("--check", action="store_true")
    return parser.parse_args(given)


def _host_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of hosts from 1 to 32")
    return int(text)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 0.0.0.0:8080")
    host = host.removeprefix("[").removesuffix("]") or "0.0.0.0"
    try:
        socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"the address {host!r} is not known: {error.strerror}") from error
    return host, int(port)


def _data_dir(given: str | None) -> Path:
    called_from = Path(os.environ.get("VMPORTAL_CALLED_FROM", "."))
    return check_data_dir(called_from / given if given else REPOSITORY / "var")


# --- the machine's hypervisors


def _machine_hypervisors(stack: Stack, lab_hosts: int, cleanup: contextlib.ExitStack) -> list[tuple[str, str, str]]:
    """Bring up what is missing; (pool, name, URI) of what is to be registered."""
    problem = libvirt_problem()
    if problem and has_systemd():
        start_libvirt_with_systemd()
        problem = libvirt_problem()
    keeper = Keeper(data_dir=stack.data_dir, libvirtd=bool(problem) and not has_systemd(), lab_hosts=lab_hosts)
    if lab_hosts or (problem and not has_systemd()):
        _say(_keeper_task(lab_hosts, libvirtd=bool(problem)))
        cleanup.callback(_undisturbed, keeper.stop)
        keeper.start()
        problem = libvirt_problem()
    lab = [("lab", host["name"], host["uri"]) for host in keeper.lab_hosts]
    if problem:
        _say(f"This machine's own libvirt does not answer, and is left out: {problem}")
        return lab
    return lab if _local_marker(stack).exists() else [("local", socket.gethostname(), LOCAL_URI), *lab]


def _keeper_task(lab_hosts: int, *, libvirtd: bool) -> str:
    tasks = ["libvirtd"] if libvirtd else []
    tasks += [f"a lab of {lab_hosts} hypervisors"] if lab_hosts else []
    return f"Starting {' and '.join(tasks)}"


def _local_marker(stack: Stack) -> Path:
    # Who removes this machine from the portal does not want it back at the next start.
    return stack.data_dir / "local-hypervisor-registered"


def _remember_local_registration(stack: Stack, hypervisors: list[tuple[str, str, str]]) -> None:
    if any(uri == LOCAL_URI for _, _, uri in hypervisors):
        _local_marker(stack).touch()


# --- running


def _hypervisors_seen(stack: Stack) -> str:
    """How many hypervisors the watcher has reached; it is given a few seconds for it."""
    deadline = time.monotonic() + _FIRST_CONTACT_SECONDS
    while True:
        seen = stack.health()[1].get("hypervisors", {"online": 0, "total": 0})
        if seen["online"] == seen["total"] or time.monotonic() > deadline:
            return f"{seen['online']} of {seen['total']} hypervisors online"
        time.sleep(0.2)


def _print_welcome(stack: Stack, *, admin_created: bool) -> None:
    if stack.admin_password:
        kept = f"(also in {stack.data_dir / 'admin-password'}, for your eyes only, until it is changed)"
        password = f"{stack.admin_password}  {kept}"
    else:
        password = "the one you chose; to set a new one: ./run manage changepassword admin"
    print(f"\n  vmportal   {stack.url}/\n  user       admin\n  password   {password}\n", flush=True)
    if admin_created:
        print("  This password was made up just now. Change it in the portal, under your name.\n", flush=True)
    print("  Ctrl-C stops everything. Beside it: ./run ctl status, ./run ctl restart worker\n", flush=True)


def _wait(stack: Stack) -> None:
    """Until Ctrl-C, SIGTERM, or Supervisor's end (`./run ctl shutdown`)."""
    with contextlib.suppress(KeyboardInterrupt, _Terminated):
        while stack.is_running:
            time.sleep(0.5)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def _undisturbed(stop: Callable[[], None]) -> None:
    """A second Ctrl-C while we stop would leave something behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    stop()


def _say(line: str) -> None:
    print(f"· {line}", flush=True)


# --- beside a running stack


def _control(given: list[str]) -> int:
    data_dir, rest = _split_data_dir(given)
    configuration = data_dir / "supervisord.conf"
    if not configuration.exists():
        raise StackError(f"No vmportal was started on {data_dir}. Say --data-dir, or start it with ./run.")
    command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(configuration), *rest]
    return subprocess.run(command, cwd=REPOSITORY, check=False).returncode


def _manage(given: list[str]) -> int:
    data_dir, rest = _split_data_dir(given)
    environment = Stack(data_dir, env=os.environ).attached_environment()
    # Where the caller is now, not where the stack was started from.
    environment |= {"VMPORTAL_CALLED_FROM": os.environ.get("VMPORTAL_CALLED_FROM", os.getcwd())}
    command = [sys.executable, str(REPOSITORY / "manage.py"), *rest]
    return subprocess.run(command, env=environment, check=False).returncode


def _split_data_dir(given: list[str]) -> tuple[Path, list[str]]:
    if given[:1] == ["--data-dir"] and len(given) > 1:
        return _data_dir(given[1]), given[2:]
    return _data_dir(None), given


if __name__ == "__main__":
    sys.exit(main())
