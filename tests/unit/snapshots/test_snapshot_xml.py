"""Snapshots' XML: read as libvirt writes it, and built as libvirt takes it."""

import pytest

from hypervisors.libvirtxml.domain_snapshots import (
    SnapshotDisk,
    SnapshotSpec,
    build_snapshot,
    describe_snapshot,
    parse_snapshot,
)

EXTERNAL = """<domainsnapshot>
  <name>m3</name>
  <description>Before the upgrade</description>
  <state>running</state>
  <parent><name>e2</name></parent>
  <creationTime>1795726113</creationTime>
  <memory snapshot='external' file='/images/g1.m3mem'/>
  <disks>
    <disk name='vda' snapshot='external' type='file'><driver type='qcow2'/><source file='/images/g1.m3'/></disk>
    <disk name='sda' snapshot='no'/>
  </disks>
  <domain type='qemu'><name>g1</name><description>of the machine</description></domain>
</domainsnapshot>"""


def test_an_external_snapshot_is_read_with_its_files() -> None:
    parsed = parse_snapshot(EXTERNAL)
    assert (parsed.name, parsed.parent_name, parsed.state) == ("m3", "e2", "running")
    assert (parsed.kind, parsed.has_memory, parsed.memory_path) == ("external", True, "/images/g1.m3mem")
    assert parsed.created_at == 1795726113
    assert parsed.description == "Before the upgrade"
    assert parsed.disks == (
        SnapshotDisk(target="vda", kind="external", overlay="/images/g1.m3"),
        SnapshotDisk(target="sda", kind="no"),
    )


def test_an_internal_one_that_says_nothing_of_its_memory_has_it_when_it_ran() -> None:
    parsed = parse_snapshot("<domainsnapshot><name>a</name><state>running</state></domainsnapshot>")
    assert (parsed.kind, parsed.has_memory) == ("internal", True)
    off = parse_snapshot("<domainsnapshot><name>a</name><state>shutoff</state></domainsnapshot>")
    assert (off.kind, off.has_memory, off.created_at) == ("internal", False, 0)


@pytest.mark.parametrize("xml", ["", "<a>", "<domain><name>a</name></domain>", "<domainsnapshot/>"])
def test_what_is_no_snapshot_is_refused(xml: str) -> None:
    with pytest.raises(ValueError, match="XML"):
        parse_snapshot(xml)


@pytest.mark.parametrize(("has_memory", "memory_path"), [(False, ""), (True, "/images/memory"), (True, "")])
def test_what_is_built_is_read_back(has_memory: bool, memory_path: str) -> None:
    kind = "external" if not has_memory or memory_path else "internal"
    overlay = "/images/<&'\">.qcow2" if kind == "external" else ""
    spec = SnapshotSpec(
        name="a & <b>",
        kind=kind,
        description="two\nlines",
        disks=(SnapshotDisk(target="vda", kind=kind, overlay=overlay), SnapshotDisk(target="sda")),
        has_memory=has_memory,
        memory_path=memory_path,
    )
    parsed = parse_snapshot(build_snapshot(spec))
    assert (parsed.name, parsed.description, parsed.disks) == (spec.name, spec.description, spec.disks)
    assert (parsed.kind, parsed.has_memory, parsed.memory_path) == (kind, has_memory, memory_path)


def test_a_description_is_changed_and_nothing_else() -> None:
    changed = describe_snapshot(EXTERNAL, "a < b")
    assert parse_snapshot(changed).description == "a < b"
    assert "<description>of the machine</description>" in changed
    removed = describe_snapshot(changed, "")
    assert parse_snapshot(removed).description == ""
    assert parse_snapshot(describe_snapshot(removed, "again")).description == "again"
    assert parse_snapshot(removed).disks == parse_snapshot(EXTERNAL).disks


def test_a_merge_into_it_that_was_broken_off_is_read() -> None:
    xml = (
        "<domainsnapshot><name>e1</name><disks><disk name='vda' snapshot='external'>%s</disk></disks></domainsnapshot>"
    )
    assert parse_snapshot(xml % "<snapshotDeleteInProgress/>").is_unfinished
    assert not parse_snapshot(xml % "<source file='/images/a.one.qcow2'/>").is_unfinished
