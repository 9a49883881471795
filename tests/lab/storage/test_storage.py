"""Storage of real hypervisors: volumes as files, what hosts share, and a storage pool that does not answer."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import redis

from deploy.lab.host import Host
from deploy.lab.lab import Lab
from hypervisors import errors
from hypervisors.gateway.connections import Connection, open_connection
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.storage.storage_pools import read_storage_pool, refresh_storage_pool
from hypervisors.gateway.storage.volumes import create_volume, delete_volume, list_volumes, read_volume
from hypervisors.gateway.uris import parse_uri
from hypervisors.inventory.refresh_requests import request_shared_storage_refresh, request_storage_pool_refresh
from hypervisors.inventory.sessions import storage_readers
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import Hypervisor, HypervisorPool, StoragePool, Volume
from hypervisors.states import HypervisorStatus
from tests.watching import running_watcher, wait_for_status, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 2**20


class Pool:
    """A directory pool of one host."""

    def __init__(self, host: Host, path: Path) -> None:
        self.host, self.path = host, path
        self.uuid, self.name = uuid4(), f"pool-{uuid4().hex[:8]}"
        path.mkdir(parents=True, exist_ok=True)
        xml = path.parent / f"{self.name}.xml"
        xml.write_text(
            f"<pool type='dir'><name>{self.name}</name><uuid>{self.uuid}</uuid><target><path>{path}</path></target>"
            "</pool>"
        )
        host.virsh("pool-define", str(xml))
        host.virsh("pool-start", self.name)

    def remove(self) -> None:
        if self.name in self.host.virsh("pool-list", "--name"):
            self.host.virsh("pool-destroy", self.name)
        if self.name in self.host.virsh("pool-list", "--all", "--name"):
            self.host.virsh("pool-undefine", self.name)

    @property
    def row(self) -> StoragePool | None:
        return StoragePool.objects.present().filter(uuid=self.uuid).first()


@pytest.fixture
def pool(lab: Lab, tmp_path: Path) -> Iterator[Pool]:
    made = Pool(lab.hosts[0], tmp_path / "images")
    yield made
    made.remove()


@pytest.fixture
def connection(lab: Lab) -> Iterator[Connection]:
    opened = open_connection(Endpoint(uri=parse_uri(lab.hosts[0].uri), key="lab-storage", revision=1))
    yield opened
    opened.close()


@pytest.fixture
def rows(lab: Lab, redis_client: redis.Redis, transactional_db: None) -> Iterator[list[Hypervisor]]:
    """The lab's two hosts, watched and online."""
    hypervisor_pool = HypervisorPool.objects.create(name="lab")
    made = [
        Hypervisor.objects.create(hypervisor_pool=hypervisor_pool, name=host.name, uri=host.uri) for host in lab.hosts
    ]
    with running_watcher():
        yield [wait_for_status(row, HypervisorStatus.ONLINE) for row in made]


def image_info(host: Host, path: Path) -> dict[str, object]:
    info: dict[str, object] = json.loads(host.run("qemu-img", "info", "--output=json", str(path)))
    return info


# --- the gateway ------------------------------------------------------------------------------------------------


def test_a_qcow2_volume_is_a_modern_and_sparse_file(connection: Connection, pool: Pool) -> None:
    made = create_volume(connection, pool.uuid, VolumeSpec(name="a b.qcow2", format="qcow2", capacity_bytes=64 * MIB))
    assert (made.path, made.format, made.capacity_bytes) == (str(pool.path / "a b.qcow2"), "qcow2", 64 * MIB)
    info = image_info(pool.host, pool.path / "a b.qcow2")
    assert (info["format"], info["virtual-size"]) == ("qcow2", 64 * MIB)
    assert info["format-specific"]["data"]["compat"] == "1.1"  # type: ignore[index]
    assert made.allocation_bytes < MIB


