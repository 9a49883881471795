"""Volumes cloned, converted, resized and wiped by a real worker; asserted by qemu-img on both hosts."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from deploy.lab.host import Host
from deploy.lab.process import LabError
from hypervisors.errors import Conflict, NotPossible, StorageBusy
from hypervisors.gateway.connections import open_connection
from hypervisors.gateway.storage.volumes import read_volume
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.inventory.refresh_requests import request_storage_pool_refresh
from hypervisors.models import Operation, OperationLock, StoragePool, Volume, VolumeOrigin
from hypervisors.operations.engine.requests import request_cancel, request_operation, why_not
from hypervisors.states import DomainState, OperationState
from tests.lab.portals import Portal, ended, wait_for_operation
from tests.lab.storage.test_volume_contents import has_pattern, write_pattern
from tests.watching import wait_until
from tests.workers import Worker

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("storage",)

MIB = 1024**2
POOL = "shared"


@pytest.fixture
def shared(portal: Portal) -> Iterator[StoragePool]:
    """The first host's row of the storage that both hosts have; whatever a test left in it goes afterwards."""
    before = set(names(portal.hosts[0]))
    rows = StoragePool.objects.filter(name=POOL, active=True).exclude(shared_storage=None)
    wait_until(lambda: rows.count() == 2)
    yield rows.get(hypervisor=portal.rows[0])
    for name in set(names(portal.hosts[0])) - before:
        portal.hosts[0].virsh("vol-delete", name, "--pool", POOL)


def names(host: Host, pool: str = POOL) -> list[str]:
    wait_until(lambda: is_refreshed(host, pool), seconds=60)
    return [line.split()[0] for line in host.virsh("vol-list", pool).splitlines() if line.strip()]


def is_refreshed(host: Host, pool: str) -> bool:
    """False while libvirt still copies something there."""
    try:
        host.virsh("pool-refresh", pool)
    except LabError as error:
        if "asynchronous jobs" in str(error):
            return False
        raise
    return True


def path_of(host: Host, name: str) -> Path:
    return Path(host.virsh("vol-path", name, "--pool", POOL).strip())


def image(host: Host, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.run("qemu-img", "info", "--output=json", str(path_of(host, name))))
    return found


def mirrored(portal: Portal, pool: StoragePool, name: str, **fields: object) -> Volume:
    """The row of a volume that virsh has made, once it has these values."""
    request_storage_pool_refresh(portal.rows[0].pk, pool.uuid)
    rows = Volume.objects.present().filter(storage_pool=pool, name=name, **fields)
    rows = rows.select_related("storage_pool__hypervisor")
    found: Volume = wait_until(rows.first, seconds=60)
    return found


def make(portal: Portal, pool: StoragePool, name: str, *, format_: str = "qcow2", size: str = "8M") -> Volume:
    """A volume with a pattern in it."""
    host = portal.hosts[0]
    host.virsh("vol-create-as", POOL, name, size, "--format", format_, "--allocation", "0")
    write_pattern(host, path_of(host, name), format_)
    return mirrored(portal, pool, name)


def ask(portal: Portal, kind: str, volume: Volume, **parameters: Any) -> Operation:
    return request_operation(user=portal.alice, kind=kind, subject=volume, parameters=parameters)


