"""The XML of a copy, and of a template: what is new, what goes, and that everything else survives."""

from pathlib import Path
from uuid import UUID

import pytest
from lxml import etree

from hypervisors.libvirtxml.domain_clones import (
    CloneChanges,
    DiskChange,
    add_seed_drive,
    clone_domain,
    clone_losses,
)
from hypervisors.libvirtxml.domain_templates import freeze_domain, thaw_domain
from hypervisors.libvirtxml.domains import parse_domain
from hypervisors.libvirtxml.install_marker import InstallMarker, build_install_marker, find_install_marker
from hypervisors.libvirtxml.template_marker import TemplateMarker

NEW = UUID("11111111-2222-3333-4444-555555555555")
ORIGINAL = (Path(__file__).parent / "clone-original.xml").read_text()


def clone(**changes: object) -> etree._Element:
    given = {"name": "web2", "uuid": NEW, "macs": ("52:54:00:aa:aa:aa", "52:54:00:bb:bb:bb")} | changes
    return etree.fromstring(clone_domain(ORIGINAL, CloneChanges(**given)))  # type: ignore[arg-type]


def test_what_may_be_in_one_machine_only_is_new_or_gone() -> None:
    root = clone()
    assert (root.findtext("name"), root.findtext("uuid"), root.get("id")) == ("web2", str(NEW), None)
    assert [mac.get("address") for mac in root.iterfind("devices/interface/mac")] == [
        "52:54:00:aa:aa:aa",
        "52:54:00:bb:bb:bb",
    ]
    for path in ("genid", "title", "os/nvram", "devices/hostdev", "devices/interface/target"):
        assert root.find(path) is None, path
    assert [entry.get("name") for entry in root.iterfind("sysinfo//entry")] == ["product"]
    graphics = root.find("devices/graphics")
    assert graphics is not None
    assert dict(graphics.attrib) == {"type": "vnc", "port": "-1", "autoport": "yes", "listen": "0.0.0.0"}
    assert "urn:vmportal" not in etree.tostring(root, encoding="unicode")
    assert dict(root.find("devices/vsock/cid").attrib) == {"auto": "yes"}  # type: ignore[union-attr]
    assert root.find("devices/interface/virtualport/parameters").attrib == {}  # type: ignore[union-attr]


def test_files_that_two_cannot_write_are_named_after_the_copy() -> None:
    root = clone()
    assert root.find("devices/serial/log").get("file") == "/logs/web2.log"  # type: ignore[union-attr]
    assert root.find("devices/serial/source") is None
    # libvirt chooses a socket by itself.
    assert root.find("devices/channel/source") is None


def test_what_we_do_not_know_survives() -> None:
    root = clone()
    text = etree.tostring(root, encoding="unicode")
    for known in ("-foo", "total_iops_sec", "host-model", "org.qemu.guest_agent.0", "libosinfo", "tpm-crb", "kept"):
        assert known in text, known
    assert root.find("devices/tpm/backend").get("version") == "2.0"  # type: ignore[union-attr]


def test_each_disk_becomes_what_was_said() -> None:
    changes = {
        "vda": DiskChange(path="/images/web2.qcow2", format="qcow2"),
        "vdb": DiskChange(is_gone=True),
        "sda": DiskChange(is_empty=True),
    }
    root = clone(disks=changes)
    disks = {disk.find("target").get("dev"): disk for disk in root.iterfind("devices/disk")}  # type: ignore[union-attr]
    assert list(disks) == ["vda", "vdc", "sda"]
    first = disks["vda"]
    assert first.find("source").attrib == {"file": "/images/web2.qcow2"}  # type: ignore[union-attr]
    assert dict(first.find("driver").attrib) == {"name": "qemu", "type": "qcow2", "cache": "none"}  # type: ignore[union-attr]
    assert first.find("backingStore") is not None
    assert first.find("boot").get("order") == "1"  # type: ignore[union-attr]
    assert disks["vdc"].find("source").get("file") == "/images/both.img"  # type: ignore[union-attr]
    assert disks["sda"].find("source") is None


