"""OVF descriptors as VMware and VirtualBox write them, and hostile ones."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisors.imaging.ovf import parse_ovf
from hypervisors.imaging.ovf_systems import _CIM, _VIRTUALBOX, _VMWARE, system_of
from hypervisors.imaging.ovf_units import unit_bytes
from tests.unit.imaging import packages

MIB = 1024**2

VIRTUALBOX = b"""<?xml version="1.0"?>
<Envelope ovf:version="2.0" xml:lang="en-US" xmlns="http://schemas.dmtf.org/ovf/envelope/2"
 xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/2"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:sasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_StorageAllocationSettingData.xsd"
 xmlns:epasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_EthernetPortAllocationSettingData.xsd"
 xmlns:vbox="http://www.virtualbox.org/ovf/machine">
 <References><File ovf:id="file1" ovf:href="router-disk001.vmdk" ovf:size="4096"/></References>
 <DiskSection><Info/><Disk ovf:capacity="8589934592" ovf:diskId="vmdisk1" ovf:fileRef="file1"
  ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized" vbox:uuid="1"/></DiskSection>
 <NetworkSection><Info/><Network ovf:name="NAT"/></NetworkSection>
 <VirtualSystem ovf:id="router"><Info/><Name>router</Name>
  <OperatingSystemSection ovf:id="96"><Info/><Description>Debian_64</Description>
   <vbox:OSType ovf:required="false">Debian11_64</vbox:OSType></OperatingSystemSection>
  <VirtualHardwareSection><Info/>
   <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>
    <rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
   <Item><rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID>
    <rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>1024</rasd:VirtualQuantity></Item>
   <Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>PIIX4</rasd:ResourceSubType>
    <rasd:ResourceType>5</rasd:ResourceType></Item>
   <StorageItem><sasd:AddressOnParent>0</sasd:AddressOnParent><sasd:Caption>disk1</sasd:Caption>
    <sasd:HostResource>/disk/vmdisk1</sasd:HostResource><sasd:InstanceID>5</sasd:InstanceID>
    <sasd:Parent>3</sasd:Parent><sasd:ResourceType>17</sasd:ResourceType></StorageItem>
   <StorageItem><sasd:Caption>cdrom1</sasd:Caption><sasd:InstanceID>6</sasd:InstanceID><sasd:Parent>3</sasd:Parent>
    <sasd:ResourceType>15</sasd:ResourceType></StorageItem>
   <EthernetPortItem><epasd:Connection>NAT</epasd:Connection><epasd:InstanceID>7</epasd:InstanceID>
    <epasd:ResourceSubType>E1000</epasd:ResourceSubType><epasd:ResourceType>10</epasd:ResourceType></EthernetPortItem>
   <Item><rasd:Caption>sound</rasd:Caption><rasd:InstanceID>8</rasd:InstanceID><rasd:ResourceType>35</rasd:ResourceType></Item>
   <Item><rasd:Caption>floppy0</rasd:Caption><rasd:InstanceID>9</rasd:InstanceID><rasd:ResourceType>14</rasd:ResourceType></Item>
  </VirtualHardwareSection>
  <vbox:Machine ovf:required="false"><vbox:Hardware><vbox:Firmware type="EFI"/></vbox:Hardware></vbox:Machine>
 </VirtualSystem>