@pytest.mark.parametrize(
    ("kind", "source", "made"),
    [
        ("clone_volume", "qcow2", "qcow2"),
        ("convert_volume", "qcow2", "raw"),
        ("convert_volume", "raw", "qcow2"),
        ("convert_volume", "vmdk", "qcow2"),
        ("convert_volume", "vdi", "qcow2"),
        ("convert_volume", "vpc", "qcow2"),
    ],
)
def test_a_copy_holds_the_same_has_its_size_and_is_seen_by_both_hosts(
    kind: str, source: str, made: str, portal: Portal, shared: StoragePool
) -> None:
    first, second = portal.hosts
    if source in ("qcow2", "raw"):
        volume = make(portal, shared, "source", format_=source)
    else:
        make(portal, shared, "plain")
        path = path_of(first, "plain")
        first.run("qemu-img", "convert", "-f", "qcow2", "-O", source, str(path), str(path.with_name("source")))
        volume = mirrored(portal, shared, "source", format=source)
    operation = ended(ask(portal, kind, volume, name="copy", format=made, capacity_bytes=16 * MIB))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    assert "copy" in second.virsh("vol-list", POOL), "the operation had both hosts look"
    found = image(first, "copy")
    assert (found["format"], found["virtual-size"]) == (made, 16 * MIB)
    assert has_pattern(first, path_of(first, "copy"), made)
    assert VolumeOrigin.objects.get(name="copy").format == made
    assert not OperationLock.objects.exists()


def test_while_it_is_copied_the_source_is_held(portal: Portal, shared: StoragePool, workers: dict[str, Worker]) -> None:
    volume = make(portal, shared, "source")
    workers["storage"].kill()
    operation = ask(portal, "clone_volume", volume, name="copy")
    for kind in ("delete_volume", "resize_volume", "clone_volume"):
        with pytest.raises(Conflict, match="“Clone volume”, asked for by alice"):
            ask(portal, kind, volume, name="other", capacity_bytes=16 * MIB)
    request_cancel(operation, user=portal.alice)
    workers["storage"].start()
    assert ended(operation).state == OperationState.CANCELLED
    assert "copy" not in names(portal.hosts[0])


def test_a_copy_whose_worker_died_is_waited_for_deleted_and_made_anew(
    portal: Portal, shared: StoragePool, workers: dict[str, Worker]
) -> None:
    """libvirt goes on with what its dead caller began: what is there meanwhile is never taken for the copy."""
    host = portal.hosts[0]
    volume = make(portal, shared, "source", size="300M")
    host.run("qemu-io", "-f", "qcow2", "-c", "write -P 9 16M 200M", volume.path)
    operation = ask(portal, "clone_volume", volume, name="copy")
    # As it lies under the mount: a file that is held open there is known after it was deleted.
    file = host.lab.directory / "shared-source" / "images" / "copy"
    pid = wait_until(lambda: process_with("qemu-img", str(Path(volume.path).with_name("copy"))), seconds=60)
    stop_once_it_writes(pid, file, portal, shared)
    try:
        workers["storage"].kill()
        workers["storage"].start()
        wait_for_operation(
            operation, lambda row: "Waits until libvirt has ended" in row.progress.get("note", ""), seconds=90
        )
        half = os.open(file, os.O_RDONLY)
    finally:
        os.kill(pid, signal.SIGCONT)
    operation = ended(operation, seconds=120)
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    assert os.fstat(half).st_nlink == 0, "the half copy was deleted"
    os.close(half)
    assert has_pattern(host, path_of(host, "copy"), "qcow2")
    assert has_pattern(host, path_of(host, "copy"), "qcow2", at="210M", pattern=9)


def stop_once_it_writes(pid: int, file: Path, portal: Portal, pool: StoragePool) -> None:
    """Stop the copy while it runs; caught before it has made its file, libvirt knows a volume that is not there."""
    os.kill(pid, signal.SIGSTOP)
    connection = open_connection(endpoint_of(portal.rows[0]))
    try:
        if not file.exists():
            with pytest.raises(StorageBusy):
                read_volume(connection, pool.uuid, file.name)
            os.kill(pid, signal.SIGCONT)
            wait_until(file.exists)
            os.kill(pid, signal.SIGSTOP)
    finally:
        connection.close()


def process_with(*words: str) -> int | None:
    """The process in whose command all of them stand."""
    for directory in Path("/proc").iterdir():
        with suppress(OSError):
            if directory.name.isdecimal():
                command = (directory / "cmdline").read_bytes().decode(errors="replace")
                if all(word in command for word in words):
                    return int(directory.name)
    return None


