"""Storage pools' XML: built (golden files, REWRITE_GOLDEN=1 writes them anew), valid for libvirt, read back, edited."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hypervisors.libvirtxml.storage_pool_builder import (
    build_storage_pool,
    definition_digest,
    definition_of,
    edit_storage_pool,
    read_storage_pool_spec,
    with_identity,
)
from hypervisors.libvirtxml.storage_pool_specs import SourceHost, StoragePoolSpec, spec_problems
from hypervisors.libvirtxml.storage_pool_types import POOL_TYPES
from hypervisors.libvirtxml.storage_pools import parse_storage_pool

GOLDEN = Path(__file__).parent / "storage_pools"
# libvirt's own, which comes with its library.
SCHEMA = etree.RelaxNG(file="/usr/share/libvirt/schemas/storagepool.rng")
NAS = SourceHost(name="nas1.example.org")
TARGET = "iqn.2024-01.org.example:storage"

SPECS = {
    "dir": StoragePoolSpec(pool_type="dir", name="images", target_path="/var/lib/libvirt/images"),
    "dir-hostile": StoragePoolSpec(
        pool_type="dir", name="""a'b"c,d=e <f> &amp; 50%""", target_path="""/srv/o'brien, "x" <y>&z"""
    ),
    "fs": StoragePoolSpec(pool_type="fs", name="data", devices=("/dev/sdb1",), format="ext4", target_path="/srv/data"),
    "netfs": StoragePoolSpec(
        pool_type="netfs",
        name="nfs",
        hosts=(NAS,),
        directory="/export/vms",
        format="nfs",
        protocol_version="4.2",
        target_path="/srv/nfs",
    ),
    "netfs-cifs": StoragePoolSpec(
        pool_type="netfs", name="smb", hosts=(NAS,), directory="vms", format="cifs", target_path="/srv/smb"
    ),
    "logical": StoragePoolSpec(
        pool_type="logical", name="lvm", source_name="vg0", devices=("/dev/sdb", "/dev/sdc"), target_path="/dev/vg0"
    ),
    "disk": StoragePoolSpec(pool_type="disk", name="whole", devices=("/dev/sdd",), format="gpt", target_path="/dev"),
    "iscsi": StoragePoolSpec(
        pool_type="iscsi",
        name="san",
        hosts=(SourceHost(name="192.0.2.7", port=3260),),
        devices=(TARGET,),
        initiator="iqn.2024-01.org.example:host1",
        auth_username="vmhosts",
        secret_usage="san, the 'big' one",
        target_path="/dev/disk/by-path",
    ),
    "iscsi-direct": StoragePoolSpec(
        pool_type="iscsi-direct",
        name="san2",
        hosts=(NAS,),
        devices=(TARGET,),
        initiator="iqn.2024-01.org.example:host1",
    ),
    "scsi": StoragePoolSpec(pool_type="scsi", name="hba", adapter="scsi_host3", target_path="/dev/disk/by-path"),
    "mpath": StoragePoolSpec(pool_type="mpath", name="paths", target_path="/dev/mapper"),
    "rbd": StoragePoolSpec(
        pool_type="rbd",
        name="ceph",
        hosts=(SourceHost(name="mon1", port=6789), SourceHost(name="2001:db8::2")),
        source_name="vms",
        auth_username="libvirt",
        secret_uuid="2ec115d7-3a88-3ceb-bc12-0ac909a6fd87",
    ),
    "gluster": StoragePoolSpec(pool_type="gluster", name="bricks", hosts=(NAS,), source_name="vol1", directory="/vms"),
    "zfs": StoragePoolSpec(pool_type="zfs", name="tank", source_name="tank", devices=("/dev/sde",)),
}


@pytest.mark.parametrize("name", SPECS)
def test_built_xml_is_as_the_golden_file_says(name: str) -> None:
    golden = GOLDEN / f"{name}.xml"
    built = build_storage_pool(SPECS[name])
    if os.environ.get("REWRITE_GOLDEN"):
        golden.write_text(built)
    assert built == golden.read_text()


@pytest.mark.parametrize("name", SPECS)
def test_built_xml_is_valid_for_libvirt_and_reads_back(name: str) -> None:
    assert spec_problems(SPECS[name]) == {}
    built = build_storage_pool(SPECS[name])
    SCHEMA.assertValid(etree.fromstring(built))
    assert read_storage_pool_spec(built) == SPECS[name]
    assert parse_storage_pool(built).pool_type == SPECS[name].pool_type


def test_every_type_has_a_golden_file_and_every_golden_file_a_spec() -> None:
    assert {spec.pool_type for spec in SPECS.values()} == POOL_TYPES.keys()
    assert {path.stem for path in GOLDEN.glob("*.xml")} == SPECS.keys()


@pytest.mark.parametrize("name", SPECS)
def test_what_a_type_requires_is_asked_for(name: str) -> None:
    spec = SPECS[name]
    for field in POOL_TYPES[spec.pool_type].required:
        emptied = replace(spec, **{field: type(getattr(spec, field))()})
        assert field in spec_problems(emptied)


@pytest.mark.parametrize(
    ("name", "changed", "field", "said"),
    [
        ("dir", {"name": ""}, "name", "needs a name"),
        ("dir", {"name": "a/b"}, "name", "no “/”"),
        ("dir", {"name": "a\nb"}, "name", "one line"),
        ("dir", {"name": "ä" * 101}, "name", "at most 200 bytes"),
        ("dir", {"name": "\ud800"}, "name", "one line"),
        ("dir", {"target_path": "images"}, "target_path", "begins with “/”"),
        ("dir", {"target_path": "/"}, "target_path", "not the whole"),
        ("dir", {"target_path": "/srv/../etc"}, "target_path", "without “.”"),
        ("dir", {"target_path": "/srv//x"}, "target_path", "doubled"),
        ("dir", {"target_path": "/srv\n"}, "target_path", "one line"),
        ("dir", {"pool_type": "sheepdog"}, "pool_type", "no type"),
        ("fs", {"devices": ("sdb1",)}, "devices", "begins with “/”"),
        ("fs", {"devices": ("/dev/a", "/dev/b")}, "devices", "one device"),
        ("fs", {"format": "ext4,suid"}, "format", "Choose one of"),
        ("netfs", {"hosts": (SourceHost(name="-oProxy"),)}, "hosts", "neither"),
        ("netfs", {"hosts": (SourceHost(name="a,b"),)}, "hosts", "neither"),
        ("netfs", {"hosts": (SourceHost(name="nas", port=0),)}, "hosts", "1 to 65535"),
        ("netfs", {"hosts": (NAS, NAS)}, "hosts", "one server"),
        ("netfs", {"directory": "export"}, "directory", "begins with “/”"),
        ("netfs", {"protocol_version": "4,suid"}, "protocol_version", "4.2"),
        ("netfs-cifs", {"directory": "-o"}, "directory", "no name of a share"),
        ("logical", {"source_name": "-ff"}, "source_name", "begin with “-”"),
        ("iscsi", {"devices": ("/dev/sda",)}, "devices", "iqn."),
        ("iscsi", {"secret_usage": ""}, "secret", "which of the host's libvirt secrets"),
        ("iscsi", {"secret_uuid": "x"}, "secret", "not by both"),
        ("iscsi", {"auth_username": ""}, "auth_username", "for whom"),
        ("rbd", {"secret_uuid": "x"}, "secret", "no UUID"),
        ("scsi", {"adapter": "host 3"}, "adapter", "scsi_host3"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(name: str, changed: dict[str, object], field: str, said: str) -> None:
    problems = spec_problems(replace(SPECS[name], **changed))  # type: ignore[arg-type]
    assert said in problems[field]


_CHARACTERS = st.characters(blacklist_categories=("C", "Z"))
_WORDS = st.text(_CHARACTERS, min_size=1, max_size=20)
_NAMES = _WORDS.filter(lambda text: "/" not in text and text not in (".", ".."))
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
_HOSTS = st.builds(
    SourceHost,
    name=st.from_regex(r"[a-z][a-z0-9-]{0,10}[a-z0-9]", fullmatch=True),
    port=st.none() | st.integers(1, 65535),
)
_SPECS = st.builds(
    StoragePoolSpec,
    pool_type=st.sampled_from(sorted(POOL_TYPES)),
    name=_NAMES,
    uuid=st.just("") | st.uuids().map(str),
    target_path=st.just("") | _PATHS,
    hosts=st.lists(_HOSTS, max_size=3, unique=True).map(tuple),
    devices=st.lists(_PATHS, max_size=3, unique=True).map(tuple),
    directory=st.just("") | _PATHS,
    source_name=st.just("") | _WORDS,
    format=st.sampled_from(["", "auto", "nfs"]),
    protocol_version=st.sampled_from(["", "4.2"]),
    initiator=st.just("") | _WORDS,
    adapter=st.just("") | _WORDS,
    auth_username=_WORDS,
    secret_uuid=st.just(""),
    secret_usage=_WORDS,
)


@given(_SPECS)
def test_whatever_is_typed_stays_text(spec: StoragePoolSpec) -> None:
    built = build_storage_pool(spec)
    assert read_storage_pool_spec(built) == spec
    assert StoragePoolSpec.from_json(spec.to_json()) == spec
    # No element and no attribute that nobody asked for.
    tags = {str(element.tag) for element in etree.fromstring(built).iter()}
    assert tags <= {
        *("pool", "name", "uuid", "source", "target", "path", "host", "device", "dir", "format", "protocol"),
        *("initiator", "iqn", "adapter", "auth", "secret"),
    }


@given(_SPECS, _SPECS)
def test_an_edit_says_what_the_spec_says_and_keeps_what_it_does_not_know(
    before: StoragePoolSpec, after: StoragePoolSpec
) -> None:
    root = etree.fromstring(build_storage_pool(before))
    etree.SubElement(root, "features").append(etree.Element("cow", state="no"))
    after = replace(after, pool_type=before.pool_type, name=before.name, uuid=before.uuid)
    edited = edit_storage_pool(etree.tostring(root, encoding="unicode"), after)
    assert read_storage_pool_spec(edited) == after
    assert etree.fromstring(edited).find("features/cow[@state='no']") is not None


SAID_BY_LIBVIRT = """<pool type='logical'>
  <name>lvm</name>
  <uuid>2ec115d7-3a88-3ceb-bc12-0ac909a6fd87</uuid>
  <capacity unit='bytes'>99</capacity>
  <allocation unit='bytes'>9</allocation>
  <available unit='bytes'>90</available>
  <source>
    <device path='/dev/sdb' part_separator='no'/>
    <device path='/dev/sdc'/>
    <name>vg0</name>
    <format type='lvm2'/>
  </source>
  <target>
    <path>/dev/vg0</path>
    <permissions><mode>0750</mode><owner>0</owner><group>6</group></permissions>
  </target>
