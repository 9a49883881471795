"""Heads of images: what qemu-img makes is believed, what names another file is not, and no bytes raise or take long."""

import gzip
import io
import struct
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pycdlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisors.imaging.image_headers import HEAD_BYTES, inspect_head, iso_labels

MIB = 1024**2


def made(folder: Path, format_: str, *options: str, size: str = "64M") -> bytes:
    path = folder / f"disk.{format_}"
    subprocess.run(["qemu-img", "create", "-q", "-f", format_, *options, path, size], check=True)
    return path.read_bytes()


def patched(head: bytes, offset: int, value: bytes) -> bytes:
    return head[:offset] + value + head[offset + len(value) :]


@pytest.fixture
def qcow2(tmp_path: Path) -> bytes:
    return made(tmp_path, "qcow2")


@pytest.fixture
def stream_optimized(tmp_path: Path) -> bytes:
    return made(tmp_path, "vmdk", "-o", "subformat=streamOptimized")


@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("qcow2", ()),
        ("qcow2", ("-o", "compat=0.10")),
        ("qcow2", ("-o", "cluster_size=2M")),
        ("qcow2", ("-o", "compression_type=zstd,extended_l2=on,cluster_size=128k,lazy_refcounts=on")),
        ("vmdk", ("-o", "subformat=streamOptimized")),
        ("vmdk", ("-o", "subformat=monolithicSparse")),
        ("vdi", ()),
        ("vpc", ()),
        ("raw", ()),
    ],
)
def test_what_qemu_img_makes_is_believed(format_: str, options: tuple[str, ...], tmp_path: Path) -> None:
    image = made(tmp_path, format_, *options)
    facts = inspect_head(image[:HEAD_BYTES], size_bytes=len(image))
    assert (facts.format, facts.problem) == (format_, "")
    # A VHD is as large as its geometry of cylinders says.
    assert facts.virtual_size_bytes is not None
    assert 64 * MIB <= facts.virtual_size_bytes < 65 * MIB


def test_a_disk_of_every_size_up_to_a_pebibyte_is_believed(tmp_path: Path) -> None:
    for size in ("1M", "1T", "60T"):
        image = made(tmp_path, "qcow2", size=size)
        assert inspect_head(image[:HEAD_BYTES], size_bytes=len(image)).problem == ""


def test_a_backing_file_is_refused(tmp_path: Path) -> None:
    image = made(tmp_path, "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow")
    assert "backing file" in inspect_head(image[:HEAD_BYTES]).problem


def test_an_external_data_file_is_refused_also_where_only_its_name_stands(tmp_path: Path, qcow2: bytes) -> None:
    image = made(tmp_path, "qcow2", "-o", f"data_file={tmp_path / 'data'}")
    assert "external data file" in inspect_head(image[:HEAD_BYTES]).problem
    without_the_bit = patched(image, 72, bytes(8))
    assert "external data file" in inspect_head(without_the_bit[:HEAD_BYTES]).problem


def test_encryption_is_refused(qcow2: bytes) -> None:
    assert inspect_head(patched(qcow2, 32, struct.pack(">I", 1))).problem == "It is encrypted."


@pytest.mark.parametrize("bit", [1, 2, *range(5, 64)])
def test_an_incompatible_feature_that_is_not_known_is_refused(bit: int, qcow2: bytes) -> None:
    assert inspect_head(patched(qcow2, 72, struct.pack(">Q", 1 << bit))).problem


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (4, struct.pack(">I", 1)),
        (4, struct.pack(">I", 4)),
        (20, struct.pack(">I", 22)),
        (24, struct.pack(">Q", 2**63)),
        (24, struct.pack(">Q", 0)),
        (24, struct.pack(">Q", 2**50 + 1)),
        (36, struct.pack(">I", 2**31)),
        (40, struct.pack(">Q", 2**60)),
        (40, struct.pack(">Q", 7)),
        (48, struct.pack(">Q", 0)),
        (56, struct.pack(">I", 2**20)),
        (96, struct.pack(">I", 9)),
        (100, struct.pack(">I", 0xFFFFFFF8)),
        (112, struct.pack(">II", 0x12345678, 0xFFFFFFFF)),
    ],
)
def test_a_forged_qcow2_header_is_refused(offset: int, value: bytes, qcow2: bytes) -> None:
    assert inspect_head(patched(qcow2, offset, value)[:HEAD_BYTES], size_bytes=len(qcow2)).problem


