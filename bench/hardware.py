"""A live network card and disk: through vmportal, from the request until its page would show them, against virsh.

`python -m bench.hardware`, as root. Both take turns on one running guest, which lets go of each again.
That takes it seconds each time, so all of it some eight minutes; each pair is told as it comes.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.figures import Figure
from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.host import Host
from deploy.lab.lab import bring_up, find_lab_plan, take_down
from deploy.lab.process import run
from deploy.stack import Stack

LAB = "benchh"
PAIRS = 8
_MOST_SECONDS = 60.0
_MAC = "52:54:00:00:be:01"
_CARD = (
    f"<interface type='network'><mac address='{_MAC}'/><source network='default'/><model type='virtio'/></interface>"
)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="vmportal-bench-") as scratch, _lab(Path(scratch)) as host:
        stack = Stack(Path(scratch) / "data")
        stack.start()
        guest = define_guest(host, "measured", start=True)
        try:
            guest.wait_until_counting()
            stack.manage("register_hypervisor", "-v", "0", "--pool", "lab", "--name", host.name, "--uri", host.uri)
            os.environ.update(stack.attached_environment() | {"DJANGO_SETTINGS_MODULE": "vmportal.settings"})
            figures = _measured(host, guest)
        finally:
            remove_guest([host], guest)
            stack.stop()
    print("\n".join(figure.row() for figure in figures))


@contextmanager
def _lab(directory: Path) -> Iterator[Host]:
    try:
        yield bring_up(LAB, directory / "lab", host_count=1).hosts[0]
    finally:
        plan = find_lab_plan(LAB, None)
        if plan is not None:
            take_down(plan)


def _measured(host: Host, guest: Guest) -> list[Figure]:
    import django

    django.setup()
    # Each request is an audit line.
    logging.disable(logging.INFO)
    disk = host.lab.pool_path / "plugged.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", str(disk), "16M")
    disk_xml = (
        f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/>"
        "<target dev='vdb' bus='virtio'/></disk>"
    )
    card = {"type": "network", "source_network": "default", "model": "virtio", "mac": _MAC}
    given = {"type": "file", "source_file": str(disk), "format": "qcow2", "bus": "virtio", "target_dev": "vdb"}
    sides = _Sides(host, guest)
    return [
        sides.figure("network card", "interface", card, _CARD, device_id=f"interface:{_MAC}"),
        sides.figure("disk", "disk", given, disk_xml, device_id="disk:vdb"),
    ]


class _Sides:
    """Both ways to plug in; whoever did it, it is taken out behind our back."""

    def __init__(self, host: Host, guest: Guest) -> None:
        from django.contrib.auth.models import User

        self._host, self._guest = host, guest
        self._alice = User.objects.filter(is_superuser=True)[0]
        self._file = Path(host.lab.directory) / "device.xml"

    def figure(self, what: str, type_key: str, values: dict[str, Any], xml: str, *, device_id: str) -> Figure:
        self._file.write_text(xml)
        pairs = []
        for number in range(PAIRS + 1):
            seconds = {}
            for by in ("portal", "virsh") if number % 2 else ("virsh", "portal"):
                _waited(lambda: self._is_gone(device_id))
                started = time.perf_counter()
                if by == "portal":
                    self._ask(type_key, values)
                    _waited(lambda: self._is_shown(device_id))
                else:
                    self._host.virsh("attach-device", self._guest.uuid, str(self._file), "--live", "--config")
                seconds[by] = time.perf_counter() - started
                _waited(lambda: self._is_shown(device_id))
                self._host.virsh("detach-device", self._guest.uuid, str(self._file), "--live", "--config")
            if number:
                pairs.append((seconds["virsh"], seconds["portal"]))
                print(f"{what} {number} of {PAIRS}: virsh {seconds['virsh']:.2f} s, portal {seconds['portal']:.2f} s")
        theirs, ours = (statistics.median(values) for values in zip(*pairs, strict=True))
        return Figure(
            what=f"A live {what} to the rows that its page shows, against `virsh attach-device`",
            value=f"{ours:.2f} s against {theirs:.2f} s: × {ours / theirs:.2f}",
            target="× 1.05 + 0.3 s",
            met=ours <= theirs * 1.05 + 0.3,
        )

    def _ask(self, type_key: str, values: dict[str, Any]) -> None:
        from hypervisors.operations.engine.requests import request_operation

        parameters = {"device_type": type_key, "values": values, "base_sha256": self._row().definition.inactive_sha256}
        request_operation(user=self._alice, kind="add_device", subject=self._row(), parameters=parameters)

    def _is_shown(self, device_id: str) -> bool:
        """Whether the rows have it, as it runs and as it is stored, and nothing is under way."""
        from hypervisors.models import Operation

        return self._sides_with(device_id) == 2 and not Operation.objects.unfinished().exists()

    def _is_gone(self, device_id: str) -> bool:
        """Whether neither has it; libvirt tells nobody that a stored definition lost a device, so it is asked."""
        from hypervisors.inventory.refresh_requests import request_domain_refresh

        row = self._row()
        if self._sides_with(device_id):
            request_domain_refresh(row.hypervisor_id, row.libvirt_uuid)
            time.sleep(0.2)
        return self._sides_with(device_id) == 0

    def _sides_with(self, device_id: str) -> int:
        from hypervisors.libvirtxml.hardware.devices import find_device

        definition = self._row().definition
        return sum(find_device(xml, device_id) is not None for xml in (definition.live_xml, definition.inactive_xml))

    def _row(self) -> Any:
        from hypervisors.models import Domain

        rows = Domain.objects.select_related("hypervisor", "definition").filter(uuid=self._guest.uuid)
        return _waited(rows.first)


def _waited(condition: Callable[[], Any]) -> Any:
    """The first value that is not empty. Raises: RuntimeError."""
    deadline = time.monotonic() + _MOST_SECONDS
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise RuntimeError("What was waited for did not come.")
        time.sleep(0.005)
    return value


if __name__ == "__main__":
    main()
