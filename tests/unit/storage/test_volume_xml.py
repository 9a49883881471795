"""Volumes' XML: what is built, against golden files (REWRITE_GOLDEN=1 writes them anew), and what is read back."""

import os
from pathlib import Path

import pytest

from hypervisors.libvirtxml.storage_pools import parse_storage_pool
from hypervisors.libvirtxml.storage_volumes import VolumeSpec, build_volume, parse_volume

GOLDEN = Path(__file__).parent / "volumes"
GIB = 2**30

SPECS = {
    "qcow2": VolumeSpec(name="web1.qcow2", format="qcow2", capacity_bytes=20 * GIB),
    "raw-reserved": VolumeSpec(name="db1.img", format="raw", capacity_bytes=GIB, allocation_bytes=GIB),
    "raw-empty": VolumeSpec(name="upload.iso", format="raw", capacity_bytes=0),
    "overlay": VolumeSpec(
        name="clone.qcow2",
        format="qcow2",
        capacity_bytes=20 * GIB,
        backing_path="/srv/images/base & more.qcow2",
        backing_format="qcow2",
    ),
    "odd-name": VolumeSpec(name='späße <&> "5%" 🐧.raw', format="raw", capacity_bytes=512),
}


@pytest.mark.parametrize("name", SPECS)
def test_built_xml_is_as_the_golden_file_says(name: str) -> None:
    golden = GOLDEN / f"{name}.xml"
    built = build_volume(SPECS[name])
    if os.environ.get("REWRITE_GOLDEN"):
        golden.write_text(built)
    assert built == golden.read_text()


@pytest.mark.parametrize("name", SPECS)
def test_what_is_built_reads_back(name: str) -> None:
    spec, parsed = SPECS[name], parse_volume(build_volume(SPECS[name]))
    assert (parsed.name, parsed.format, parsed.capacity_bytes) == (spec.name, spec.format, spec.capacity_bytes)
    assert (parsed.allocation_bytes, parsed.backing_path) == (spec.allocation_bytes, spec.backing_path)


def test_every_golden_file_is_of_a_spec() -> None:
    assert {path.stem for path in GOLDEN.glob("*.xml")} == {*SPECS, "said-by-libvirt"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "needs a name"),
        (".", "needs a name"),
        ("..", "needs a name"),
        ("a/b", "no “/”"),
        ("a\nb", "one line"),
        ("a\x00b", "one line"),
        ("a\x7fb", "one line"),
        (" a", "begin or end"),
        ("ä" * 128, "at most 255 bytes"),
        ("\ud800", "one line"),
    ],
)
def test_a_name_that_no_file_system_should_have_is_refused(name: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        VolumeSpec(name=name, format="raw", capacity_bytes=1)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"format": "vhdx"}, "not as vhdx"),
        ({"capacity_bytes": -1}, "not negative"),
        ({"allocation_bytes": -1}, "not negative"),
        ({"allocation_bytes": 2 * GIB}, "no more is reserved"),
        ({"backing_path": "/base"}, "path and the format"),
        ({"backing_format": "raw"}, "path and the format"),
        ({"format": "raw", "backing_path": "/base", "backing_format": "raw"}, "Only a qcow2"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(fields: dict[str, object], why: str) -> None:
    values: dict[str, object] = {"name": "a", "format": "qcow2", "capacity_bytes": GIB} | fields
    with pytest.raises(ValueError, match=why):
        VolumeSpec(**values)  # type: ignore[arg-type]


def test_what_libvirt_says_of_a_volume_is_read() -> None:
    parsed = parse_volume((GOLDEN / "said-by-libvirt.xml").read_text())
    assert (parsed.name, parsed.key, parsed.volume_type) == ("clone.qcow2", "/srv/images/clone.qcow2", "file")
    assert (parsed.path, parsed.format) == ("/srv/images/clone.qcow2", "qcow2")
    assert (parsed.capacity_bytes, parsed.allocation_bytes, parsed.physical_bytes) == (21474836480, 200704, 196928)
    assert (parsed.backing_path, parsed.backing_format) == ("/srv/images/base.qcow2", "raw")


def test_a_volume_of_which_little_is_said_is_read_all_the_same() -> None:
    assert parse_volume("<volume/>").capacity_bytes == 0
    assert parse_volume("<volume><capacity>18446744073709551615</capacity></volume>").capacity_bytes == 2**64 - 1
    with pytest.raises(ValueError, match="cannot be read"):
        parse_volume("<volume>")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("<host name='nas1'/><dir path='/export/vms'/><format type='nfs'/>", "nas1:/export/vms"),
        ("<host name='nas1' port='2049'/><dir path='/export'/>", "nas1:2049:/export"),
        ("<host name='g1'/><name>images</name><dir path='/'/>", "g1:images"),
        ("<host name='g1'/><name>images</name><dir path='/sub'/>", "g1:images/sub"),
        ("<host name='mon2'/><host name='mon1'/><name>rbd</name><auth username='x' type='ceph'/>", "mon1,mon2:rbd"),
        ("<host name='san'/><device path='iqn.2020-01.org:disks'/>", "san:iqn.2020-01.org:disks"),
        ("<device path='/dev/sdb1'/>", "/dev/sdb1"),
        ("<device path='/dev/sdb'/><name>vg0</name>", "vg0"),
        ("<adapter type='scsi_host' name='host5'/>", "host5"),
        ("", ""),
    ],
)
def test_where_a_storage_pool_comes_from_is_one_line(source: str, said: str) -> None:
    parsed = parse_storage_pool(f"<pool type='x'><source>{source}</source><target><path>/p</path></target></pool>")
    assert (parsed.source, parsed.target_path) == (said, "/p")