def test_a_raw_disk_with_a_forged_header_is_no_raw_disk(qcow2: bytes) -> None:
    assert inspect_head(qcow2[:512] + bytes(4096)).format == "qcow2"


def test_what_is_cut_off_is_told(qcow2: bytes, stream_optimized: bytes) -> None:
    assert "cut off" in inspect_head(qcow2[:HEAD_BYTES], size_bytes=70_000).problem
    assert "cut off" in inspect_head(qcow2[:40]).problem
    assert "cut off" in inspect_head(stream_optimized[:100]).problem


@pytest.mark.parametrize("subformat", ["monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"])
def test_a_vmdk_that_names_other_files_is_refused(subformat: str, tmp_path: Path) -> None:
    image = made(tmp_path, "vmdk", "-o", f"subformat={subformat}")
    facts = inspect_head(image)
    assert facts.format == "vmdk"
    assert "other files" in facts.problem


def test_a_vmdk_descriptor_without_its_comment_is_seen(tmp_path: Path) -> None:
    text = b'#x\n\nversion=1\nCID=0\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 1 FLAT "/etc/shadow" 0\n'
    assert "other files" in inspect_head(text).problem


def test_a_vmdk_without_a_capacity_is_only_a_pointer(stream_optimized: bytes) -> None:
    assert "descriptor" in inspect_head(patched(stream_optimized, 12, bytes(8))).problem


@pytest.mark.parametrize(
    "line",
    [
        b'parentFileNameHint="/etc/shadow"\n',
        b'# parentFileNameHint="/etc/shadow"\n',
        b"parentCID=12345678\n",
        b'RW 2048 FLAT "/etc/shadow" 0\n',
        b'createType="vmfs"\n',
    ],
)
def test_a_hostile_line_in_a_vmdk_descriptor_is_refused(line: bytes, stream_optimized: bytes) -> None:
    end = stream_optimized.index(b"\0", 512)
    assert inspect_head(patched(stream_optimized, end, line)).problem


def test_a_vmdk_whose_descriptor_disagrees_about_the_size_is_refused(stream_optimized: bytes) -> None:
    assert "disagree" in inspect_head(patched(stream_optimized, 12, struct.pack("<Q", 2**30))).problem


def test_a_part_of_a_split_vmdk_is_refused(stream_optimized: bytes) -> None:
    assert "several files" in inspect_head(patched(stream_optimized, 28, bytes(16))).problem


def test_a_snapshot_of_virtualbox_is_refused(tmp_path: Path) -> None:
    image = made(tmp_path, "vdi")
    assert "difference" in inspect_head(patched(image, 76, struct.pack("<I", 4))).problem
    assert "difference" in inspect_head(patched(image, 440, b"\1")).problem


def test_a_vhd_with_a_parent_is_refused(tmp_path: Path) -> None:
    image = made(tmp_path, "vpc")
    assert "parent" in inspect_head(patched(image, 512 + 64, "C:\\secret".encode("utf-16be"))).problem
    assert "difference" in inspect_head(patched(image, 60, struct.pack(">I", 4))).problem
    assert "checksum" in inspect_head(patched(image, 48, b"\7")).problem


def test_a_vhdx_is_refused(tmp_path: Path) -> None:
    facts = inspect_head(made(tmp_path, "vhdx")[:HEAD_BYTES])
    assert (facts.format, "VHDX" in facts.problem) == ("vhdx", True)


def iso(**labels: str) -> bytes:
    disc = pycdlib.PyCdlib()
    disc.new(interchange_level=3, **labels)
    out = io.BytesIO()
    disc.write_fp(out)
    disc.close()
    return out.getvalue()