def test_a_linked_disk_finds_what_is_under_it_in_its_header() -> None:
    root = clone(disks={"vda": DiskChange(path="/dev/vg/web2", is_block=True, format="raw", is_overlay=True)})
    disk = root.find("devices/disk")
    assert disk is not None
    assert (disk.get("type"), disk.find("source").get("dev")) == ("block", "/dev/vg/web2")  # type: ignore[union-attr]
    assert disk.find("backingStore") is None


def test_another_size_and_network_are_set_and_the_copied_variables_named() -> None:
    root = clone(vcpus=2, memory_kib=2**19, network="lan", nvram="/nvram/web2_VARS.fd")
    assert (root.findtext("vcpu"), root.find("vcpu").attrib, root.find("cpu/topology")) == ("2", {}, None)  # type: ignore[union-attr]
    assert [root.findtext(tag) for tag in ("memory", "currentMemory")] == [str(2**19)] * 2
    assert [interface.find("source").attrib for interface in root.iterfind("devices/interface")] == [  # type: ignore[union-attr]
        {"network": "lan"}
    ] * 2
    assert root.findtext("os/nvram") == "/nvram/web2_VARS.fd"


def test_odd_names_are_written_as_names() -> None:
    root = clone(name='a<b>&"c', disks={"vda": DiskChange(path="/images/a<b>&'c.qcow2", format="qcow2")})
    assert root.findtext("name") == 'a<b>&"c'
    assert root.find("devices/disk/source").get("file") == "/images/a<b>&'c.qcow2"  # type: ignore[union-attr]


def test_a_seed_gets_a_drive_of_its_own_and_a_marker() -> None:
    marker = build_install_marker(InstallMarker(phase="seeded", media=("sdb",)))
    xml = add_seed_drive(ORIGINAL.replace("urn:vmportal:install", "urn:other"), path="/images/s.iso", marker=marker)
    assert [disk.source for disk in parse_domain(xml).disks if disk.target == "sdb"] == ["/images/s.iso"]
    found = find_install_marker(xml)
    assert found is not None
    assert found.media == ("sdb",)


def test_what_a_copy_lacks_is_known() -> None:
    assert list(clone_losses(ORIGINAL)) == ["hostdev", "tpm"]


def test_a_template_says_so_cannot_be_written_to_and_is_a_machine_again() -> None:
    frozen = freeze_domain(ORIGINAL, TemplateMarker(name="de<bian", version=3))
    assert parse_domain(frozen).template == "de<bian"
    read_only = {disk.target for disk in parse_domain(frozen).disks if disk.read_only}
    assert read_only == {"vda", "sda"}, "the buses of the others are not known to take it"
    copy = clone_domain(frozen, CloneChanges(name="c", uuid=NEW, disks={"vda": DiskChange(path="/c", format="qcow2")}))
    assert {disk.target for disk in parse_domain(copy).disks if disk.read_only} == {"sda"}
    assert parse_domain(copy).template == ""
    thawed = thaw_domain(freeze_domain(frozen, TemplateMarker(name="x")))
    assert thawed.count("template") == 0
    assert parse_domain(thaw_domain(frozen)) == parse_domain(ORIGINAL)


@pytest.mark.parametrize("edit", [thaw_domain, lambda xml: clone_domain(xml, CloneChanges(name="a", uuid=NEW))])
def test_what_is_no_xml_is_refused(edit: object) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        edit("<domain>")  # type: ignore[operator]


def test_a_disk_that_is_a_device_of_the_host_stays_with_the_original() -> None:
    disk = (
        "<disk type='nvme' device='disk'><source type='pci' managed='yes' namespace='1'>"
        "<address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source><target dev='vdz'/></disk>"
    )
    xml = ORIGINAL.replace("</devices>", f"{disk}</devices>")
    assert "vdz" in xml
    assert "vdz" not in clone_domain(xml, CloneChanges(name="web2", uuid=NEW))