def test_a_copy_without_room_leaves_nothing(portal: Portal, shared: StoragePool) -> None:
    host = portal.hosts[0]
    directory = f"/run/vmportal-small-{portal.rows[0].pk}"
    host.run("mkdir", "-p", directory)
    host.run("mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", directory)
    host.virsh("pool-create-as", "small", "dir", "--target", directory)
    try:
        small = wait_until(StoragePool.objects.filter(hypervisor=portal.rows[0], name="small").first, seconds=60)
        host.virsh("vol-create-as", POOL, "source", "200M", "--format", "raw", "--allocation", "0")
        host.run("qemu-io", "-f", "raw", "-c", "write -P 7 0 120M", str(path_of(host, "source")))
        volume = mirrored(portal, shared, "source")
        more = {"name": "copy", "storage_pool_id": small.pk, "overcommitted": True}
        with pytest.raises(NotPossible, match="The storage pool is full"):
            ask(portal, "clone_volume", volume, **more)
        # The rows may say that there is room, and that little is needed: libvirt finds out in the middle.
        Volume.objects.filter(pk=volume.pk).update(allocation_bytes=MIB)
        volume.refresh_from_db()
        operation = ended(ask(portal, "clone_volume", volume, **more))
        assert operation.state == OperationState.FAILED
        assert "The storage pool is full" in operation.outcome
        assert host.run("ls", directory).split() == []
    finally:
        host.virsh("pool-destroy", "small")
        host.run("umount", directory)
        host.run("rmdir", directory)


def test_a_volume_grows_and_shrinks_only_when_that_is_said(portal: Portal, shared: StoragePool) -> None:
    host = portal.hosts[0]
    volume = make(portal, shared, "disk")
    assert ended(ask(portal, "resize_volume", volume, capacity_bytes=16 * MIB)).state == OperationState.SUCCEEDED
    volume = mirrored(portal, shared, "disk", capacity_bytes=16 * MIB)
    with pytest.raises(NotPossible, match="what is beyond it would be lost"):
        ask(portal, "resize_volume", volume, capacity_bytes=4 * MIB)
    operation = ended(ask(portal, "resize_volume", volume, capacity_bytes=4 * MIB, shrink=True))
    assert (operation.state, operation.outcome) == (OperationState.SUCCEEDED, "It has 4 MiB now.")
    assert image(host, "disk")["virtual-size"] == 4 * MIB