</Envelope>"""


def test_what_vmware_exports_is_read() -> None:
    appliance = parse_ovf(packages.descriptor([("d0.vmdk", 10, 64), ("d1.vmdk", 20, 32)], extra_settings=packages.UEFI))
    assert (appliance.name, appliance.vcpus, appliance.memory_kib) == ("web1", 2, 256 * 1024)
    assert (appliance.system, appliance.firmware) == ("debian11", "uefi")
    assert [(disk.file_name, disk.capacity_bytes, disk.format) for disk in appliance.disks] == [
        ("d0.vmdk", 64 * MIB, "vmdk"),
        ("d1.vmdk", 32 * MIB, "vmdk"),
    ]
    assert {disk.controller for disk in appliance.disks} == {"SCSI VirtualSCSI"}
    assert [(card.network, card.model) for card in appliance.cards] == [("VM Network", "VmxNet3")]
    assert appliance.not_mapped == ()


def test_what_virtualbox_exports_is_read() -> None:
    appliance = parse_ovf(VIRTUALBOX)
    assert (appliance.name, appliance.vcpus, appliance.memory_kib) == ("router", 1, 1024**2)
    assert (appliance.system, appliance.firmware) == ("debian11", "uefi")
    assert [(disk.file_name, disk.capacity_bytes) for disk in appliance.disks] == [
        ("router-disk001.vmdk", 8 * 1024 * MIB)
    ]
    assert (appliance.cd_drives, appliance.has_sound) == (1, True)
    assert [(card.network, card.model) for card in appliance.cards] == [("NAT", "E1000")]
    assert appliance.not_mapped == ("Floppy drive",)


def test_what_is_not_mapped_is_listed() -> None:
    tpm = (
        "<Item><rasd:ElementName>Virtual &lt;b&gt;TPM</rasd:ElementName><rasd:InstanceID>50</rasd:InstanceID>"
        "<rasd:ResourceType>1</rasd:ResourceType><rasd:ResourceSubType>vmware.vtpm</rasd:ResourceSubType></Item>"
    )
    sections = (
        "<ProductSection><Info/><Product>Web</Product></ProductSection>"
        "<EulaSection><Info/><License>Pay.</License></EulaSection>"
    )
    appliance = parse_ovf(packages.descriptor(extra_items=tpm, extra_sections=sections))
    assert len(appliance.not_mapped) == 2
    assert any("TPM (type 1, vmware.vtpm)" in line for line in appliance.not_mapped)
    assert any("properties" in line for line in appliance.not_mapped)
    assert appliance.licences == ("Pay.",)


def test_only_the_default_configuration_counts() -> None:
    memory = (
        '<Item ovf:configuration="large"><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>'
        "<rasd:InstanceID>60</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>"
        "<rasd:VirtualQuantity>64</rasd:VirtualQuantity></Item>"
    )
    assert parse_ovf(packages.descriptor(extra_items=memory)).vcpus == 2


def entity_bomb(depth: int = 12) -> bytes:
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(depth))
    return f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "lol">{entities}]><Envelope>&e{depth};</Envelope>'.encode()


@pytest.mark.parametrize(
    "content",
    [
        entity_bomb(),
        b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><Envelope>&f;</Envelope>',
        entity_bomb().decode().replace('<?xml version="1.0"?>', "").encode("utf-16"),
        b"<Envelope/>",
        b"not xml",
        b"",
        b"<?xml version='1.0'?><Envelope xmlns='http://schemas.dmtf.org/ovf/envelope/1'/>",
        b"<Envelope xmlns='http://www.vmware.com/schema/ovf/1/envelope'/>",
        packages.descriptor().replace(b"disk1.vmdk", b"../disk1.vmdk"),
        packages.descriptor().replace(b"disk1.vmdk", b"/etc/passwd"),
        packages.descriptor().replace(b'ovf:fileRef="file0"', b'ovf:fileRef="file7"'),
        packages.descriptor().replace(b'ovf:fileRef="file0"', b'ovf:fileRef="file0" ovf:parentRef="vmdisk9"'),
        packages.descriptor().replace(b'ovf:size="0"', b'ovf:size="0" ovf:compression="gzip"'),
        packages.descriptor().replace(b'ovf:size="0"', b'ovf:size="0" ovf:chunkSize="7"'),
        packages.descriptor().replace(b'ovf:capacity="64"', b'ovf:capacity="99999999999999"'),
        packages.descriptor().replace(b'ovf:capacity="64"', b'ovf:capacity="0"'),
        packages.descriptor().replace(b"byte * 2^20", b"byte * 99999^999"),
        packages.descriptor(memory_mib=0),
        packages.descriptor(memory_mib=10**15),
        packages.descriptor().replace(b"<rasd:VirtualQuantity>2<", b"<rasd:VirtualQuantity>4000000<"),
        packages.descriptor(extra_items="<Item/>" * 600),
        packages.descriptor() + bytes(5 * MIB),
        packages.descriptor().replace(b"<VirtualSystem ", b"<VirtualSystem ovf:id='a'/><VirtualSystem ", 1),
    ],
)
def test_a_hostile_or_senseless_descriptor_is_refused_at_once(content: bytes) -> None:
    begun = time.monotonic()
    with pytest.raises(ValueError, match=r"\w"):
        parse_ovf(content)
    assert time.monotonic() - begun < 5


def test_texts_of_others_are_one_line_without_controls() -> None:
    appliance = parse_ovf(packages.descriptor(name="a\n\tb \u202e\u2066 &lt;script&gt;" + "x" * 500))
    assert appliance.name.startswith("a b <script>x")
    assert len(appliance.name) <= 200
    assert appliance.name.isprintable()


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("byte * 2^30", 2**30),
        ("byte", 1),
        ("MegaBytes", MIB),
        ("GigaBytes", 2**30),
        ("byte * 1000", 1000),
        ("furlong", None),
    ],
)
def test_units_are_read(unit: str, expected: int | None) -> None:
    assert unit_bytes(unit) == expected


@given(st.text(max_size=30))
def test_no_unit_raises(unit: str) -> None:
    value = unit_bytes(unit)
    assert value is None or 0 < value <= 2**60


def test_systems_are_found_by_each_of_their_names() -> None:
    assert system_of(vmware="windows9_64Guest", virtualbox="", number=None) == "win10"
    assert system_of(vmware="debian12_64Guest", virtualbox="", number=None) == "debian12"
    assert system_of(vmware="", virtualbox="Windows11_64", number=None) == "win11"
    assert system_of(vmware="", virtualbox="", number=94) == "ubuntu22.04"
    assert system_of(vmware="somethingGuest", virtualbox="Other", number=1) == "generic"


def test_every_system_of_the_tables_is_in_osinfo_db() -> None:
    ids = {
        found
        for path in Path("/usr/share/osinfo/os").rglob("*.xml")
        for found in re.findall(r"<short-id>([^<]+)</short-id>", path.read_text())
    }
    wanted = {*_VMWARE.values(), *_VIRTUALBOX.values(), *_CIM.values()} - {"generic"}
    assert wanted <= ids
