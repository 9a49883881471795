"""The commands of `python3 deploy/lab`."""

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from deploy.lab.fault import HOST_FAULTS, QEMU_FAULTS
from deploy.lab.guest import define_guest
from deploy.lab.lab import Lab, bring_up, find_lab_plan, load_lab, take_down, write_lab_file
from deploy.lab.process import LabError


def main() -> int:
    signal.signal(signal.SIGTERM, _terminate)
    arguments = _parser().parse_args()
    try:
        status: int = arguments.function(arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, _Terminated):
        return 130
    return status


class _Terminated(BaseException):
    """SIGTERM: a lab half up is taken down, as on Ctrl-C."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="Real libvirt hypervisors on one machine. Needs root.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="bring a lab up; one that is up stays as it is")
    _add_lab_options(up, name_required=True, directory_required=True)
    up.add_argument("--hosts", type=int, default=2, metavar="N")
    up.add_argument("--guests", type=int, default=0, metavar="M", help="tiny guests to play with, over all hosts")
    up.add_argument("--sasl-host", type=int, default=0, metavar="K", help="the host that wants a user and password")
    up.set_defaults(function=_up)
    _add_command(commands, "down", _down, "take a lab down, also a half-made or crashed one; nothing stays")
    _add_command(commands, "status", _status, "what a lab is made of and how each host fares")
    guest = _add_command(commands, "guest", _guest, "define and start one more guest")
    guest.add_argument("host", metavar="HOST")
    guest.add_argument("domain", metavar="NAME")
    for fault in (*HOST_FAULTS, *QEMU_FAULTS):
        command = _add_command(commands, fault, _fault, f"{fault.replace('-', ' ')}, of one host")
        command.set_defaults(fault=fault)
        command.add_argument("host", metavar="HOST", help="its name or its number")
        if fault in QEMU_FAULTS:
            command.add_argument("domain", metavar="DOMAIN")
    return parser


def _add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, function: object, help_text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=help_text)
    _add_lab_options(command)
    command.set_defaults(function=function)
    return command


def _add_lab_options(
    parser: argparse.ArgumentParser, *, name_required: bool = False, directory_required: bool = False
) -> None:
    parser.add_argument("--name", required=name_required, help="the lab's name")
    parser.add_argument("--state-dir", type=Path, required=directory_required, help="the lab's own directory")


def _up(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    lab = bring_up(
        arguments.name,
        arguments.state_dir,
        host_count=arguments.hosts,
        guest_count=arguments.guests,
        sasl_host=arguments.sasl_host,
    )
    for host in lab.hosts:
        print(f"{host.name:<24} {host.uri}")
    for guest in lab.example_guests:
        print(f"{guest.name:<24} on {guest.host_name}")
    print(f"Up in {time.monotonic() - started:.1f} s; all of it stands in {lab.plan.file}")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    if not (arguments.name or arguments.state_dir):
        raise LabError("Name the lab: --name or --state-dir.")
    plan = find_lab_plan(arguments.name, arguments.state_dir)
    if plan is None:
        print("There is no such lab.")
        return 0
    take_down(plan)
    print(f"{plan.name} is down.")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    lab = _lab(arguments)
    hosts = {host.name: {"running": host.is_running(), "libvirtd": host.accepts()} for host in lab.hosts}
    print(json.dumps({"name": lab.name, "directory": str(lab.plan.directory), "hosts": hosts}, indent=2))
    return 0 if all(host["running"] and host["libvirtd"] for host in hosts.values()) else 1


def _guest(arguments: argparse.Namespace) -> int:
    guest = define_guest(_lab(arguments).host(arguments.host), arguments.domain)
    print(json.dumps(guest.as_json(), indent=2))
    return 0


def _fault(arguments: argparse.Namespace) -> int:
    lab = _lab(arguments)
    host = lab.host(arguments.host)
    if arguments.fault in QEMU_FAULTS:
        QEMU_FAULTS[arguments.fault](host, arguments.domain)
    else:
        HOST_FAULTS[arguments.fault](host)
        write_lab_file(lab)
    return 0


def _lab(arguments: argparse.Namespace) -> Lab:
    plan = find_lab_plan(arguments.name, arguments.state_dir)
    if plan is None:
        raise LabError("There is no such lab: name one that is up by --name or --state-dir.")
    return load_lab(plan.directory)
