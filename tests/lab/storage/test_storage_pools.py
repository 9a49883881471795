"""Storage pools made, proved to be shared, and deleted by real workers on real hypervisors; asserted by virsh."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.lab import fault
from deploy.lab.host import Host
from deploy.lab.process import LabError, run
from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.storage_pool_specs import StoragePoolSpec
from hypervisors.libvirtxml.storage_pools import PROBE_PREFIX
from hypervisors.models import Hypervisor, Operation, SharedStorage, StoragePool, Volume
from hypervisors.operations.engine.requests import request_of_many, request_operation
from hypervisors.operations.storage.sharing_upkeep import request_due_proofs
from hypervisors.states import OperationState
from tests.lab.portals import Portal, ended, wait_for_operation
from tests.watching import wait_until
from tests.workers import Worker

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("operations", "storage")


def create(portal: Portal, spec: StoragePoolSpec, **parameters: Any) -> Operation:
    given = {"spec": spec.to_json()} | parameters
    return request_operation(user=portal.alice, kind="create_storage_pool", subject=_hosts(portal)[0], parameters=given)


def _hosts(portal: Portal) -> list[Hypervisor]:
    """As they are now: the portal's own were read before anybody had looked at them."""
    return list(Hypervisor.objects.filter(pk__in=[row.pk for row in portal.rows]).order_by("pk"))


def do(portal: Portal, row: StoragePool, kind: str, **parameters: Any) -> Operation:
    fresh = StoragePool.objects.select_related("hypervisor", "shared_storage").get(pk=row.pk)
    return ended(request_operation(user=portal.alice, kind=kind, subject=fresh, parameters=parameters))


def mirrored(name: str, *, count: int = 1, active: bool = True) -> list[StoragePool]:
    """The rows of the active storage pools of that name, once there are so many."""
    rows = StoragePool.objects.present().filter(name=name, active=active).order_by("hypervisor")
    wait_until(lambda: rows.count() == count, seconds=40)
    return list(rows)


@contextmanager
def without(portal: Portal, name: str) -> Iterator[None]:
    """Whatever a test leaves of that storage pool goes."""
    try:
        yield
    finally:
        for host in portal.hosts:
            for command in ("pool-destroy", "pool-undefine"):
                if name in host.virsh("pool-list", "--all", "--name").split():
                    try:
                        host.virsh(command, name)
                    except LabError:
                        continue


def test_the_system_proves_by_itself_that_storage_is_shared_and_leaves_nothing(portal: Portal, lab: Any) -> None:
    first, second = mirrored("shared", count=2)
    wait_until(lambda: SharedStorage.objects.filter(name="shared").exists())
    wait_until(lambda: request_due_proofs() or Operation.objects.filter(kind="prove_sharing").exists())
    operation = ended(Operation.objects.get(kind="prove_sharing"))
    names = f"{portal.hosts[0].name}, {portal.hosts[1].name}"
    assert (operation.state, operation.outcome) == (
        OperationState.SUCCEEDED,
        f"It is one and the same storage on {names}.",
    )
    first.refresh_from_db()
    second.refresh_from_db()
    assert first.is_proved_same_as(second)
    assert SharedStorage.objects.get(name="shared").is_proved
    assert request_due_proofs() == 0
    path = portal.hosts[0].virsh("pool-dumpxml", "shared").split("<path>")[1].split("</path>")[0]
    assert not [name for name in portal.hosts[0].run("ls", "-A", path).split() if name.startswith(PROBE_PREFIX)]
    assert all(PROBE_PREFIX not in host.virsh("vol-list", "shared") for host in portal.hosts)
    assert not Volume.objects.filter(name__startswith=PROBE_PREFIX).exists()


def test_folders_of_the_same_path_are_made_on_every_host_and_proved_to_be_another_each(portal: Portal) -> None:
    path = f"/run/vmportal-alike-{portal.rows[0].pk}"
    with _own_file_system(portal.hosts, path), without(portal, "alike"):
        spec = StoragePoolSpec(pool_type="dir", name="alike", target_path=path)
        asked = request_of_many(
            user=portal.alice,
            kind="create_storage_pool",
            subjects=_hosts(portal),
            parameters={"spec": spec.to_json()},
        )
        assert asked.parent is not None
        parent = ended(asked.parent)
        assert (parent.state, parent.outcome) == (OperationState.SUCCEEDED, "2 done.")
        assert all("yes" in host.virsh("pool-info", "alike") for host in portal.hosts)
        rows = mirrored("alike", count=2)
        wait_until(lambda: StoragePool.objects.filter(name="alike", shared_storage__isnull=False).count() == 2)
        operation = do(portal, rows[0], "prove_sharing")
        assert operation.state == OperationState.FAILED
        assert "none of" in operation.outcome
        assert all(row.is_another for row in StoragePool.objects.filter(name="alike"))
        assert all(host.run("ls", "-A", path).strip() == "" for host in portal.hosts)


def test_a_folder_that_is_not_there_is_said_made_when_asked_for_and_deleted_with_all_in_it(portal: Portal) -> None:
    host, path = portal.hosts[0], f"/run/vmportal-made-{portal.rows[0].pk}"
    spec = StoragePoolSpec(pool_type="dir", name="made <&> 'here'", target_path=f"{path}/deep, er")
    with without(portal, spec.name):
        refused = ended(create(portal, spec))
        assert refused.state == OperationState.FAILED
        assert "The folder is not there" in refused.outcome
        assert "Choose “Create the folder”" in refused.outcome
        assert spec.name not in host.virsh("pool-list", "--all", "--name")
        made = ended(create(portal, spec, building="folder"))
        assert made.state == OperationState.SUCCEEDED, made.outcome
        (row,) = mirrored(spec.name)
        assert (row.target_path, row.autostart) == (spec.target_path, True)
        host.virsh("vol-create-as", spec.name, "a.img", "1M", "--format", "raw")
        with pytest.raises(NotPossible, match=r"at .*deep, er already"):
            create(portal, StoragePoolSpec(pool_type="dir", name="again", target_path=spec.target_path))
        deleted = do(portal, row, "delete_storage_pool", deletes_volumes="1")
        assert deleted.state == OperationState.SUCCEEDED, deleted.outcome
        assert host.run("ls", "-A", path).strip() == ""
        host.run("rmdir", path)
        wait_until(lambda: StoragePool.objects.get(pk=row.pk).vanished_at is not None)


