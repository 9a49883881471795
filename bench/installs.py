"""New machines through vmportal against virt-install and a shell loop of virsh: `python -m bench.installs`, as root.

A disk that says a line on its serial port as soon as its boot loader runs stands for the system. Both sides take turns
on one host. Ours is measured from the request, as a page files it, to the line; the workers are the stack's own.
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.figures import Figure
from deploy.lab.host import Host
from deploy.lab.lab import bring_up, find_lab_plan, take_down
from deploy.lab.process import LabError, run
from deploy.stack import Stack

LAB, POOL = "benchi", "shared"
PAIRS, CLONES = 5, 10
_LINE = "SYSLINUX"
_MIB = 1024**2
_MOST_SECONDS = 120.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.installs", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, for bench/run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vmportal-bench-") as scratch, _lab(Path(scratch)) as host:
        stack = Stack(Path(scratch) / "data")
        stack.start()
        try:
            stack.manage("register_hypervisor", "-v", "0", "--pool", "lab", "--name", host.name, "--uri", host.uri)
            os.environ.update(stack.attached_environment() | {"DJANGO_SETTINGS_MODULE": "vmportal.settings"})
            figures = _measured(host)
        finally:
            stack.stop()
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(figure) for figure in figures]))
    print("\n".join(figure.row() for figure in figures))


@contextmanager
def _lab(directory: Path) -> Iterator[Host]:
    try:
        yield bring_up(LAB, directory / "lab", host_count=1).hosts[0]
    finally:
        plan = find_lab_plan(LAB, None)
        if plan is not None:
            take_down(plan)


def _measured(host: Host) -> list[Figure]:
    import django

    django.setup()
    # Each request is an audit line.
    logging.disable(logging.INFO)
    _make_disk(host.lab.pool_path / "base.qcow2")
    host.virsh("pool-refresh", POOL)
    portal = _Portal(host)
    return [_first_line_figure(host, portal), _clones_figure(host, portal)]


def _make_disk(path: Path) -> None:
    """A floppy's worth of FAT whose boot loader says so on the serial port."""
    raw, configuration = path.with_suffix(".raw"), path.with_suffix(".cfg")
    with raw.open("wb") as file:
        file.truncate(16 * _MIB)
    run("mkfs.vfat", "-F", "16", str(raw))
    configuration.write_text("SERIAL 0 115200\nPROMPT 1\nTIMEOUT 0\n")
    run("mcopy", "-i", str(raw), str(configuration), "::syslinux.cfg")
    run("syslinux", "--install", str(raw))
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(path))
    raw.unlink()
    configuration.unlink()


class _Portal:
    """alice's requests, filed as a page files them."""

    def __init__(self, host: Host) -> None:
        from django.contrib.auth.models import User

        from hypervisors.models import Hypervisor, StoragePool

        self._host = host
        self.alice = User.objects.filter(is_superuser=True)[0]
        self.row = _waited(lambda: Hypervisor.objects.filter(status="online").select_related("hypervisor_pool").first())
        self.pool = _waited(lambda: StoragePool.objects.filter(name=POOL, active=True).first())

    def volume(self, name: str) -> Any:
        from hypervisors.inventory.refresh_requests import request_storage_pool_refresh
        from hypervisors.models import Volume

        request_storage_pool_refresh(self.row.pk, self.pool.uuid)
        return _waited(lambda: Volume.objects.present().filter(storage_pool=self.pool, name=name).first())

    def create(self, name: str, disk: dict[str, Any], *, count: int = 1) -> Callable[[], bool]:
        """Ask; what tells whether all are done. Raises: RuntimeError when one is not made."""
        from hypervisors.models import Operation
        from hypervisors.operations.domains.creation.requests import request_creation

        given = {"name": name, "method": "import", "spec": _spec(), "disks": [disk], "start": True}
        asked = request_creation(user=self.alice, given=given, hypervisor=self.row, count=count)
        wanted = [operation.pk for operation in asked.accepted]

        def are_done() -> bool:
            states = dict(Operation.objects.filter(pk__in=wanted).values_list("state", "outcome"))
            if set(states) - {"queued", "running", "succeeded"}:
                raise RuntimeError(str(states))
            return set(states) == {"succeeded"}

        return are_done


def _spec() -> dict[str, Any]:
    from hypervisors.libvirtxml.domain_spec import CpuSpec, DomainSpec, InterfaceSpec

    return DomainSpec(
        name="x",
        virt_type="qemu",
        cpu=CpuSpec(mode=""),
        memory_kib=64 * 1024,
        interfaces=(InterfaceSpec(source="default"),),
        video="vga",
    ).to_json()


