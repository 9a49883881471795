"""What a test creates machines with: asked for as the page does, done in this process, looked at by virsh."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.utils import timezone

from deploy.lab.boot_image import cached_boot_image
from deploy.lab.host import Host
from deploy.lab.process import LabError
from hypervisors.inventory.refresh_requests import request_storage_pool_refresh
from hypervisors.libvirtxml.domain_spec import CpuSpec, DomainSpec, InterfaceSpec
from hypervisors.models import Hypervisor, Operation, StoragePool, Volume
from hypervisors.operations.engine import records
from hypervisors.operations.engine.requests import request_operation
from hypervisors.operations.engine.runner import run_operation
from tests.lab.portals import Portal
from tests.watching import wait_until

MIB = 1024**2
POOL = "shared"


class Creator:
    """alice's requests for machines on the first host, and what became of them."""

    def __init__(self, portal: Portal, storage_pool: StoragePool) -> None:
        self.portal = portal
        self.storage_pool = storage_pool

    @property
    def host(self) -> Host:
        return self.portal.hosts[0]

    def given(self, name: str, **fields: Any) -> dict[str, Any]:
        """A small machine with one new disk, not started."""
        disk = {"action": "new", "storage_pool_id": self.storage_pool.pk, "capacity_bytes": 16 * MIB}
        found: dict[str, Any] = {"name": name, "method": "import", "start": False, "disks": [disk]}
        found |= {"method": "pxe", "install": False, "spec": small_spec(name).to_json()}
        return found | fields

    def ask(self, given: dict[str, Any], *, kind: str = "create_domain") -> Operation:
        host = Hypervisor.objects.select_related("hypervisor_pool").get(pk=self.portal.rows[0].pk)
        return request_operation(user=self.portal.alice, kind=kind, subject=host, parameters=given)

    def create(self, given: dict[str, Any]) -> Operation:
        return run_to_end(self.ask(given))

    def names(self) -> list[str]:
        """Of all machines, on both hosts."""
        lists = [host.virsh("list", "--all", "--name") for host in self.portal.hosts]
        return [name for text in lists for name in text.splitlines() if name]

    def anywhere(self, command: str, name: str) -> str:
        """What virsh says of a machine on the host that has it."""
        host = next(host for host in self.portal.hosts if name in host.virsh("list", "--all", "--name").splitlines())
        return host.virsh(command, name)

    def remove(self, name: str) -> None:
        """A machine with all that was made for it."""
        for host in self.portal.hosts:
            _try(host, "destroy", name)
            _try(host, "undefine", name, "--nvram", "--snapshots-metadata")
        for volume in self.volumes():
            if volume.startswith((f"{name}.", f"{name}-")):
                (self.host.lab.pool_path / volume).unlink()

    def volumes(self) -> list[str]:
        """Those in the storage pool, as its directory has them."""
        return sorted(path.name for path in self.host.lab.pool_path.iterdir())

    def image(self, name: str) -> dict[str, Any]:
        """What qemu-img says of a volume."""
        path = self.host.lab.pool_path / name
        found: dict[str, Any] = json.loads(self.host.run("qemu-img", "info", "-U", "--output=json", str(path)))
        return found

    def mirrored(self, name: str) -> Volume:
        """The row of a volume, once the watcher has seen it."""
        request_storage_pool_refresh(self.storage_pool.hypervisor_id, self.storage_pool.uuid)
        volume: Volume = wait_until(
            lambda: Volume.objects.present().filter(storage_pool=self.storage_pool, name=name).first(), seconds=60
        )
        return volume

    def put(self, name: str, *, format_: str = "qcow2", content: bytes = b"", size: str = "16M") -> Volume:
        """A volume made behind vmportal's back, with these bytes at its beginning."""
        path = self.host.lab.pool_path / name
        if format_ == "iso":
            path.write_bytes(content)
        else:
            self.host.run("qemu-img", "create", "-q", "-f", format_, str(path), size)
            if content:
                data = path.with_suffix(".data")
                data.write_bytes(content.ljust(64 * 1024, b"\0"))
                self.host.run("qemu-io", "-f", format_, "-c", f"write -s {data} 0 64k", str(path))
                data.unlink()
        return self.mirrored(name)


@contextmanager
def creator(portal: Portal) -> Iterator[Creator]:
    """Whatever a test makes is taken away afterwards."""
    rows = StoragePool.objects.filter(name=POOL, active=True).exclude(shared_storage=None)
    wait_until(lambda: rows.count() == 2)
    made = Creator(portal, rows.get(hypervisor=portal.rows[0]))
    before = (set(made.names()), set(made.volumes()))
    try:
        yield made
    finally:
        for name in set(made.names()) - before[0]:
            made.remove(name)
        for name in set(made.volumes()) - before[1]:
            (made.host.lab.pool_path / name).unlink(missing_ok=True)
        for host in portal.hosts:
            _try(host, "pool-refresh", POOL)


def small_spec(name: str, **fields: Any) -> DomainSpec:
    """One that every lab host runs, booted with the lab's kernel."""
    image = cached_boot_image()
    values: dict[str, Any] = {
        "name": name,
        "virt_type": "qemu",
        "cpu": CpuSpec(mode=""),
        "memory_kib": 96 * 1024,
        "kernel_path": str(image.kernel),
        "initrd_path": str(image.initramfs),
        "cmdline": "console=tty1 quiet loglevel=0 panic=5 lab.name=made",
        "interfaces": (InterfaceSpec(source="default"),),
        "video": "vga",
        "spare_root_ports": 2,
    }
    return DomainSpec(**values | fields)


def run_to_end(operation: Operation, *, seconds: float = 60) -> Operation:
    """Deliver it whenever it wants to be, as the queue does."""
    deadline = time.monotonic() + seconds
    while (again_in_seconds := run_operation(operation.pk)) is not None:
        assert time.monotonic() < deadline, Operation.objects.get(pk=operation.pk).progress
        time.sleep(min(0.3, again_in_seconds))
    operation.refresh_from_db()
    return operation


def make_stale(operation: Operation) -> None:
    """Its worker has not been heard of for long."""
    long_ago = timezone.now() - timedelta(seconds=records.STALE_SECONDS + 1)
    Operation.objects.filter(pk=operation.pk).update(heartbeat_at=long_ago)


def states_of(operation: Operation) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in operation.steps}


def counts_on(host: Host, domain: str, *, seconds: int = 60) -> bool:
    """Whether the lab's guest counts on its serial line."""
    terminal = host.virsh("ttyconsole", domain)
    text = host.run("timeout", str(seconds), "grep", "-m", "1", "-a", "count ", terminal, timeout_seconds=seconds + 10)
    return "count" in text


def _try(host: Host, *arguments: str) -> None:
    try:
        host.virsh(*arguments)
    except LabError:
        return
