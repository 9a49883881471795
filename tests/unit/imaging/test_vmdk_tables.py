"""What a VMDK unfolds to is known from its tables, also where they point a thousand times to the same bytes."""

import json
import os
import struct
import subprocess
from pathlib import Path

import pytest

from hypervisors.imaging.image_facts import HeaderProblem
from hypervisors.imaging.image_headers import HEAD_BYTES, inspect_head
from hypervisors.imaging.vmdk_tables import GrainTables

MIB = 1024**2
GRAIN = 64 * 1024


def tables(content: bytes) -> GrainTables:
    return GrainTables(lambda offset, length: content[offset : offset + length], size_bytes=len(content))


@pytest.fixture(params=["streamOptimized", "monolithicSparse"])
def vmdk(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    """100 MiB, of which 3 MiB at 1 MiB, one grain at 70 MiB, and the last 100,000 bytes hold something."""
    raw = tmp_path / "raw"
    with raw.open("wb") as file:
        file.truncate(100 * MIB)
        for offset, length in ((MIB, 3 * MIB), (70 * MIB, 1), (100 * MIB - 100_000, 100_000)):
            file.seek(offset)
            file.write(os.urandom(length))
    options = ["-f", "raw", "-O", "vmdk", "-o", f"subformat={request.param}"]
    subprocess.run(["qemu-img", "convert", *options, raw, tmp_path / "vmdk"], check=True)
    return (tmp_path / "vmdk").read_bytes()


def test_the_grains_are_those_that_qemu_sees(vmdk: bytes, tmp_path: Path) -> None:
    (tmp_path / "again").write_bytes(vmdk)
    said = subprocess.run(
        ["qemu-img", "map", "--output=json", "-f", "vmdk", tmp_path / "again"], check=True, capture_output=True
    )
    extents = [extent for extent in json.loads(said.stdout) if extent["data"] and not extent["zero"]]
    expected = {
        number
        for one in extents
        for number in range(one["start"] // GRAIN, (one["start"] + one["length"] - 1) // GRAIN + 1)
    }
    assert {grain.number for grain in tables(vmdk).grains()} == expected
    assert tables(vmdk).populated_bytes() == len(expected) * GRAIN


def directory_of(content: bytes) -> int:
    offset = tables(content).header.grain_directory_offset
    assert offset is not None
    return offset


def test_a_bomb_is_seen_by_what_it_unfolds_to(vmdk: bytes) -> None:
    """Every entry of the directory points to one table, and every entry of that to one grain."""
    bomb = bytearray(vmdk)
    at = directory_of(vmdk)
    first_table = next(entry for entry in struct.unpack_from("<4I", vmdk, at) if entry)
    grain = next(tables(vmdk).grains())
    struct.pack_into("<512I", bomb, first_table * 512, *[grain.offset // 512] * 512)
    struct.pack_into("<4I", bomb, at, *[first_table] * 4)
    assert inspect_head(bytes(bomb[:HEAD_BYTES])).problem == ""
    assert tables(bytes(bomb)).populated_bytes() >= 100 * MIB - GRAIN


def test_tables_behind_the_end_are_told(vmdk: bytes) -> None:
    at = directory_of(vmdk)
    damaged = bytearray(vmdk)
    struct.pack_into("<I", damaged, at, 0xFFFFFFF0)
    with pytest.raises(HeaderProblem, match="behind its end"):
        _ = tables(bytes(damaged)).populated_bytes()


def test_a_cut_off_stream_is_told(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.write_bytes(os.urandom(MIB))
    options = ["-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    subprocess.run(["qemu-img", "convert", *options, raw, tmp_path / "vmdk"], check=True)
    content = (tmp_path / "vmdk").read_bytes()
    for end in (len(content) // 2, 1000):
        with pytest.raises(HeaderProblem):
            _ = tables(content[:end]).populated_bytes()
