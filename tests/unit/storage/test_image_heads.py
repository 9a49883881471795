"""What images say of themselves: written once, for what looks like an image; an ISO that is none is told."""

import struct
from uuid import uuid4

import pytest

from hypervisors.gateway.storage.volumes import VolumeFacts
from hypervisors.inventory.observations import VolumeHeadRead, VolumesListed
from hypervisors.inventory.storage.heads import looks_like_image, read_head
from hypervisors.inventory.storage.mirror import StorageMirror
from hypervisors.models import Hypervisor, StoragePool, VolumeHead

pytestmark = pytest.mark.django_db


def iso_head(volume_id: str) -> bytes:
    """A primary volume descriptor, as Debian's installer has it."""
    descriptor = bytearray(2048)
    descriptor[:7] = b"\x01CD001\x01"
    descriptor[8:40] = b"".ljust(32)
    descriptor[40:72] = volume_id.encode().ljust(32)
    struct.pack_into("<I", descriptor, 80, 300_000)
    struct.pack_into("<H", descriptor, 128, 2048)
    boot = b"\x00CD001\x01EL TORITO SPECIFICATION".ljust(2048, b"\0")
    return bytes(32768) + bytes(descriptor) + boot + bytes(65536 - 32768 - 4096)


def facts(name: str, format_: str) -> VolumeFacts:
    return VolumeFacts(
        name=name,
        key=name,
        path=f"/images/{name}",
        volume_type="file",
        format=format_,
        capacity_bytes=1,
        allocation_bytes=1,
        backing_path="",
        backing_format="",
    )


def told(hypervisor: Hypervisor, name: str, format_: str, head: bytes) -> VolumeHead:
    pool = StoragePool.objects.create(
        hypervisor=hypervisor, uuid=uuid4(), name="images", pool_type="dir", active=True, autostart=True
    )
    mirror, volume = StorageMirror(), facts(name, format_)
    mirror.take_volumes(VolumesListed(hypervisor_id=hypervisor.pk, pool_uuid=pool.uuid, volumes=(volume,)))
    mirror.take_head(
        VolumeHeadRead(hypervisor_id=hypervisor.pk, pool_uuid=pool.uuid, name=name, head=read_head(head, volume))
    )
    assert mirror.has_unsaved()
    assert [change.what for change in mirror.save()] == ["volume"]
    mirror.note_saved()
    assert not mirror.has_unsaved()
    return VolumeHead.objects.get(volume__name=name)


def test_an_installers_system_is_known_by_its_labels(hypervisor: Hypervisor) -> None:
    head = told(hypervisor, "anything.iso", "iso", iso_head("Debian 11.5.0 amd64 1"))
    assert (head.format, head.problem, head.is_bootable) == ("iso", "", True)
    assert (head.system_id, head.label) == ("debian11", "Debian 11.5.0 amd64 1")
    assert "Debian" in head.system_name


def test_an_iso_that_is_none_is_told(hypervisor: Hypervisor) -> None:
    head = told(hypervisor, "debian-11.iso", "raw", b"<!DOCTYPE html><html>404".ljust(4096))
    assert head.problem == "It is called .iso and is none: its content looks like html."


def test_a_hostile_cloud_image_is_told(hypervisor: Hypervisor) -> None:
    header = struct.pack(">4sIQII", b"QFI\xfb", 3, 4096, 11, 16).ljust(65536, b"\0")
    assert "backing file" in told(hypervisor, "debian-11-genericcloud.qcow2", "qcow2", header).problem


@pytest.mark.parametrize(
    ("name", "format_", "kind", "is_so"),
    [
        ("netinst.iso", "iso", "file", True),
        ("NETINST.ISO", "raw", "file", True),
        ("no-suffix", "iso", "file", True),
        ("noble-server-cloudimg-amd64.img", "qcow2", "file", True),
        ("web1.qcow2", "qcow2", "file", False),
        ("isos", "dir", "dir", False),
    ],
)
def test_what_looks_like_an_image(name: str, format_: str, kind: str, is_so: bool) -> None:
    assert looks_like_image(name, format_, kind) is is_so
