"""Appliances as somebody brings them: whole ones are understood, and whatever would read or fill more is refused."""

import os
import struct
from pathlib import Path

import pytest

from hypervisors.imaging.appliance_json import appliance_from_json, appliance_to_json
from hypervisors.imaging.appliances import ExaminedAppliance, StoredFile, examine
from tests.unit.imaging import packages

MIB = 1024**2


def stored(content: bytes, name: str = "volume") -> StoredFile:
    return StoredFile(
        read=lambda offset, length: content[offset : offset + length], size_bytes=len(content), volume_name=name
    )


def look(content: bytes, name: str = "web1.ova", **beside: bytes) -> ExaminedAppliance:
    files = {one.replace("__", "."): stored(body, one.replace("__", ".")) for one, body in beside.items()}
    return examine(stored(content, name), name=name, find=files.get)


@pytest.fixture
def disk(tmp_path: Path) -> bytes:
    """A VMDK of 8 MiB, of which one holds something."""
    raw = tmp_path / "raw"
    raw.write_bytes(os.urandom(MIB) + bytes(7 * MIB))
    return packages.stream_optimized(raw)


def ova(*disks: bytes, mib: int = 8, with_manifest: bool = True) -> bytes:
    files = [(f"disk{number}.vmdk", content) for number, content in enumerate(disks)]
    ovf = packages.descriptor([(name, len(content), mib) for name, content in files])
    members = [("web1.ovf", ovf), *files]
    manifest = [("web1.mf", packages.manifest(members))] if with_manifest else []
    return packages.archive([members[0], *manifest, *files])


def test_an_ova_is_understood_and_kept_as_json(disk: bytes) -> None:
    examined = look(ova(disk, disk))
    assert (examined.kind, len(examined.disks)) == ("ova", 2)
    for packaged in examined.disks:
        assert packaged.problem == ""
        assert packaged.facts is not None
        assert (packaged.facts.virtual_size_bytes, packaged.facts.populated_bytes) == (8 * MIB, MIB)
        assert packaged.digest is not None
    assert examined.warnings == ()
    assert appliance_from_json(appliance_to_json(examined)) == examined


def test_without_a_manifest_that_is_said(disk: bytes) -> None:
    assert any("manifest" in warning for warning in look(ova(disk, with_manifest=False)).warnings)


def test_a_descriptor_that_was_changed_after_the_manifest_is_refused(disk: bytes) -> None:
    content = ova(disk).replace(b"<Name>web1</Name>", b"<Name>evil</Name>")
    with pytest.raises(ValueError, match="manifest"):
        look(content)


def test_a_descriptor_with_its_files_beside_it_is_understood(disk: bytes) -> None:
    ovf = packages.descriptor([("disk0.vmdk", len(disk), 8)])
    examined = look(ovf, "web1.ovf", disk0__vmdk=disk)
    assert (examined.kind, examined.disks[0].volume_name, examined.disks[0].problem) == ("ovf", "disk0.vmdk", "")
    missing = look(ovf, "web1.ovf")
    assert "missing" in missing.disks[0].problem


def test_a_disk_alone_is_understood(disk: bytes) -> None:
    examined = look(disk, "router.vmdk")
    assert (examined.kind, examined.appliance.name) == ("disk", "router")
    assert examined.disks[0].facts is not None


@pytest.mark.parametrize("content", [b"", b"MZ", os.urandom(5000), b"<html>404</html>", b"\x1f\x8b\x08"])
def test_what_is_no_appliance_is_told(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        look(content)


def test_a_disk_that_names_another_file_is_told(disk: bytes) -> None:
    end = disk.index(b"\0", 512)
    hostile = disk[:end] + b'parentFileNameHint="/etc/shadow"\n' + disk[end + 33 :]
    assert "parent" in look(ova(hostile)).disks[0].problem
    backed = b"QFI\xfb" + struct.pack(">IQIIQ", 3, 512, 11, 16, 8 * MIB) + bytes(1000)
    assert "backing file" in look(ova(backed)).disks[0].problem


def test_a_disk_that_is_no_vmdk_although_its_descriptor_says_so_is_told() -> None:
    assert "raw" in look(ova(os.urandom(MIB))).disks[0].problem


def test_a_disk_that_unfolds_to_more_than_is_said_is_told(disk: bytes) -> None:
    assert "more than its descriptor says" in look(ova(disk, mib=4)).disks[0].problem


def test_a_bomb_is_known_by_what_it_takes(disk: bytes) -> None:
    """A hundred times what lies in the file: every entry of the table points to the one grain that is there."""
    header = disk.index(b"KDMV")
    (directory,) = struct.unpack_from("<Q", disk, header + 56)
    (table,) = struct.unpack_from("<I", disk, directory * 512)
    (grain,) = struct.unpack_from("<I", disk, table * 512)
    bomb = bytearray(disk)
    struct.pack_into("<128I", bomb, table * 512, *[grain] * 128)
    facts = look(ova(bytes(bomb), with_manifest=False)).disks[0].facts
    assert facts is not None
    assert facts.populated_bytes == 8 * MIB
