"""VMDKs that we write are read by qemu-img, byte for byte, and by our own strict reader."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisors.imaging.image_headers import HEAD_BYTES, inspect_head
from hypervisors.imaging.vmdk_tables import GrainTables
from hypervisors.imaging.vmdk_writer import GRAIN_BYTES, stream_optimized

MIB = 1024**2


def grains_of(disk: bytes) -> Iterator[tuple[int, bytes]]:
    for number, offset in enumerate(range(0, len(disk), GRAIN_BYTES)):
        yield number, disk[offset : offset + GRAIN_BYTES]


def written(disk: bytes) -> bytes:
    return b"".join(stream_optimized(grains_of(disk), capacity_bytes=len(disk), name="disk1.vmdk", content_id=7))


DISKS = {
    "empty": bytes(MIB),
    "with holes": os.urandom(3 * MIB) + bytes(70 * MIB) + os.urandom(512),
    "in several tables": (b"x" + bytes(MIB - 1)) * 66,
    "not whole grains": os.urandom(GRAIN_BYTES + 1024),
    "full": os.urandom(2 * MIB),
}


@pytest.mark.parametrize("name", DISKS)
def test_qemu_reads_what_was_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "disk.vmdk").write_bytes(written(DISKS[name]))
    subprocess.run(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", "disk.vmdk", "raw"], cwd=tmp_path, check=True)
    assert (tmp_path / "raw").read_bytes() == DISKS[name]


@pytest.mark.parametrize("name", DISKS)
def test_we_read_what_was_written(name: str) -> None:
    disk, content = DISKS[name], written(DISKS[name])
    facts = inspect_head(content[:HEAD_BYTES], size_bytes=len(content))
    assert (facts.format, facts.virtual_size_bytes, facts.problem) == ("vmdk", len(disk), "")
    tables = GrainTables(lambda offset, length: content[offset : offset + length], size_bytes=len(content))
    expected = [number for number, grain in grains_of(disk) if any(grain)]
    assert [grain.number for grain in tables.grains()] == expected


def test_a_cut_off_end_is_told() -> None:
    content = written(DISKS["full"])
    cut = content[:-512]
    with pytest.raises(Exception, match="cut off"):
        GrainTables(lambda offset, length: cut[offset : offset + length], size_bytes=len(cut))


def test_grains_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="order"):
        list(stream_optimized([(1, b"a"), (0, b"b")], capacity_bytes=MIB, name="d", content_id=1))
