"""Volumes made and deleted by a real worker on real hypervisors; asserted by virsh and qemu-img on both of them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.lab import fault
from deploy.lab.host import Host
from hypervisors.errors import NotPossible
from hypervisors.inventory.refresh_requests import request_storage_pool_refresh
from hypervisors.models import Operation, OperationLock, StoragePool, Volume, VolumeReference
from hypervisors.operations.engine.requests import request_cancel, request_operation
from hypervisors.operations.storage.volume_users import why_in_use
from hypervisors.states import OperationState
from tests.lab.portals import Portal, ended, wait_for_operation
from tests.watching import wait_until
from tests.workers import Worker

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("storage",)

MIB = 1024**2
POOL = "shared"


@pytest.fixture
def shared(portal: Portal) -> Iterator[StoragePool]:
    """The first host's row of the storage that both hosts have; whatever a test left in it goes afterwards."""
    before = set(_names(portal.hosts[0]))
    rows = StoragePool.objects.filter(name=POOL, active=True).exclude(shared_storage=None)
    wait_until(lambda: rows.count() == 2)
    yield rows.get(hypervisor=portal.rows[0])
    for name in set(_names(portal.hosts[0])) - before:
        portal.hosts[0].virsh("vol-delete", name, "--pool", POOL)


def ask(portal: Portal, storage_pool: StoragePool, **parameters: Any) -> Operation:
    given = {"name": "made.qcow2", "format": "qcow2", "capacity_bytes": 64 * MIB} | parameters
    row = StoragePool.objects.select_related("hypervisor").get(pk=storage_pool.pk)
    return request_operation(user=portal.alice, kind="create_volume", subject=row, parameters=given)


def _names(host: Host, pool: str = POOL) -> list[str]:
    host.virsh("pool-refresh", pool)
    return [line.split()[0] for line in host.virsh("vol-list", pool).splitlines() if line.strip()]


def test_a_volume_is_made_as_asked_for_and_seen_by_both_hosts(portal: Portal, shared: StoragePool) -> None:
    operation = ended(ask(portal, shared))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    for host in portal.hosts:
        # Without a refresh: the operation had both hosts look.
        assert "made.qcow2" in host.virsh("vol-list", POOL)
    path = portal.hosts[0].virsh("vol-path", "made.qcow2", "--pool", POOL).strip()
    image = json.loads(portal.hosts[0].run("qemu-img", "info", "--output=json", path))
    assert (image["format"], image["virtual-size"]) == ("qcow2", 64 * MIB)
    assert image["format-specific"]["data"]["compat"] == "1.1"
    volume = wait_until(lambda: Volume.objects.present().filter(storage_pool=shared, name="made.qcow2").first())
    assert (volume.format, volume.capacity_bytes) == ("qcow2", 64 * MIB)
    deleted = ended(request_operation(user=portal.alice, kind="delete_volume", subject=volume))
    assert deleted.state == OperationState.SUCCEEDED, deleted.outcome
    assert all("made.qcow2" not in host.virsh("vol-list", POOL) for host in portal.hosts)
    wait_until(lambda: Volume.objects.get(pk=volume.pk).vanished_at is not None)


def test_a_disk_of_a_guest_is_not_deleted(portal: Portal, shared: StoragePool) -> None:
    with portal.guest("vol-user", start=False) as guest:
        guest.becomes(persistent=True)
        file_name = Path(guest.lab_guest.disk_path).name
        portal.hosts[0].virsh("pool-refresh", POOL)
        volume = wait_until(
            lambda: Volume.objects.present().filter(storage_pool=shared, name=file_name).first(), seconds=60
        )
        with pytest.raises(NotPossible, match=r"vda of “vol-user” on .* \(off\)"):
            request_operation(user=portal.alice, kind="delete_volume", subject=volume)
        assert Path(file_name).name in _names(portal.hosts[0])