def test_the_labels_of_a_disc_are_read() -> None:
    image = iso(vol_ident="Fedora-WS-Live-37-1-7", sys_ident="LINUX", app_ident_str="ANACONDA", pub_ident_str="FEDORA")
    labels = iso_labels(image[:HEAD_BYTES])
    assert labels is not None
    assert (labels.volume_id, labels.system_id) == ("Fedora-WS-Live-37-1-7", "LINUX")
    assert (labels.application_id, labels.publisher_id) == ("ANACONDA", "FEDORA")
    assert labels.volume_size_bytes == len(image)
    facts = inspect_head(image[:HEAD_BYTES])
    assert (facts.format, facts.virtual_size_bytes, facts.problem) == ("iso", len(image), "")


def test_a_disc_that_is_a_disk_image_as_well_is_refused(qcow2: bytes) -> None:
    both = patched(iso(vol_ident="BOTH"), 0, qcow2[:512])
    assert "several formats" in inspect_head(both[:HEAD_BYTES]).problem


def test_a_disc_with_udf_alone_is_a_disc() -> None:
    head = bytes(32768) + b"\0BEA01\1".ljust(2048, b"\0") + b"\0NSR02\1".ljust(2048, b"\0")
    assert inspect_head(head).format == "iso"
    assert iso_labels(head) is None


def test_archives_programs_and_web_pages_are_named() -> None:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("machine.ovf"))
    expected = {
        "gzip": gzip.compress(b"disk"),
        "xz": b"\xfd7zXZ\0\0\4",
        "zip": b"PK\3\4",
        "elf": Path("/proc/self/exe").read_bytes()[:HEAD_BYTES],
        "html": b"\n<!DOCTYPE html><html><title>404",
        "ovf": b'<?xml version="1.0"?>\n<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1">',
        "tar": tar.getvalue(),
    }
    assert {name: inspect_head(head).format for name, head in expected.items()} == {name: name for name in expected}
    assert {name for name, head in expected.items() if not inspect_head(head).problem} == {"ovf", "tar"}


def test_nothing_is_an_empty_raw_disk() -> None:
    assert inspect_head(b"", size_bytes=0).format == "raw"


SIGNATURES = st.sampled_from(
    [
        b"QFI\xfb\0\0\0\3",
        b"QFI\xfb\0\0\0\2",
        b"KDMV\3\0\0\0",
        b"conectix",
        b"\0" * 64 + b"\x7f\x10\xda\xbe",
        b"version=1\n",
        b"",
    ]
)


@given(signature=SIGNATURES, rest=st.binary(max_size=4096), size_bytes=st.none() | st.integers(0, 2**64))
def test_no_bytes_raise(signature: bytes, rest: bytes, size_bytes: int | None) -> None:
    facts = inspect_head(signature + rest, size_bytes=size_bytes)
    assert facts.format
    assert facts.problem or facts.virtual_size_bytes is None or facts.virtual_size_bytes >= 0


@given(data=st.data())
def test_no_change_of_a_real_header_raises_or_makes_it_name_a_file(data: st.DataObject) -> None:
    head = data.draw(st.sampled_from(_REAL))
    for _ in range(data.draw(st.integers(1, 4))):
        offset = data.draw(st.integers(0, min(len(head), 1024) - 1))
        head = patched(head, offset, data.draw(st.binary(min_size=1, max_size=8)))
    facts = inspect_head(head, size_bytes=len(head))
    if facts.format == "qcow2" and not facts.problem:
        assert struct.unpack_from(">Q", head, 8) == (0,)
        assert head[32:36] == bytes(4)
        if head[7] == 3:
            assert not struct.unpack_from(">Q", head, 72)[0] & 4


def _real_heads() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [
            made(Path(folder), format_, *options)[:HEAD_BYTES]
            for format_, options in (
                ("qcow2", ()),
                ("vmdk", ("-o", "subformat=streamOptimized")),
                ("vdi", ()),
                ("vpc", ()),
            )
        ]


_REAL = _real_heads()


@pytest.mark.parametrize("filler", [b" ", b"=", b'"', b"\n", b"#\n", b"RW 1 ", b'a="', b"\r", b"<"])
def test_a_descriptor_made_to_be_slow_is_not(filler: bytes, stream_optimized: bytes) -> None:
    head = patched(stream_optimized, 512, (filler * 20_000)[: 20 * 512])
    for _ in range(20):
        inspect_head(head)
        inspect_head((filler * HEAD_BYTES)[:HEAD_BYTES])