def test_a_raw_volume_takes_what_is_reserved_and_no_more(connection: Connection, pool: Pool) -> None:
    sparse = create_volume(connection, pool.uuid, VolumeSpec(name="s", format="raw", capacity_bytes=8 * MIB))
    whole = VolumeSpec(name="w", format="raw", capacity_bytes=8 * MIB, allocation_bytes=8 * MIB)
    reserved = create_volume(connection, pool.uuid, whole)
    assert (sparse.allocation_bytes, sparse.physical_bytes) == (0, 8 * MIB)
    assert reserved.allocation_bytes >= 8 * MIB


def test_an_overlay_names_its_base_and_its_format(connection: Connection, pool: Pool) -> None:
    base = create_volume(connection, pool.uuid, VolumeSpec(name="base.qcow2", format="qcow2", capacity_bytes=8 * MIB))
    overlay = create_volume(
        connection,
        pool.uuid,
        VolumeSpec(
            name="top.qcow2",
            format="qcow2",
            capacity_bytes=16 * MIB,
            backing_path=base.path,
            backing_format="qcow2",
        ),
    )
    assert (overlay.backing_path, overlay.backing_format) == (base.path, "qcow2")
    info = image_info(pool.host, pool.path / "top.qcow2")
    assert (info["backing-filename"], info["backing-filename-format"]) == (base.path, "qcow2")


def test_what_is_in_the_way_is_named_and_left_untouched(connection: Connection, pool: Pool) -> None:
    spec = VolumeSpec(name="taken", format="raw", capacity_bytes=MIB)
    create_volume(connection, pool.uuid, spec)
    with pytest.raises(errors.NameTaken):
        create_volume(connection, pool.uuid, spec)
    unknown = pool.path / "unknown"
    unknown.write_bytes(b"somebody's data")
    with pytest.raises(errors.NameTaken, match="refresh the storage pool"):
        create_volume(connection, pool.uuid, VolumeSpec(name="unknown", format="raw", capacity_bytes=MIB))
    assert unknown.read_bytes() == b"somebody's data"
    refresh_storage_pool(connection, pool.uuid)
    assert {"taken", "unknown"} == {volume.name for volume in list_volumes(connection, pool.uuid)}
    facts = read_storage_pool(connection, pool.uuid)
    assert facts is not None
    reserved = 8 * facts.capacity_bytes
    with pytest.raises(errors.StoragePoolFull):
        create_volume(
            connection,
            pool.uuid,
            VolumeSpec(name="huge", format="raw", capacity_bytes=reserved, allocation_bytes=reserved),
        )
    assert not (pool.path / "huge").exists()


def test_deleting_twice_is_no_error_and_leaves_nothing(connection: Connection, pool: Pool) -> None:
    create_volume(connection, pool.uuid, VolumeSpec(name="gone", format="raw", capacity_bytes=MIB))
    delete_volume(connection, pool.uuid, "gone")
    delete_volume(connection, pool.uuid, "gone")
    assert not (pool.path / "gone").exists()
    (pool.path / "vanishing").write_bytes(b"x")
    refresh_storage_pool(connection, pool.uuid)
    (pool.path / "vanishing").unlink()
    assert read_volume(connection, pool.uuid, "vanishing") is None
    assert list_volumes(connection, pool.uuid) == []


# --- the inventory ----------------------------------------------------------------------------------------------


def test_files_put_there_by_hand_are_seen_after_a_refresh(rows: list[Hypervisor], pool: Pool) -> None:
    row = wait_until(lambda: pool.row)
    assert (row.name, row.hypervisor) == (pool.name, rows[0])
    pool.host.run("qemu-img", "create", "-q", "-f", "qcow2", str(pool.path / "by-hand.qcow2"), "32M")
    request_storage_pool_refresh(row.hypervisor_id, pool.uuid)
    volume = wait_until(lambda: row.volumes.present().filter(name="by-hand.qcow2").first())
    assert (volume.format, volume.capacity_bytes) == ("qcow2", 32 * MIB)
    (pool.path / "by-hand.qcow2").unlink()
    pool.host.virsh("pool-refresh", pool.name)  # tells by an event
    wait_until(lambda: Volume.objects.get(pk=volume.pk).vanished_at)


