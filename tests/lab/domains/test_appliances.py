"""Appliances imported and exported on real hypervisors; asserted by virsh, qemu-img and the guest's own serial line."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.lab.uefi_disk import cached_uefi_disk
from hypervisors.errors import NotPossible
from hypervisors.imaging.vmdk_writer import GRAIN_BYTES, stream_optimized
from hypervisors.models import Appliance, Domain, Hypervisor, Operation, OperationLock, Volume
from hypervisors.operations.engine.requests import request_cancel, request_operation
from hypervisors.states import OperationState
from tests.fakehost.killing import run_and_die
from tests.lab.domains.creations import MIB, Creator, counts_on, creator, run_to_end, states_of
from tests.lab.portals import Portal
from tests.unit.imaging import packages
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ()


@pytest.fixture
def made(portal: Portal) -> Iterator[Creator]:
    with creator(portal) as found:
        yield found


@pytest.fixture(scope="module")
def data_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 MiB with holes, the same each time."""
    path = tmp_path_factory.mktemp("disks") / "data.raw"
    chosen = random.Random(8)
    with path.open("wb") as file:
        file.write(chosen.randbytes(3 * MIB))
        file.seek(10 * MIB)
        file.write(chosen.randbytes(MIB))
        file.truncate(24 * MIB)
    return path


def put(made: Creator, name: str, content: bytes) -> Volume:
    """As an upload leaves it."""
    (made.host.lab.pool_path / name).write_bytes(content)
    return made.mirrored(name)