def test_a_running_machines_disk_grows_under_it_through_its_own_host_and_never_shrinks(
    portal: Portal, shared: StoragePool
) -> None:
    """The machine runs on the second host, the volume is asked for on the first."""
    with portal.guest("grower", on=portal.hosts[1]) as guest:
        name = Path(guest.lab_guest.disk_path).name
        volume = mirrored(portal, shared, name)
        before = volume.capacity_bytes
        for kind, more in (
            ("clone_volume", {"name": "copy"}),
            ("wipe_volume", {"confirmed_name": name}),
            ("convert_volume", {"name": "copy"}),
            ("resize_volume", {"capacity_bytes": before // 2, "shrink": True}),
        ):
            with pytest.raises(NotPossible, match=r"vda of “grower” on .* \(running\)"):
                ask(portal, kind, volume, **more)
        operation = ended(ask(portal, "resize_volume", volume, capacity_bytes=2 * before))
        assert operation.state == OperationState.SUCCEEDED, operation.outcome
        said = portal.hosts[1].virsh("domblkinfo", guest.uuid, "vda")
        assert str(2 * before) in said
        guest.wait_until_it_counts()
        mirrored(portal, shared, name, capacity_bytes=2 * before)


def test_a_wiped_volume_is_empty_and_one_that_a_machine_has_is_not_wiped(portal: Portal, shared: StoragePool) -> None:
    host = portal.hosts[0]
    volume = make(portal, shared, "old")
    with pytest.raises(NotPossible, match="Type the name of the volume"):
        ask(portal, "wipe_volume", volume, confirmed_name="other")
    operation = ended(ask(portal, "wipe_volume", volume, confirmed_name="old"))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    assert not path_of(host, "old").read_bytes().strip(b"\0")
    with portal.guest("keeper", start=False) as guest:
        guest.becomes(state=DomainState.SHUTOFF)
        name = Path(guest.lab_guest.disk_path).name
        volume = mirrored(portal, shared, name)
        assert "vda of “keeper”" in why_not(volume, "wipe_volume")
        # One that is off can be copied: nobody writes to it.
        assert ended(ask(portal, "clone_volume", volume, name="copy")).state == OperationState.SUCCEEDED


def test_an_overlay_is_made_on_a_volume_that_nobody_writes_to(portal: Portal, shared: StoragePool) -> None:
    host = portal.hosts[0]
    base = make(portal, shared, "base")
    given = {"name": "top", "format": "qcow2", "backing_volume_id": base.pk}
    with pytest.raises(NotPossible, match="at least as large"):
        create(portal, shared, **given, capacity_bytes=4 * MIB)
    operation = ended(create(portal, shared, **given, capacity_bytes=16 * MIB))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    found = image(host, "top")
    assert (found["full-backing-filename"], found["backing-filename-format"]) == (base.path, "qcow2")
    # One of ours: a copy of it is flat.
    top = mirrored(portal, shared, "top")
    operation = ended(ask(portal, "clone_volume", top, name="flat"))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    assert "backing-filename" not in image(host, "flat")
    assert has_pattern(host, path_of(host, "flat"), "qcow2")
    with pytest.raises(NotPossible, match="cannot be read without it"):
        ask(portal, "resize_volume", mirrored(portal, shared, "base"), capacity_bytes=32 * MIB)


def create(portal: Portal, pool: StoragePool, **parameters: Any) -> Operation:
    row = StoragePool.objects.select_related("hypervisor").get(pk=pool.pk)
    return request_operation(user=portal.alice, kind="create_volume", subject=row, parameters=parameters)


# --- hostile bytes ------------------------------------------------------------------------------------------------

SECRET = b"root:secret-of-the-host:" * 4000


def _backing_file(host: Host, path: Path, secret: Path) -> None:
    host.run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(secret), str(path))


def _data_file(host: Host, path: Path, secret: Path) -> None:
    """A qcow2 that keeps its data in another file, which libvirt's XML shows nowhere."""
    host.run("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={secret},data_file_raw=on", str(path), "96K")
    secret.write_bytes(SECRET)


def _vmdk_extents(host: Host, path: Path, secret: Path) -> None:
    sectors = secret.stat().st_size // 512
    path.write_text(
        '# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
        f'RW {sectors} FLAT "{secret}" 0\nddb.adapterType = "ide"\n'
    )


def _raw_header(host: Host, path: Path, secret: Path) -> None:
    """What a guest can write to its raw disk."""
    header = path.with_name("header")
    _backing_file(host, header, secret)
    with path.open("r+b") as disk:
        disk.write(header.read_bytes())
    header.unlink()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the host that is in no storage pool."""
    file = tmp_path / "s"
    file.write_bytes(SECRET)
    return file


@pytest.mark.parametrize("forge", [_backing_file, _data_file, _vmdk_extents], ids=["backing", "data", "vmdk"])
def test_nothing_is_made_of_an_image_that_names_a_file_of_the_host(
    forge: Callable[[Host, Path, Path], None], portal: Portal, shared: StoragePool, secret: Path
) -> None:
    host = portal.hosts[0]
    host.virsh("vol-create-as", POOL, "plain", "1M", "--format", "raw")
    forge(host, path_of(host, "plain").with_name("evil"), secret)
    volume = mirrored(portal, shared, "evil")
    assert_nothing_is_made(portal, shared, volume)


def test_what_somebody_wrote_into_a_raw_volume_is_trusted_again_once_it_was_looked_at(
    portal: Portal, shared: StoragePool, secret: Path
) -> None:
    host = portal.hosts[0]
    for name in ("clean", "evil"):
        host.virsh("vol-create-as", POOL, name, "1M", "--format", "raw", "--allocation", "0")
        mirrored(portal, shared, name, format="raw")
    host.run("qemu-img", "create", "-q", "-f", "qcow2", str(path_of(host, "clean")), "8M")
    _raw_header(host, path_of(host, "evil"), secret)
    clean, evil = (mirrored(portal, shared, name, format="qcow2") for name in ("clean", "evil"))
    assert "It was raw" in why_not(clean, "clone_volume")
    operation = ended(ask(portal, "trust_volume", evil))
    assert operation.state == OperationState.FAILED
    assert "backing file" in operation.outcome
    operation = ended(ask(portal, "trust_volume", clean))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    clean.refresh_from_db()
    assert why_not(clean, "clone_volume") == ""
    assert ended(ask(portal, "clone_volume", clean, name="copy")).state == OperationState.SUCCEEDED


@pytest.mark.parametrize("has_machine", [False, True])
def test_nothing_is_made_of_a_raw_disk_with_a_forged_header(
    has_machine: bool, portal: Portal, shared: StoragePool, secret: Path, tmp_path: Path
) -> None:
    host = portal.hosts[0]
    host.virsh("vol-create-as", POOL, "evil", "1M", "--format", "raw", "--allocation", "0")
    if has_machine:
        (tmp_path / "evil.xml").write_text(
            "<domain type='qemu'><name>evil</name><memory unit='MiB'>32</memory><os><type>hvm</type></os><devices>"
            f"<disk type='file'><driver name='qemu' type='raw'/><source file='{path_of(host, 'evil')}'/>"
            "<target dev='vda' bus='virtio'/></disk></devices></domain>"
        )
        host.virsh("define", str(tmp_path / "evil.xml"))
    try:
        volume = mirrored(portal, shared, "evil", format="raw")
        _raw_header(host, path_of(host, "evil"), secret)
        # Before libvirt has looked, and after.
        assert_nothing_is_made(portal, shared, volume, kinds=("clone_volume",))
        volume = mirrored(portal, shared, "evil", format="qcow2")
        assert "its content says" in wait_until(lambda: Volume.objects.get(pk=volume.pk).quarantine)
        volume.refresh_from_db()
        for kind in ("clone_volume", "convert_volume", "resize_volume"):
            assert "Its content is not trusted" in why_not(volume, kind)
        # As if the watcher had not seen it: the worker looks itself.
        Volume.objects.filter(name="evil").update(quarantine="")
        volume.refresh_from_db()
        if has_machine:
            assert_nothing_is_made(portal, shared, volume)
    finally:
        if has_machine:
            host.virsh("undefine", "evil")


def assert_nothing_is_made(
    portal: Portal,
    pool: StoragePool,
    volume: Volume,
    *,
    kinds: tuple[str, ...] = ("clone_volume", "convert_volume", "resize_volume", "create_volume"),
) -> None:
    host = portal.hosts[0]
    for kind in kinds:
        try:
            if kind == "create_volume":
                size = max(volume.capacity_bytes, MIB)
                given = {"name": "copy", "format": "qcow2", "capacity_bytes": size, "backing_volume_id": volume.pk}
                operation = create(portal, pool, **given)
            else:
                size = 16 * MIB
                operation = ask(portal, kind, volume, name="copy", capacity_bytes=size, overcommitted=True)
        except NotPossible:
            continue
        operation = ended(operation)
        assert operation.state == OperationState.FAILED, f"{kind}: {operation.outcome}"
        assert "is not trusted, and nothing is made of it" in operation.outcome, f"{kind}: {operation.outcome}"
    wait_for_operation_locks()
    directory = path_of(host, "evil").parent
    for file in directory.iterdir():
        assert file.name == "evil" or SECRET[:24] not in file.read_bytes(), file


def wait_for_operation_locks() -> None:
    wait_until(lambda: not OperationLock.objects.exists())