def test_a_storage_pool_that_is_defined_again_keeps_its_row(rows: list[Hypervisor], pool: Pool) -> None:
    before = wait_until(lambda: pool.row)
    pool.host.virsh("pool-destroy", pool.name)
    pool.host.virsh("pool-undefine", pool.name)
    wait_until(lambda: StoragePool.objects.get(pk=before.pk).vanished_at)
    pool.host.virsh("pool-define-as", pool.name, "dir", "--target", str(pool.path))
    again = wait_until(lambda: StoragePool.objects.present().filter(pk=before.pk).first())
    assert again.uuid != before.uuid, "libvirt made up another UUID"


def test_what_both_hosts_have_is_a_candidate_and_told_to_both(lab: Lab, rows: list[Hypervisor]) -> None:
    shared = wait_until(
        lambda: (
            StoragePool.objects.present()
            .filter(name="shared", shared_storage__isnull=False, hypervisor=rows[0])
            .first()
        )
    )
    same = StoragePool.objects.same_storage_as(shared)
    wait_until(lambda: same.count() == 2)
    assert shared.shared_storage.proved_at is None
    name = f"both-{uuid4().hex[:8]}.qcow2"
    path = lab.plan.pool_path / name
    lab.hosts[0].run("qemu-img", "create", "-q", "-f", "qcow2", str(path), "1M")
    try:
        request_shared_storage_refresh(shared)
        wait_until(lambda: Volume.objects.present().filter(name=name).count() == 2)
    finally:
        path.unlink()


@pytest.fixture
def dead_share(lab: Lab, tmp_path: Path) -> Iterator[tuple[Pool, Path, int]]:
    """A storage pool in a FUSE mount of the first host, what is mounted, and the id of the process behind it."""
    host, source, mount = lab.hosts[0], tmp_path / "source", tmp_path / "mount"
    source.mkdir()
    mount.mkdir()
    host.run("bindfs", str(source), str(mount))
    (pid,) = [pid for pid in host.processes() if str(mount).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]
    made = Pool(host, mount)
    yield made, source, pid
    os.kill(pid, signal.SIGCONT)
    made.remove()
    host.run("umount", "--lazy", str(mount))


def test_one_storage_pool_that_hangs_is_named_and_stops_no_other(
    rows: list[Hypervisor], pool: Pool, dead_share: tuple[Pool, Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_readers, "_HUNG_SECONDS", 2.0)
    monkeypatch.setattr(storage_readers, "_REFRESH_HUNG_SECONDS", 2.0)
    dead, share, pid = dead_share
    here = rows[0]
    (share / "before.img").write_bytes(b"x")
    dead.host.virsh("pool-refresh", dead.name)
    wait_until(lambda: dead.row and dead.row.volumes.present().exists())
    wait_until(lambda: pool.row)
    os.kill(pid, signal.SIGSTOP)
    request_storage_pool_refresh(here.pk, dead.uuid)
    troubled = wait_until(lambda: (row := dead.row) and row.trouble and row)
    assert troubled.trouble.startswith("It has not answered since")
    assert names_in(dead) == ["before.img"], "what was seen stays"
    # The others go on: their storage, and what is not storage at all.
    (pool.path / "meanwhile.img").write_bytes(b"x")
    request_storage_pool_refresh(here.pk, pool.uuid)
    wait_until(lambda: names_in(pool) == ["meanwhile.img"])
    seen = Hypervisor.objects.get(pk=here.pk)
    assert seen.status == HypervisorStatus.ONLINE
    wait_until(lambda: Hypervisor.objects.get(pk=here.pk).seen_at > seen.seen_at)
    assert pool.row is not None
    assert pool.row.trouble == ""
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: dead.row and dead.row.trouble == "", seconds=40)
    (share / "after.img").write_bytes(b"x")
    request_storage_pool_refresh(here.pk, dead.uuid)
    wait_until(lambda: names_in(dead) == ["after.img", "before.img"])


def names_in(pool: Pool) -> list[str]:
    return list(Volume.objects.present().filter(storage_pool__uuid=pool.uuid).values_list("name", flat=True))


def test_an_unknown_storage_pool_is_not_found(connection: Connection) -> None:
    with pytest.raises(errors.NotFound):
        list_volumes(connection, UUID(int=1))