def appliance(disks: list[Path], *, damaged: bool = False) -> bytes:
    """An OVA as VMware makes them, of these raw disks, with UEFI."""
    files = []
    for number, path in enumerate(disks):
        copy = path.with_name(f"copy-{number}-{path.name}")
        if not copy.exists():
            shutil.copyfile(path, copy)
        files.append((f"disk{number}.vmdk", packages.stream_optimized(copy)))
    sizes = [
        (name, len(content), path.stat().st_size // MIB) for (name, content), path in zip(files, disks, strict=True)
    ]
    ovf = packages.descriptor(sizes, name="Imported machine", extra_settings=packages.UEFI)
    manifest = packages.manifest([("web1.ovf", ovf), *files])
    if damaged:
        files[-1] = (files[-1][0], files[-1][1][:-2000] + bytes(1) + files[-1][1][-1999:])
    return packages.archive([("web1.ovf", ovf), ("web1.mf", manifest), *files])


def look_into(made: Creator, volume: Volume) -> Appliance:
    row = Volume.objects.select_related("storage_pool__hypervisor").get(pk=volume.pk)
    run_to_end(request_operation(user=made.portal.alice, kind="read_appliance", subject=row))
    return Appliance.objects.get(volume=volume)


def ask(made: Creator, volume: Volume, name: str, *, on: int = 0, **fields: Any) -> Operation:
    host = Hypervisor.objects.select_related("hypervisor_pool").get(pk=made.portal.rows[on].pk)
    given = {
        "name": name,
        "volume_id": volume.pk,
        "storage_pool_id": made.storage_pool.pk,
        "networks": {"VM Network": "default"},
        "memory_kib": 192 * 1024,
        **fields,
    }
    return request_operation(user=made.portal.alice, kind="import_appliance", subject=host, parameters=given)


def content_of(made: Creator, volume_name: str, directory: Path) -> bytes:
    raw = directory / f"{volume_name}.raw"
    path = made.host.lab.pool_path / volume_name
    subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", path, raw], check=True)
    return raw.read_bytes()


def test_an_ova_with_two_disks_and_uefi_boots_and_comes_back_whole(
    made: Creator, data_disk: Path, tmp_path: Path
) -> None:
    boot_disk = tmp_path / "boot.raw"
    shutil.copyfile(cached_uefi_disk(), boot_disk)
    volume = put(made, "machine.ova", appliance([boot_disk, data_disk]))
    found = look_into(made, volume)
    assert found.problem == ""
    assert found.content["appliance"]["firmware"] == "uefi"

    operation = run_to_end(ask(made, volume, "imported"), seconds=120)
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    assert set(states_of(operation).values()) == {"done"}
    assert not OperationLock.objects.exists()
    assert [name for name in made.volumes() if name.startswith("vmportal-")] == []
    assert content_of(made, "imported-2.qcow2", tmp_path) == data_disk.read_bytes()
    xml = made.host.virsh("dumpxml", "imported")
    assert "<kernel>" not in xml
    assert "imported-1.qcow2" in xml
    assert "efi" in xml or "pflash" in xml
    assert counts_on(made.host, "imported", seconds=90)

    made.host.virsh("destroy", "imported")
    off = Domain.objects.select_related("hypervisor", "definition").filter(name="imported", state="shutoff")
    domain = wait_until(off.first)
    wait_until(lambda: Volume.objects.present().filter(name__startswith="imported-").count() >= 4)
    exported = run_to_end(
        request_operation(
            user=made.portal.alice, kind="export_domain", subject=domain, parameters={"format": "ova", "name": "again"}
        ),
        seconds=120,
    )
    assert exported.state == OperationState.SUCCEEDED, exported.outcome
    assert [name for name in made.volumes() if name.startswith("vmportal-")] == []
    again = made.mirrored("again.ova")
    row = look_into(made, again)
    assert row.problem == ""
    assert row.content["appliance"]["firmware"] == "uefi"
    assert row.content["warnings"] == []
    second = run_to_end(ask(made, again, "second", start=False, networks={"default": "default"}), seconds=120)
    assert second.state == OperationState.SUCCEEDED, second.outcome
    assert content_of(made, "second-1.qcow2", tmp_path) == boot_disk.read_bytes()
    assert content_of(made, "second-2.qcow2", tmp_path) == data_disk.read_bytes()


def test_a_disk_that_is_not_what_the_manifest_says_leaves_nothing(made: Creator, data_disk: Path) -> None:
    volume = put(made, "damaged.ova", appliance([data_disk], damaged=True))
    assert look_into(made, volume).problem == ""
    before = made.volumes()
    operation = run_to_end(ask(made, volume, "damaged"))
    assert operation.state == OperationState.FAILED
    assert "digest" in operation.outcome
    assert made.volumes() == before
    assert "damaged" not in made.names()
    assert not OperationLock.objects.exists()


def test_a_disk_alone_is_imported_where_it_lies(made: Creator, data_disk: Path, tmp_path: Path) -> None:
    volume = put(made, "router.vmdk", packages.stream_optimized(shutil.copyfile(data_disk, tmp_path / "x.raw")))
    look_into(made, volume)
    operation = run_to_end(ask(made, volume, "router", start=False))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    assert content_of(made, "router-1.qcow2", tmp_path) == data_disk.read_bytes()
    assert "router.vmdk" in made.volumes()


def test_another_host_imports_what_the_first_one_has(made: Creator, data_disk: Path, tmp_path: Path) -> None:
    volume = put(made, "elsewhere.ova", appliance([data_disk]))
    look_into(made, volume)
    operation = run_to_end(ask(made, volume, "elsewhere", on=1, start=False))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    assert content_of(made, "elsewhere-1.qcow2", tmp_path) == data_disk.read_bytes()
    assert "elsewhere" in made.portal.hosts[1].virsh("list", "--all", "--name").split()
    made.portal.hosts[1].virsh("undefine", "elsewhere", "--nvram")


def hostile_volumes(data_disk: Path) -> dict[str, bytes]:
    vmdk = packages.stream_optimized(data_disk)
    end = vmdk.index(b"\0", 512)
    parent = vmdk[:end] + b'parentFileNameHint="/etc/passwd"\n' + vmdk[end + 33 :]
    return {
        "parent.vmdk": parent,
        "parent.ova": packages.archive([("a.ovf", packages.descriptor([("d.vmdk", 1, 24)])), ("d.vmdk", parent)]),
        "path.ova": packages.archive([("a.ovf", packages.descriptor()), ("../d.vmdk", vmdk)]),
        "flat.vmdk": b'# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
        b'RW 8 FLAT "/etc/passwd" 0\n',
        "entities.ova": packages.archive([("a.ovf", b'<!DOCTYPE a [<!ENTITY x "y">]><Envelope>&x;</Envelope>')]),
    }


def test_what_is_hostile_is_never_imported(made: Creator, data_disk: Path) -> None:
    for name, content in hostile_volumes(data_disk).items():
        volume = put(made, name, content)
        row = look_into(made, volume)
        problems = [row.problem, *(disk["problem"] for disk in row.content.get("disks", ()))]
        assert any(problems), name
        with pytest.raises(NotPossible):
            ask(made, volume, "hostile")
    assert "hostile" not in made.names()


def test_a_bomb_is_not_unpacked(made: Creator) -> None:
    """Sixty terabytes out of two megabytes."""
    capacity = 4 * 2**40
    grains = ((number, b"x" * GRAIN_BYTES) for number in range(512))
    content = bytearray(b"".join(stream_optimized(grains, capacity_bytes=capacity, name="b.vmdk", content_id=1)))
    directory = len(content) - 3 * 512 - capacity // (512 * GRAIN_BYTES) * 4
    content[directory : len(content) - 3 * 512] = content[directory : directory + 4] * (capacity // (512 * GRAIN_BYTES))
    volume = put(made, "bomb.vmdk", bytes(content))
    row = look_into(made, volume)
    assert row.content["disks"][0]["facts"]["populated_bytes"] == capacity
    with pytest.raises(NotPossible, match="does not fit"):
        ask(made, volume, "bomb")


def test_what_changed_since_it_was_looked_into_is_not_imported(made: Creator, data_disk: Path) -> None:
    volume = put(made, "changed.ova", appliance([data_disk]))
    look_into(made, volume)
    other = packages.descriptor([("disk0.vmdk", 1, 24)], memory_mib=512)
    (made.host.lab.pool_path / "changed.ova").write_bytes(packages.archive([("web1.ovf", other)]))
    operation = run_to_end(ask(made, volume, "changed"))
    assert operation.state == OperationState.FAILED
    assert "changed" not in made.names()


def test_an_import_whose_worker_dies_at_any_step_ends_whole(made: Creator, data_disk: Path, tmp_path: Path) -> None:
    volume = put(made, "killed.ova", appliance([data_disk]))
    look_into(made, volume)
    for number in range(1, 20):
        name = f"killed-{number}"
        operation = ask(made, volume, name, start=False)
        if not run_and_die(operation, number, after=number % 2 == 0):
            operation.refresh_from_db()
            break
        run_to_end(operation)
        assert operation.state == OperationState.SUCCEEDED, (number, operation.outcome)
        assert content_of(made, f"{name}-1.qcow2", tmp_path) == data_disk.read_bytes()
        assert [one for one in made.volumes() if one.startswith("vmportal-")] == []
    assert number == 2 * len(states_of(operation)) + 1


def test_an_import_cancelled_after_its_worker_died_leaves_nothing(made: Creator, data_disk: Path) -> None:
    volume = put(made, "cancelled.ova", appliance([data_disk]))
    look_into(made, volume)
    before = made.volumes()
    for number in (3, 4, 6, 8):
        operation = ask(made, volume, "cancelled", start=False)
        assert run_and_die(operation, number, after=True)
        operation.refresh_from_db()
        request_cancel(operation, user=made.portal.alice)
        run_to_end(operation)
        assert operation.state == OperationState.CANCELLED, operation.outcome
        assert made.volumes() == before
        assert "cancelled" not in made.names()
        assert not OperationLock.objects.exists()
