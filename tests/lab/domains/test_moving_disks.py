"""Disks moved to another storage pool by a real worker, under guests that write; asserted by virsh and qemu-img."""

import os
import signal
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from deploy.lab.host import Host
from deploy.lab.process import LabError
from hypervisors.errors import NotPossible
from hypervisors.inventory.refresh_requests import request_domain_refresh, request_storage_pool_refresh
from hypervisors.models import Domain, Operation, OperationLock, StoragePool, Volume
from hypervisors.operations.engine.requests import request_cancel
from hypervisors.states import DomainState, OperationState
from tests.lab.portals import Portal, PortalGuest, ended, wait_for_operation
from tests.watching import wait_until
from tests.workers import Worker

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("storage",)
MIB = 1024**2
# On the first host's own disk.
DIRECTORY = "/var/lib/libvirt/moved"


@pytest.fixture
def local(portal: Portal) -> Iterator[StoragePool]:
    """A storage pool that only the first host has."""
    host = portal.hosts[0]
    host.run("mkdir", "-p", DIRECTORY)
    host.virsh("pool-create-as", "local", "dir", "--target", DIRECTORY)
    try:
        yield wait_until(
            lambda: StoragePool.objects.filter(hypervisor=portal.rows[0], name="local", active=True).first(), seconds=60
        )
    finally:
        for name in _names(host):
            host.virsh("vol-delete", name, "--pool", "local")
        host.virsh("pool-destroy", "local")


def _names(host: Host, pool: str = "local") -> list[str]:
    host.virsh("pool-refresh", pool)
    return sorted(line.split()[0] for line in host.virsh("vol-list", pool).splitlines() if line.strip())


def _mirrored(guest: PortalGuest) -> Volume:
    """The row of its disk."""
    row: Domain = wait_until(
        Domain.objects.select_related("hypervisor").filter(uuid=guest.uuid, definition__isnull=False).first, seconds=60
    )
    volumes = Volume.objects.present().filter(path=guest.lab_guest.disk_path, format="qcow2")
    # The first look at it may be under way, and have passed the place by.
    read = StoragePool.objects.filter(name="shared", hypervisor=row.hypervisor, volumes_read_at__isnull=False)
    pool: StoragePool = wait_until(read.first, seconds=60)
    request_storage_pool_refresh(pool.hypervisor_id, pool.uuid)
    volume: Volume = wait_until(volumes.filter(storage_pool__hypervisor=row.hypervisor).first, seconds=60)
    return volume


def _fill(portal: Portal, path: str) -> None:
    """So much that a copy at the least speed takes seconds."""
    portal.hosts[0].run("qemu-io", "-f", "qcow2", "-c", "write -P 7 128M 24M", path)


def _move(guest: PortalGuest, pool: StoragePool, **given: Any) -> Operation:
    """Its row may not know yet what virsh did a moment ago."""
    asked: list[Operation] = []

    def is_asked() -> bool:
        with suppress(NotPossible):
            asked.append(guest.ask("move_disk", disk="vda", storage_pool_id=pool.pk, overcommitted=True, **given))
        return bool(asked)

    wait_until(is_asked, seconds=90)
    return asked[0]


def _paths(host: Host, guest: PortalGuest) -> list[str]:
    """Where its disk is, as it runs and as it starts."""
    found = []
    for flags in ((), ("--inactive",)):
        source = ElementTree.fromstring(host.virsh("dumpxml", guest.uuid, *flags)).find("devices/disk/source")
        assert source is not None
        found.append(source.get("file", ""))
    return found


def _is_half_done(row: Operation) -> bool:
    return float(row.progress.get("percent", 0)) > 10


