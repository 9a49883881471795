"""The descriptor of an appliance that is exported: OVF 1.1, the version that VMware and VirtualBox both read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lxml import etree

_OVF = "http://schemas.dmtf.org/ovf/envelope/1"
_RASD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
_VSSD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
_VMW = "http://www.vmware.com/schema/ovf"
_NAMESPACES: Any = {None: _OVF, "ovf": _OVF, "rasd": _RASD, "vssd": _VSSD, "vmw": _VMW}
_STREAM_OPTIMIZED = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
# CIM_OperatingSystem.OsType.
_OTHER_64, _LINUX_64, _WINDOWS_64 = 102, 101, 103
_DISKS_PER_CONTROLLER = 15


@dataclass(frozen=True, kw_only=True)
class ExportedDisk:
    """`populated_bytes`: how much of it holds something."""

    file_name: str
    file_bytes: int
    capacity_bytes: int
    populated_bytes: int


@dataclass(frozen=True, kw_only=True)
class ExportedMachine:
    """`system`: osinfo's short id; `networks`: one for each card; `card_model` as VMware calls it."""

    name: str
    description: str = ""
    system: str = ""
    vcpus: int = 1
    memory_kib: int = 1024**2
    firmware: str = "bios"
    secure_boot: bool = False
    networks: Sequence[str] = ()
    card_model: str = "E1000e"
    cd_drives: int = 0


def build_ovf(machine: ExportedMachine, disks: Sequence[ExportedDisk]) -> bytes:
    """As a whole document."""
    envelope = etree.Element(f"{{{_OVF}}}Envelope", nsmap=_NAMESPACES)
    _references(envelope, disks)
    _disk_section(envelope, disks)
    _network_section(envelope, machine)
    system = _add(envelope, "VirtualSystem", id="vm")
    _info(system, "A virtual machine")
    _add(system, "Name").text = _clean(machine.name)
    if machine.description:
        annotation = _add(system, "AnnotationSection")
        _info(annotation, "Its description")
        _add(annotation, "Annotation").text = _clean(machine.description)
    _operating_system(system, machine)
    _hardware(system, machine, disks)
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _references(envelope: etree._Element, disks: Sequence[ExportedDisk]) -> None:
    references = _add(envelope, "References")
    for number, disk in enumerate(disks):
        _add(references, "File", href=disk.file_name, id=f"file{number}", size=str(disk.file_bytes))


def _disk_section(envelope: etree._Element, disks: Sequence[ExportedDisk]) -> None:
    section = _add(envelope, "DiskSection")
    _info(section, "Its disks")
    for number, disk in enumerate(disks):
        _add(
            section,
            "Disk",
            capacity=str(disk.capacity_bytes),
            capacityAllocationUnits="byte",
            diskId=f"vmdisk{number}",
            fileRef=f"file{number}",
            format=_STREAM_OPTIMIZED,
            populatedSize=str(disk.populated_bytes),
        )


def _network_section(envelope: etree._Element, machine: ExportedMachine) -> None:
    section = _add(envelope, "NetworkSection")
    _info(section, "Its networks")
    for name in dict.fromkeys(machine.networks):
        _add(section, "Network", name=_clean(name))


def _operating_system(system: etree._Element, machine: ExportedMachine) -> None:
    kind, number = _guest(machine.system)
    section = _add(system, "OperatingSystemSection", id=str(number))
    section.set(f"{{{_VMW}}}osType", kind)
    _info(section, "Its operating system")
    _add(section, "Description").text = _clean(machine.system or "other")


def _guest(system: str) -> tuple[str, int]:
    """VMware's identifier and CIM's number, as far as the systems' names tell."""
    for prefix, kind, number in _GUESTS:
        if system.startswith(prefix):
            return kind, number
    return "otherGuest64", _OTHER_64


_GUESTS = (
    ("debian7", "debian7_64Guest", 96),
    ("debian8", "debian8_64Guest", 96),
    ("debian9", "debian9_64Guest", 96),
    ("debian10", "debian10_64Guest", 96),
    ("debian12", "debian12_64Guest", 96),
    ("debian", "debian11_64Guest", 96),
    ("ubuntu", "ubuntu64Guest", 94),
    ("rhel9", "rhel9_64Guest", 80),
    ("rhel8", "rhel8_64Guest", 80),
    ("rhel", "rhel7_64Guest", 80),
    ("centos-stream", "centos9_64Guest", 107),
    ("centos", "centos7_64Guest", 107),
    ("fedora", "fedora64Guest", _LINUX_64),
    ("opensuse", "opensuse64Guest", _LINUX_64),
    ("sle", "sles15_64Guest", 85),
    ("freebsd", "freebsd13_64Guest", 42),
    ("win11", "windows11_64Guest", 120),
    ("win10", "windows9_64Guest", 120),
    ("win2k22", "windows2019srvNext_64Guest", 117),
    ("win2k19", "windows2019srv_64Guest", 117),
    ("win2k16", "windows9Server64Guest", 117),
    ("win", "windows9_64Guest", _WINDOWS_64),
    ("linux", "other5xLinux64Guest", _LINUX_64),
    ("alpine", "other5xLinux64Guest", _LINUX_64),
)