def _first_line_figure(host: Host, portal: _Portal) -> Figure:
    pairs = []
    for number in range(PAIRS + 1):
        name = f"first-{number}"
        seconds = {}
        for by in ("portal", "virt-install") if number % 2 else ("virt-install", "portal"):
            disk = host.lab.pool_path / f"{name}.qcow2"
            run("cp", str(host.lab.pool_path / "base.qcow2"), str(disk))
            host.virsh("pool-refresh", POOL)
            plan = {"action": "existing", "source_volume_id": portal.volume(disk.name).pk}
            reader = _FirstLine(host, name)
            started = time.perf_counter()
            if by == "portal":
                portal.create(name, plan)
            else:
                _virt_install(host, name, disk)
            seconds[by] = reader.wait() - started
            _remove(host, name)
            portal.volume("base.qcow2")
            _forgotten(name)
        if number:
            pairs.append((seconds["virt-install"], seconds["portal"]))
    theirs, ours = (statistics.median(values) for values in zip(*pairs, strict=True))
    return Figure(
        what="An existing disk to the guest's first serial line, against `virt-install --import`",
        value=f"{ours:.2f} s against {theirs:.2f} s: × {ours / theirs:.2f}",
        target="× 1.05 + 0.3 s",
        met=ours <= theirs * 1.05 + 0.3,
    )


def _virt_install(host: Host, name: str, disk: Path) -> None:
    options = ["--name", name, "--memory", "64", "--import", "--disk", f"path={disk},format=qcow2,bus=virtio"]
    options += ["--network", "network=default", "--osinfo", "generic", "--graphics", "vnc", "--video", "vga"]
    options += ["--virt-type", "qemu", "--noautoconsole", "--wait", "0", "--quiet"]
    subprocess.run(["virt-install", "--connect", host.uri, *options], check=True, stdout=subprocess.DEVNULL)


class _FirstLine:
    """Waits in a thread for the first line on a machine's serial port; looks for the port from now on."""

    def __init__(self, host: Host, name: str) -> None:
        self._host, self._name = host, name
        self._seen_at = 0.0
        self._thread = threading.Thread(target=self._watch, name="first-line", daemon=True)
        self._thread.start()

    def wait(self) -> float:
        """When it came, of time.perf_counter(). Raises: RuntimeError when it does not."""
        self._thread.join(_MOST_SECONDS)
        if not self._seen_at:
            raise RuntimeError(f"{self._name} said nothing on its serial port.")
        return self._seen_at

    def _watch(self) -> None:
        root = Path(f"/proc/{self._host.init_pid()}/root")
        terminal = ""
        while not terminal:
            with suppress(LabError):
                terminal = self._host.virsh("ttyconsole", self._name)
        with (root / terminal.lstrip("/")).open("rb", buffering=0) as port:
            text = b""
            while _LINE.encode() not in text:
                text += port.read(256) or b""
        self._seen_at = time.perf_counter()


def _clones_figure(host: Host, portal: _Portal) -> Figure:
    base = portal.volume("base.qcow2")
    plan = {"action": "overlay", "storage_pool_id": portal.pool.pk, "source_volume_id": base.pk}
    _virt_install_template(host)
    pairs = []
    for number in range(3):
        started = time.perf_counter()
        are_done = portal.create(f"ours{number}-{{n}}", plan, count=CLONES)
        _waited(are_done)
        ours = time.perf_counter() - started
        for index in range(1, CLONES + 1):
            _remove(host, f"ours{number}-{index}")
        started = time.perf_counter()
        for index in range(1, CLONES + 1):
            _clone_by_shell(host, f"shell{number}-{index}")
        theirs = time.perf_counter() - started
        for index in range(1, CLONES + 1):
            _remove(host, f"shell{number}-{index}")
        pairs.append((theirs, ours))
    theirs, ours = (statistics.median(values) for values in zip(*pairs, strict=True))
    return Figure(
        what=f"{CLONES} linked clones in one request, all started, against a loop of virt-clone and virsh",
        value=f"{ours:.1f} s against {theirs:.1f} s: × {ours / theirs:.2f}",
        target="× 0.6",
        met=ours <= theirs * 0.6,
    )


def _virt_install_template(host: Host) -> None:
    options = ["--name", "template", "--memory", "64", "--import", "--osinfo", "generic", "--virt-type", "qemu"]
    options += ["--disk", f"path={host.lab.pool_path / 'base.qcow2'},format=qcow2,bus=virtio", "--print-xml"]
    xml = run("virt-install", "--connect", host.uri, "--dry-run", *options, "--network", "network=default")
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write(xml)
        file.flush()
        host.virsh("define", file.name)


def _clone_by_shell(host: Host, name: str) -> None:
    backing = ("--backing-vol", "base.qcow2", "--backing-vol-format", "qcow2")
    host.virsh("vol-create-as", POOL, f"{name}.qcow2", "16M", "--format", "qcow2", *backing)
    path = str(host.lab.pool_path / f"{name}.qcow2")
    options = ("--original", "template", "--name", name, "--file", path, "--preserve-data", "--quiet")
    run("virt-clone", "--connect", host.uri, *options)
    host.virsh("start", name)


def _remove(host: Host, name: str) -> None:
    for command in (("destroy", name), ("undefine", name)):
        with suppress(LabError):
            host.virsh(*command)
    (host.lab.pool_path / f"{name}.qcow2").unlink(missing_ok=True)
    host.virsh("pool-refresh", POOL)


def _forgotten(name: str) -> None:
    from hypervisors.models import Domain, Volume

    _waited(lambda: not Domain.objects.present().filter(name=name).exists())
    Volume.objects.filter(name=f"{name}.qcow2").delete()


def _waited(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + _MOST_SECONDS
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError("Nothing within two minutes.")
        time.sleep(0.02)
    return found


if __name__ == "__main__":
    main()