</pool>"""


def test_permissions_and_a_devices_details_survive_an_edit() -> None:
    before = read_storage_pool_spec(SAID_BY_LIBVIRT)
    edited = edit_storage_pool(SAID_BY_LIBVIRT, replace(before, devices=("/dev/sdd", "/dev/sdb"), target_path="/dev/v"))
    root = etree.fromstring(edited)
    assert [dict(device.attrib) for device in root.iterfind("source/device")] == [
        {"path": "/dev/sdd"},
        {"path": "/dev/sdb", "part_separator": "no"},
    ]
    assert (root.findtext("target/path"), root.findtext("target/permissions/mode")) == ("/dev/v", "0750")
    SCHEMA.assertValid(root)


def test_name_uuid_and_type_are_not_edited() -> None:
    before = read_storage_pool_spec(SAID_BY_LIBVIRT)
    for changed in ({"name": "other"}, {"pool_type": "dir"}, {"uuid": "2ec115d7-3a88-3ceb-bc12-0ac909a6fd88"}):
        with pytest.raises(ValueError, match="stay as they are"):
            edit_storage_pool(SAID_BY_LIBVIRT, replace(before, **changed))  # type: ignore[arg-type]


def test_the_digest_is_of_the_definition_alone() -> None:
    fuller = SAID_BY_LIBVIRT.replace("<allocation unit='bytes'>9<", "<allocation unit='bytes'>80<")
    assert definition_digest(fuller) == definition_digest(SAID_BY_LIBVIRT) == definition_digest(definition_of(fuller))
    assert definition_digest(SAID_BY_LIBVIRT.replace("0750", "0700")) != definition_digest(SAID_BY_LIBVIRT)
    assert "capacity" not in definition_of(SAID_BY_LIBVIRT)


def test_pasted_xml_gets_its_name_and_uuid_and_keeps_the_rest() -> None:
    named = with_identity(SAID_BY_LIBVIRT, name="a <b>", uuid="2ec115d7-3a88-3ceb-bc12-0ac909a6fd99")
    spec = read_storage_pool_spec(named)
    assert (spec.name, spec.uuid[-2:]) == ("a <b>", "99")
    assert "0750" in named


@pytest.mark.parametrize("xml", ["", "<pool", "<domain type='kvm'/>", "<!DOCTYPE x [<!ENTITY e 'x'>]><network/>"])
def test_what_is_no_storage_pool_is_refused(xml: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be read|begins with <pool>|no document type"):
        read_storage_pool_spec(xml)


def test_a_stored_spec_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no storage pool"):
        StoragePoolSpec.from_json({"hosts": [7]})