def test_a_disk_is_formatted_once_used_and_never_overwritten_unasked(portal: Portal, tmp_path: Path) -> None:
    host, path = portal.hosts[0], f"/run/vmportal-disk-{portal.rows[0].pk}"
    with _loop_device(host, tmp_path) as device, without(portal, "ondisk"):
        spec = StoragePoolSpec(pool_type="fs", name="ondisk", devices=(device,), format="ext4", target_path=path)
        unformatted = ended(create(portal, spec))
        assert unformatted.state == OperationState.FAILED
        assert "not of that format" in unformatted.outcome
        made = ended(create(portal, spec, building="format"))
        assert made.state == OperationState.SUCCEEDED, made.outcome
        (row,) = mirrored("ondisk")
        host.virsh("vol-create-as", "ondisk", "keep.img", "1M", "--format", "raw")
        assert do(portal, row, "stop_storage_pool").state == OperationState.SUCCEEDED
        assert do(portal, row, "delete_storage_pool").state == OperationState.SUCCEEDED
        wait_until(lambda: StoragePool.objects.get(pk=row.pk).vanished_at is not None)
        again = ended(create(portal, spec, building="format"))
        assert again.state == OperationState.FAILED
        assert "Nothing was written" in again.outcome
        assert "undone" in again.outcome
        assert ended(create(portal, spec)).state == OperationState.SUCCEEDED
        assert "keep.img" in host.virsh("vol-list", "ondisk")
        mirrored("ondisk")


def test_a_partitioned_disk_is_made_and_started(portal: Portal, tmp_path: Path) -> None:
    host = portal.hosts[0]
    with _loop_device(host, tmp_path) as device, without(portal, "whole"):
        spec = StoragePoolSpec(pool_type="disk", name="whole", devices=(device,), format="gpt", target_path="/dev")
        made = ended(create(portal, spec, building="format"))
        assert made.state == OperationState.SUCCEEDED, made.outcome
        assert "running" in host.virsh("pool-info", "whole")
        mirrored("whole")


def test_what_a_host_cannot_do_is_said_and_nothing_is_left(portal: Portal) -> None:
    rbd = StoragePoolSpec.from_json(
        {"pool_type": "rbd", "name": "ceph", "hosts": [{"name": "mon1"}], "source_name": "vms"}
    )
    operation = ended(create(portal, rbd))
    assert operation.state == OperationState.FAILED
    assert "install its storage driver" in operation.outcome
    nfs = StoragePoolSpec.from_json(
        {
            "pool_type": "netfs",
            "name": "nas",
            "hosts": [{"name": "127.0.0.1"}],
            "directory": "/export",
            "format": "nfs",
            "target_path": f"/run/vmportal-nas-{portal.rows[0].pk}",
        }
    )
    operation = ended(create(portal, nfs))
    assert operation.state == OperationState.FAILED
    assert "nfs" in operation.outcome
    assert not {"ceph", "nas"} & set(portal.hosts[0].virsh("pool-list", "--all", "--name").split())
    portal.hosts[0].run("rmdir", nfs.target_path)


def test_a_worker_killed_while_it_starts_one_is_followed_by_one_that_looks(
    portal: Portal, workers: dict[str, Worker]
) -> None:
    path = f"/run/vmportal-killed-{portal.rows[0].pk}"
    spec = StoragePoolSpec(pool_type="dir", name="killed", target_path=path)
    with without(portal, "killed"):
        with fault.during(fault.freeze, fault.thaw, portal.hosts[0]):
            operation = create(portal, spec, building="folder")
            wait_for_operation(operation, lambda row: row.state == OperationState.RUNNING)
            workers["operations"].kill()
        workers["operations"].start()
        operation = ended(operation, seconds=120)
        assert operation.state == OperationState.SUCCEEDED, operation.outcome
        assert "running" in portal.hosts[0].virsh("pool-info", "killed")
        (row,) = mirrored("killed")
        assert do(portal, row, "delete_storage_pool", deletes_volumes="1").state == OperationState.SUCCEEDED


@contextmanager
def _own_file_system(hosts: list[Host], path: str) -> Iterator[None]:
    """One for each host, at the same path."""
    mounted = []
    try:
        for host in hosts:
            host.run("mkdir", "-p", path)
            host.run("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", path)
            mounted.append(host)
        yield
    finally:
        for host in mounted:
            host.run("umount", path)
            host.run("rm", "-rf", path)


@contextmanager
def _loop_device(host: Host, directory: Path) -> Iterator[str]:
    """An empty disk of the host; the host's own /dev has it too."""
    file = directory / "disk.img"
    with file.open("wb") as opened:
        opened.truncate(64 * 1024**2)
    device = run("losetup", "--find", "--show", str(file)).strip()
    try:
        host.run("mknod", device, "b", "7", device.removeprefix("/dev/loop"))
        yield device
    finally:
        host.run("rm", "-f", device)
        run("losetup", "--detach", device)
