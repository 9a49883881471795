"""Pasted XML, our marker in a machine's metadata, and what boots first: pure functions on a domain's XML."""

from uuid import UUID

import pytest
from lxml import etree

from hypervisors.libvirtxml.install_boot import install_boot_xml
from hypervisors.libvirtxml.install_marker import InstallMarker, build_install_marker, find_install_marker
from hypervisors.libvirtxml.media import drives_with_media, without_medium
from hypervisors.libvirtxml.pasted_domains import read_pasted_domain, with_uuid
from hypervisors.libvirtxml.typed_documents import dropped_by_libvirt

_UUID = UUID("5f1d1f0e-0000-4000-8000-000000000001")
MACHINE = """<domain type='kvm'><name>web &amp; 1</name>
  <os><type>hvm</type><boot dev='hd'/></os><on_reboot>restart</on_reboot>
  <devices>
    <disk type='file' device='disk'><source file='/d/1.qcow2'/><target dev='vda'/><boot order='1'/></disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/><source file='/d/a.iso' startupPolicy='optional'/><backingStore/>
      <target dev='sda' bus='sata'/><readonly/><boot order='2'/><address type='drive' unit='1'/>
    </disk>
    <disk type='file' device='cdrom'><source startupPolicy='optional'/><target dev='sdb' bus='sata'/></disk>
    <interface type='network'><mac address='52:54:00:AA:00:01'/><source network='default'/></interface>
  </devices></domain>"""


def test_what_a_pasted_machine_is_called_is_read() -> None:
    pasted = read_pasted_domain(MACHINE)
    assert (pasted.name, pasted.uuid, pasted.macs) == ("web & 1", None, ("52:54:00:aa:00:01",))
    assert read_pasted_domain(with_uuid(MACHINE, _UUID)).uuid == _UUID


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        ("<domain><name>x</name>", "cannot be read"),
        ("<network><name>x</name></network>", "begins with <domain>"),
        ("<domain/>", "no <name>"),
        ("<domain><name>x</name><uuid>7</uuid></domain>", "no UUID"),
        ("<!DOCTYPE domain [<!ENTITY a SYSTEM '/etc/passwd'>]><domain><name>&a;</name></domain>", "no entities"),
        ("<domain><name>x</name>" + "<a/>" * 200_000 + "</domain>", "longer than"),
    ],
)
def test_what_is_no_machine_is_told(xml: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_pasted_domain(xml)


def test_what_libvirt_left_out_is_found() -> None:
    kept = MACHINE.replace("<on_reboot>restart</on_reboot>", "").replace(" startupPolicy='optional'", "", 1)
    assert dropped_by_libvirt(MACHINE, kept) == ["devices/disk/source@startupPolicy", "on_reboot"]
    assert dropped_by_libvirt(MACHINE, MACHINE) == []


def test_the_marker_is_found_again() -> None:
    marker = InstallMarker(phase="installing", media=("sda", "sdb"), started_at=17, direct_kernel=True, operation="x")
    element = build_install_marker(marker)
    xml = MACHINE.replace("<os>", f"<metadata><other xmlns='urn:other'/>{element}</metadata><os>", 1)
    assert find_install_marker(xml) == marker
    assert find_install_marker(MACHINE) is None
    # virDomainSetMetadata adds the namespace itself.
    assert "urn:vmportal" not in build_install_marker(marker, with_namespace=False)


def test_an_emptied_drive_keeps_all_else() -> None:
    (drive,) = drives_with_media(MACHINE, {"sda", "sdb", "vda"})
    empty = etree.fromstring(without_medium(drive))
    assert [child.tag for child in empty] == ["driver", "target", "readonly", "boot", "address"]
    # The given one is not changed.
    assert drive.find("source") is not None


def test_to_install_the_medium_is_first_and_a_reboot_ends_the_run() -> None:
    root = etree.fromstring(install_boot_xml(MACHINE, media={"sdb": "/d/b.iso"}, network=False))
    places = {disk.find("target").get("dev"): disk.find("boot") for disk in root.iterfind("devices/disk")}  # type: ignore[union-attr]
    assert {dev: boot.get("order") for dev, boot in places.items() if boot is not None} == {
        "sdb": "1",
        "vda": "2",
        "sda": "3",
    }
    assert (root.find("os/boot"), root.findtext("on_reboot")) == (None, "destroy")
    assert root.find("devices/disk[3]/source").get("file") == "/d/b.iso"  # type: ignore[union-attr]


def test_to_install_from_the_network_the_card_is_first() -> None:
    root = etree.fromstring(install_boot_xml(MACHINE, media={}, network=True))
    assert root.find("devices/interface/boot").get("order") == "1"  # type: ignore[union-attr]


def test_to_install_by_a_kernel_it_is_booted_directly() -> None:
    kernel = {"kernel": "/d/k", "initrd": "/d/i", "cmdline": "a & b"}
    root = etree.fromstring(install_boot_xml(MACHINE, media={}, network=False, kernel=kernel))
    assert [root.findtext(f"os/{tag}") for tag in kernel] == ["/d/k", "/d/i", "a & b"]
    assert root.findtext("on_reboot") == "destroy"


def test_without_a_drive_for_the_medium_nothing_is_installed() -> None:
    with pytest.raises(ValueError, match="no drive"):
        install_boot_xml(MACHINE, media={"sdz": "/d/b.iso"}, network=False)