@pytest.mark.parametrize("maker", ["virsh on the other host", "qemu-img", "qemu-img with a relative path"])
def test_what_is_under_an_overlay_made_a_second_ago_is_not_deleted(
    maker: str, portal: Portal, shared: StoragePool, workers: dict[str, Worker]
) -> None:
    first, second = portal.hosts
    first.virsh("vol-create-as", POOL, "base.qcow2", "1M", "--format", "qcow2")
    second.virsh("pool-refresh", POOL)
    # The watcher has heard of that, so that it does not look again below.
    wait_until(lambda: Volume.objects.present().filter(name="base.qcow2").exclude(storage_pool=shared).exists())
    path = first.virsh("vol-path", "base.qcow2", "--pool", POOL)
    volume = _mirrored(portal, shared, "base.qcow2")
    over = str(Path(path).with_name("over.qcow2"))
    with _asked_before(portal, volume, workers["storage"]) as operation:
        if maker == "virsh on the other host":
            backing = ("--backing-vol", "base.qcow2", "--backing-vol-format", "qcow2")
            second.virsh("vol-create-as", POOL, "over.qcow2", "1M", "--format", "qcow2", *backing)
        else:
            base = path if maker == "qemu-img" else "base.qcow2"
            second.run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, over)
    operation = ended(operation)
    assert operation.state == OperationState.FAILED
    assert "cannot be read without it: “over.qcow2”" in operation.outcome
    assert {"base.qcow2", "over.qcow2"} <= set(_names(first))
    second.run("qemu-img", "check", "-q", over)


@pytest.mark.parametrize("state", ["defined", "running"])
def test_a_disk_of_a_machine_made_on_the_other_host_a_second_ago_is_not_deleted(
    state: str, portal: Portal, shared: StoragePool, workers: dict[str, Worker], tmp_path: Path
) -> None:
    first, second = portal.hosts
    first.virsh("vol-create-as", POOL, "disk.qcow2", "1M", "--format", "qcow2")
    path = first.virsh("vol-path", "disk.qcow2", "--pool", POOL)
    volume = _mirrored(portal, shared, "disk.qcow2")
    xml = tmp_path / "domain.xml"
    xml.write_text(
        "<domain type='qemu'><name>sudden</name><memory unit='MiB'>32</memory><os><type arch='x86_64'>hvm</type></os>"
        "<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
        f"<source file='{path}'/><target dev='vda' bus='virtio'/></disk></devices></domain>"
    )
    try:
        with _asked_before(portal, volume, workers["storage"]) as operation:
            second.virsh("define" if state == "defined" else "create", str(xml))
            # The watcher hears of it within milliseconds: as if it had not.
            rows = VolumeReference.objects.filter(domain__name="sudden", name="disk.qcow2")
            wait_until(rows.exists)
            rows.delete()
            assert why_in_use(volume) == ""
        operation = ended(operation)
        assert operation.state == OperationState.FAILED
        assert f"vda of “sudden” on {second.name}" in operation.outcome
        assert "disk.qcow2" in _names(first)
    finally:
        second.virsh("undefine" if state == "defined" else "destroy", "sudden")


def test_a_frozen_host_of_the_storage_holds_up_a_deletion_for_a_bounded_time(
    portal: Portal, shared: StoragePool
) -> None:
    portal.hosts[0].virsh("vol-create-as", POOL, "lone.qcow2", "1M", "--format", "qcow2")
    volume = _mirrored(portal, shared, "lone.qcow2")
    with fault.during(fault.freeze, fault.thaw, portal.hosts[1]):
        operation = ended(request_operation(user=portal.alice, kind="delete_volume", subject=volume), seconds=90)
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    assert "lone.qcow2" not in _names(portal.hosts[0])


def test_a_worker_killed_while_it_creates_is_followed_by_one_that_looks(
    portal: Portal, shared: StoragePool, workers: dict[str, Worker]
) -> None:
    with fault.during(fault.freeze, fault.thaw, portal.hosts[0]):
        operation = ask(portal, shared)
        wait_for_operation(operation, lambda row: row.state == OperationState.RUNNING)
        workers["storage"].kill()
    workers["storage"].start()
    operation = ended(operation, seconds=120)
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    assert _names(portal.hosts[0]).count("made.qcow2") == 1
    assert not OperationLock.objects.exists()


def test_a_worker_killed_between_two_steps_is_followed_by_one_that_goes_on(
    portal: Portal, shared: StoragePool, workers: dict[str, Worker]
) -> None:
    with fault.during(fault.freeze, fault.thaw, portal.hosts[1]):
        operation = _created_and_telling(portal, shared)
        workers["storage"].kill()
        made_at = _changed_at(portal.hosts[0])
    workers["storage"].start()
    operation = ended(operation, seconds=120)
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    assert {entry["name"]: entry["state"] for entry in operation.steps} == {"create": "done", "tell_hosts": "done"}
    # It is the one that was made before the worker died.
    assert _changed_at(portal.hosts[0]) == made_at