def test_a_disk_moves_under_a_writing_guest_and_holds_the_same(portal: Portal, local: StoragePool) -> None:
    host = portal.hosts[0]
    with portal.guest("mover", disk_mib=1024, writes=True, start=False) as guest:
        old = guest.lab_guest.disk_path
        _fill(portal, old)
        _mirrored(guest)
        host.virsh("start", guest.uuid)
        guest.becomes(state=DomainState.RUNNING)
        guest.wait_until_it_counts()
        # So slow that the guest writes while it is copied.
        operation = _move(guest, local, format="raw", bytes_per_second=48 * MIB)
        wait_for_operation(operation, _is_half_done)
        # It writes no more, so that both images are the same in the end.
        host.virsh("suspend", guest.uuid)
        operation = ended(operation)
        assert operation.state == OperationState.SUCCEEDED, operation.outcome
        assert "is still in the storage pool “shared”" in operation.outcome
        new = f"{DIRECTORY}/mover.img"
        assert _paths(host, guest) == [new, new]
        said = host.run("qemu-img", "compare", "-U", "-f", "qcow2", "-F", "raw", old, new, timeout_seconds=120)
        assert "identical" in said
        host.virsh("resume", guest.uuid)
        guest.becomes(state=DomainState.RUNNING)
        guest.wait_until_it_counts()
        shared = StoragePool.objects.get(hypervisor=portal.rows[0], name="shared")
        wait_until(lambda: Volume.objects.present().filter(storage_pool=local, name="mover.img").exists(), seconds=60)
        back = ended(_move(guest, shared, format="qcow2", delete_source=True))
        assert back.state == OperationState.SUCCEEDED, back.outcome
        # The first one is still there, so this has another name.
        made = str(Path(old).with_name("mover-2.qcow2"))
        assert _paths(host, guest) == [made, made]
        assert _names(host) == []
        guest.wait_until_it_counts()
        host.virsh("destroy", guest.uuid)
        assert "No errors" in host.run("qemu-img", "check", "-f", "qcow2", made)
        host.virsh("vol-delete", "mover-2.qcow2", "--pool", "shared")


def test_a_move_whose_machine_dies_half_way_leaves_it_as_it_was(portal: Portal, local: StoragePool) -> None:
    """The job is lost with QEMU: what was copied until then is nobody's disk."""
    host = portal.hosts[0]
    with portal.guest("dier", disk_mib=256, writes=True, start=False) as guest:
        old = guest.lab_guest.disk_path
        _fill(portal, old)
        _mirrored(guest)
        host.virsh("start", guest.uuid)
        guest.becomes(state=DomainState.RUNNING)
        operation = _move(guest, local, bytes_per_second=MIB, delete_source=True)
        wait_for_operation(operation, _is_half_done)
        os.kill(host.qemu_pid("dier"), signal.SIGKILL)
        operation = ended(operation)
        assert operation.state == OperationState.FAILED, operation.outcome
        guest.becomes(state=DomainState.SHUTOFF)
        assert _paths(host, guest) == [old, old]
        assert _names(host) == []
        assert "No errors" in host.run("qemu-img", "check", "-f", "qcow2", old)
        assert not OperationLock.objects.exists()
        host.virsh("start", guest.uuid)
        guest.becomes(state=DomainState.RUNNING)
        guest.wait_until_it_counts()


def test_a_move_that_is_cancelled_half_way_or_loses_its_worker_leaves_one_whole_disk(
    portal: Portal, local: StoragePool, workers: dict[str, Worker]
) -> None:
    host = portal.hosts[0]
    with portal.guest("stayer", disk_mib=256, writes=True, start=False) as guest:
        old = guest.lab_guest.disk_path
        _fill(portal, old)
        _mirrored(guest)
        host.virsh("start", guest.uuid)
        guest.becomes(state=DomainState.RUNNING)
        operation = _move(guest, local, bytes_per_second=16 * MIB)
        wait_for_operation(operation, _is_half_done)
        with pytest.raises(LabError, match=r"block copy|block job|active"):
            host.virsh("migrate", guest.uuid, f"qemu+tcp://{portal.hosts[1].plan.address}/system", "--live", "--p2p")
        request_cancel(operation, user=portal.alice)
        operation = ended(operation)
        assert operation.state == OperationState.CANCELLED, operation.outcome
        assert _paths(host, guest) == [old, old]
        assert _names(host) == []
        assert not OperationLock.objects.exists()
        operation = _move(guest, local, bytes_per_second=16 * MIB)
        wait_for_operation(operation, _is_half_done)
        workers["storage"].kill()
        workers["storage"].start()
        operation = ended(operation, seconds=150)
        assert operation.state == OperationState.SUCCEEDED, operation.outcome
        new = f"{DIRECTORY}/stayer.qcow2"
        assert _paths(host, guest) == [new, new]
        guest.wait_until_it_counts()