def _hardware(system: etree._Element, machine: ExportedMachine, disks: Sequence[ExportedDisk]) -> None:
    section = _add(system, "VirtualHardwareSection")
    _info(section, "Its hardware")
    about = _add(section, "System")
    _add(about, "ElementName", _VSSD).text = "Virtual Hardware Family"
    _add(about, "InstanceID", _VSSD).text = "0"
    _add(about, "VirtualSystemIdentifier", _VSSD).text = _clean(machine.name)
    _add(about, "VirtualSystemType", _VSSD).text = "vmx-13"
    items = _Items(section)
    items.add(3, f"{machine.vcpus} virtual CPUs", AllocationUnits="hertz * 10^6", VirtualQuantity=machine.vcpus)
    memory_mib = -(-machine.memory_kib // 1024)
    items.add(4, f"{memory_mib} MB of memory", AllocationUnits="byte * 2^20", VirtualQuantity=memory_mib)
    _drives(items, machine, disks)
    for number, network in enumerate(machine.networks):
        items.add(
            10,
            f"Network adapter {number + 1}",
            AddressOnParent=7 + number,
            AutomaticAllocation="true",
            Connection=_clean(network),
            ResourceSubType=machine.card_model,
        )
    _setting(section, "firmware", "efi" if machine.firmware == "uefi" else "bios")
    if machine.secure_boot:
        _setting(section, "bootOptions.efiSecureBootEnabled", "true")


def _drives(items: "_Items", machine: ExportedMachine, disks: Sequence[ExportedDisk]) -> None:
    sata = items.add(20, "SATA controller 0", Address=0, ResourceSubType="vmware.sata.ahci")
    for number in range(machine.cd_drives):
        items.add(
            *(15, f"CD drive {number + 1}"),
            AddressOnParent=20 + number,
            AutomaticAllocation="false",
            Parent=sata,
            ResourceSubType="vmware.cdrom.remotepassthrough",
        )
    controller = 0
    for number in range(len(disks)):
        if number % _DISKS_PER_CONTROLLER == 0:
            name = f"SCSI controller {number // _DISKS_PER_CONTROLLER}"
            controller = items.add(6, name, Address=number // _DISKS_PER_CONTROLLER, ResourceSubType="lsilogic")
        place = number % _DISKS_PER_CONTROLLER
        items.add(
            *(17, f"Hard disk {number + 1}"),
            # Seven is the controller's own.
            AddressOnParent=place if place < 7 else place + 1,
            HostResource=f"ovf:/disk/vmdisk{number}",
            Parent=controller,
        )


class _Items:
    """Adds <Item>s, each with its number."""

    def __init__(self, section: etree._Element) -> None:
        self._section = section
        self._number = 0

    def add(self, kind: int, name: str, **fields: object) -> int:
        """Its number. rasd's elements stand in alphabetical order."""
        self._number += 1
        item = _add(self._section, "Item")
        values = {**fields, "ElementName": name, "InstanceID": self._number, "ResourceType": kind}
        for field in sorted(values):
            _add(item, field, _RASD).text = str(values[field])
        return self._number


def _setting(section: etree._Element, key: str, value: str) -> None:
    element = etree.SubElement(section, f"{{{_VMW}}}Config")
    element.set(f"{{{_OVF}}}required", "false")
    element.set(f"{{{_VMW}}}key", key)
    element.set(f"{{{_VMW}}}value", value)


def _info(parent: etree._Element, text: str) -> None:
    _add(parent, "Info").text = text


def _add(parent: etree._Element, name: str, namespace: str = _OVF, /, **attributes: str) -> etree._Element:
    element = etree.SubElement(parent, f"{{{namespace}}}{name}")
    for key, value in attributes.items():
        element.set(f"{{{_OVF}}}{key}", value)
    return element


def _clean(text: str) -> str:
    """Without what XML cannot carry."""
    return "".join(one if one.isprintable() or one == "\n" else " " for one in text)