def test_cancelled_between_two_steps_the_volume_is_gone_on_both_hosts(
    portal: Portal, shared: StoragePool, workers: dict[str, Worker]
) -> None:
    with fault.during(fault.freeze, fault.thaw, portal.hosts[1]):
        operation = _created_and_telling(portal, shared)
        request_cancel(operation, user=portal.alice)
        workers["storage"].kill()
    workers["storage"].start()
    operation = ended(operation, seconds=120)
    assert (operation.state, operation.outcome) == (
        OperationState.CANCELLED,
        "Cancelled. What had been done is undone.",
    )
    assert all("made.qcow2" not in _names(host) for host in portal.hosts)
    assert not OperationLock.objects.exists()


@pytest.mark.parametrize(("format_", "pattern"), [("qcow2", "write -P 7 0 4M"), ("raw", "write -P 7 0 64k")])
def test_what_was_written_into_it_meanwhile_is_not_undone(
    format_: str, pattern: str, portal: Portal, shared: StoragePool, workers: dict[str, Worker]
) -> None:
    with fault.during(fault.freeze, fault.thaw, portal.hosts[1]):
        operation = ask(portal, shared, format=format_)
        wait_for_operation(operation, lambda row: [step["state"] for step in row.steps] == ["done", "doing"])
        path = portal.hosts[0].virsh("vol-path", "made.qcow2", "--pool", POOL).strip()
        portal.hosts[0].run("qemu-io", "-f", format_, "-c", pattern, path)
        request_cancel(operation, user=portal.alice)
        workers["storage"].kill()
    workers["storage"].start()
    operation = ended(operation, seconds=120)
    assert operation.state == OperationState.CANCELLED
    assert "“made.qcow2” stays in the storage pool “shared”" in operation.outcome
    assert "made.qcow2" in _names(portal.hosts[0])
    assert not OperationLock.objects.exists()


def test_what_does_not_fit_leaves_nothing(portal: Portal, tmp_path: Path) -> None:
    host = portal.hosts[0]
    directory = f"/run/vmportal-tiny-{portal.rows[0].pk}"
    host.run("mkdir", "-p", directory)
    host.run("mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", directory)
    host.virsh("pool-create-as", "tiny", "dir", "--target", directory)
    try:
        tiny = wait_until(
            lambda: StoragePool.objects.filter(hypervisor=portal.rows[0], name="tiny").first(), seconds=60
        )
        first = ended(ask(portal, tiny, name="a.img", format="raw", capacity_bytes=100 * MIB, preallocation="full"))
        assert first.state == OperationState.SUCCEEDED, first.outcome
        assert host.run("stat", "-c", "%b", f"{directory}/a.img").strip() == str(100 * MIB // 512)
        # The row may still say that there is room: the worker looks.
        StoragePool.objects.filter(pk=tiny.pk).update(available_bytes=10 * 1024 * MIB)
        second = ended(ask(portal, tiny, name="b.img", format="raw", capacity_bytes=90 * MIB, preallocation="full"))
        assert second.state == OperationState.FAILED
        assert "The storage pool is full" in second.outcome
        assert host.run("ls", directory).split() == ["a.img"]
    finally:
        host.virsh("pool-destroy", "tiny")
        host.run("umount", directory)
        host.run("rmdir", directory)


@contextmanager
def _asked_before(portal: Portal, volume: Volume, worker: Worker) -> Iterator[Operation]:
    """The deletion is asked for, and allowed by the rows, before what is done inside; the worker begins after it."""
    worker.kill()
    try:
        yield request_operation(user=portal.alice, kind="delete_volume", subject=volume)
    finally:
        worker.start()


def _mirrored(portal: Portal, storage_pool: StoragePool, name: str) -> Volume:
    """The row of a volume that virsh has made."""
    request_storage_pool_refresh(portal.rows[0].pk, storage_pool.uuid)
    volume: Volume = wait_until(
        lambda: Volume.objects.present().filter(storage_pool=storage_pool, name=name).first(), seconds=60
    )
    return volume


def _created_and_telling(portal: Portal, storage_pool: StoragePool) -> Operation:
    """An operation whose volume is made, while the frozen second host is told of it."""
    # The row of the second host still says that it is online.
    operation = ask(portal, storage_pool)
    return wait_for_operation(operation, lambda row: [step["state"] for step in row.steps] == ["done", "doing"])


def _changed_at(host: Host) -> str:
    path = host.virsh("vol-path", "made.qcow2", "--pool", POOL).strip()
    return host.run("stat", "-c", "%i %Z", path)