def test_a_disk_of_a_machine_that_is_off_moves_and_the_machine_starts_from_it(
    portal: Portal, local: StoragePool
) -> None:
    host = portal.hosts[0]
    with portal.guest("sleeper", start=False) as guest:
        volume = _mirrored(guest)
        portal.hosts[0].run("qemu-io", "-f", "qcow2", "-c", "write -P 9 0 64k", volume.path)
        operation = ended(_move(guest, local, delete_source=True))
        assert operation.state == OperationState.SUCCEEDED, operation.outcome
        new = f"{DIRECTORY}/sleeper.qcow2"
        assert _paths(host, guest) == [new, new]
        assert "sleeper.qcow2" not in _names(host, "shared")
        assert "verification failed" not in host.run("qemu-io", "-r", "-f", "qcow2", "-c", "read -P 9 0 64k", new)
        host.virsh("start", guest.uuid)
        guest.becomes(state=DomainState.RUNNING)
        host.virsh("destroy", guest.uuid)


def test_images_are_merged_into_the_one_below_and_a_disk_is_made_independent(portal: Portal) -> None:
    host = portal.hosts[0]
    with portal.guest("layers", disk_mib=256, writes=True, start=False) as guest:
        base = guest.lab_guest.disk_path
        _mirrored(guest)
        host.virsh("start", guest.uuid)
        guest.becomes(state=DomainState.RUNNING)
        over = str(Path(base).with_name("layers-over.qcow2"))
        for kind, left in (("commit_disk", base), ("pull_disk", over)):
            spec = f"vda,snapshot=external,file={over}"
            host.virsh("snapshot-create-as", guest.uuid, "--disk-only", "--no-metadata", "--diskspec", spec)
            host.virsh("pool-refresh", "shared")
            operation = _merge(guest, kind, base, over)
            assert operation.state == OperationState.SUCCEEDED, operation.outcome
            assert _paths(host, guest) == [left, left]
            backing = ElementTree.fromstring(host.virsh("dumpxml", guest.uuid)).find("devices/disk/backingStore/source")
            assert backing is None
            guest.wait_until_it_counts()
            assert ("layers-over.qcow2" in _names(host, "shared")) == (left == over)
        host.virsh("destroy", guest.uuid)
        assert "No errors" in host.run("qemu-img", "check", "-f", "qcow2", over)
        host.virsh("vol-delete", "layers-over.qcow2", "--pool", "shared")


def _merge(guest: PortalGuest, kind: str, base: str, over: str) -> Operation:
    """Once the rows know of the overlay."""
    pool = StoragePool.objects.get(name="shared", hypervisor=guest.portal.rows[0])
    request_storage_pool_refresh(pool.hypervisor_id, pool.uuid)
    wait_until(Volume.objects.present().filter(storage_pool=pool, path=over, backing_path=base).exists, seconds=60)
    # libvirt sends no event for an overlay.
    request_domain_refresh(pool.hypervisor_id, UUID(guest.uuid))
    asked: list[Operation] = []

    def is_asked() -> bool:
        with suppress(NotPossible):
            asked.append(guest.ask(kind, disk="vda", into=base, delete_merged=True))
        return bool(asked)

    wait_until(is_asked, seconds=90)
    return ended(asked[0])
