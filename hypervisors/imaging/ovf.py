"""An OVF descriptor, versions 1 and 2 (DMTF DSP0243): the one virtual machine in it, as far as it can be made here.

What is not understood is listed in `not_mapped`, one entry each. Names and texts are others': one line, cut, without
controls.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree

from hypervisors.imaging.ovf_documents import attribute, first, named, number, one_line, parse_envelope, text
from hypervisors.imaging.ovf_items import (
    ALWAYS_THERE,
    CD,
    CPU,
    DISK,
    DVD,
    FLOPPY,
    IDE,
    MEMORY,
    NETWORK_CARD,
    OTHER_STORAGE,
    SCSI,
    SOUND,
    Item,
    hardware_items,
)
from hypervisors.imaging.ovf_systems import GENERIC, system_of
from hypervisors.imaging.ovf_units import unit_bytes

_MOST_VCPUS, _MOST_MEMORY_KIB, _LEAST_MEMORY_KIB = 1024, 2**40 // 1024 * 16, 16 * 1024
_MOST_DISKS, _MOST_CARDS, _MOST_FILES = 64, 32, 256
_MOST_DISK_BYTES = 2**50
_DISK_FORMATS = {"vmdk": "vmdk", "qcow2": "qcow2", "vhd": "vpc", "vdi": "vdi", "raw": "raw"}
_CONTROLLERS = {IDE: "IDE", SCSI: "SCSI"}


@dataclass(frozen=True, kw_only=True)
class ApplianceDisk:
    """`file_name` is "" for a disk that begins empty; `populated_bytes` None where it is not told.

    `format`: "vmdk", "raw" … as the descriptor says; "" where it says nothing known.
    """

    name: str
    file_name: str
    file_bytes: int | None
    capacity_bytes: int
    populated_bytes: int | None = None
    format: str = "vmdk"
    controller: str = ""


@dataclass(frozen=True, kw_only=True)
class ApplianceCard:
    """`model` as VMware and VirtualBox call it: "E1000", "VmxNet3", "PCNet32"."""

    network: str
    model: str
    mac: str = ""


@dataclass(frozen=True, kw_only=True)
class Appliance:
    """`system`: osinfo's short id, "generic" when not known; `system_text`: what the descriptor calls it."""

    name: str
    description: str = ""
    system: str = GENERIC
    system_text: str = ""
    vcpus: int = 1
    memory_kib: int = 1024**2
    firmware: str = "bios"
    secure_boot: bool = False
    disks: tuple[ApplianceDisk, ...] = ()
    cards: tuple[ApplianceCard, ...] = ()
    cd_drives: int = 0
    has_sound: bool = False
    licences: tuple[str, ...] = ()
    not_mapped: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _File:
    name: str
    size_bytes: int | None
    compression: str
    is_in_pieces: bool


@dataclass(kw_only=True)
class _Reading:
    """What is looked up while one machine is read, and what it left out."""

    files: dict[str, _File]
    disks: dict[str, ApplianceDisk]
    not_mapped: list[str] = field(default_factory=list)


def parse_ovf(content: bytes) -> Appliance:
    """Raises: ValueError, fit for people."""
    envelope = parse_envelope(content)
    machine = _only_machine(envelope)
    hardware = first(machine, "VirtualHardwareSection")
    if hardware is None:
        raise ValueError("The descriptor (.ovf) describes no hardware.")
    reading = _Reading(files=_files(envelope), disks={})
    reading.disks = _disks(envelope, reading)
    items = hardware_items(hardware, configuration=_configuration(envelope))
    reading.not_mapped += _unknown_sections(machine)
    return _appliance(machine, hardware, items, reading)


def _appliance(machine: etree._Element, hardware: etree._Element, items: list[Item], reading: _Reading) -> Appliance:
    system = first(machine, "OperatingSystemSection")
    settings = _settings(hardware)
    disks = tuple(_attached_disks(items, reading))
    cards = tuple(_cards(items))
    reading.not_mapped += _unknown_items(items)
    return Appliance(
        name=text(machine, "Name", most=200) or one_line(attribute(machine, "id"), most=200) or "appliance",
        description=text(first(machine, "AnnotationSection"), "Annotation"),
        system=system_of(
            vmware=attribute(system, "osType"),
            virtualbox=text(system, "OSType", most=100),
            number=number(attribute(system, "id")),
        ),
        system_text=text(system, "Description", most=200) or one_line(attribute(system, "osType"), most=100),
        vcpus=_vcpus(items),
        memory_kib=_memory_kib(items),
        firmware="uefi" if settings.get("firmware") == "efi" or _is_virtualbox_efi(machine) else "bios",
        secure_boot=settings.get("bootOptions.efiSecureBootEnabled", "").lower() == "true",
        disks=disks,
        cards=cards,
        cd_drives=sum(1 for item in items if item.kind in (CD, DVD)),
        has_sound=any(item.kind == SOUND for item in items),
        licences=tuple(text(section, "License", most=20_000) for section in named(machine, "EulaSection")),
        not_mapped=tuple(dict.fromkeys(reading.not_mapped)),
    )


def _only_machine(envelope: etree._Element) -> etree._Element:
    machines = list(named(envelope, "VirtualSystem"))
    for collection in named(envelope, "VirtualSystemCollection"):
        machines += list(named(collection, "VirtualSystem"))
    if len(machines) != 1:
        raise ValueError(f"The descriptor (.ovf) has {len(machines)} virtual machines; one at a time can be imported.")
    return machines[0]


# --- files and disks


def _files(envelope: etree._Element) -> dict[str, _File]:
    found = {}
    for element in named(first(envelope, "References"), "File"):
        name = attribute(element, "href")
        if "/" in name.removeprefix("./") or "\\" in name or name in ("", ".", "..") or not name.isprintable():
            raise ValueError(f"The descriptor names a file outside of the package: {one_line(name, most=100)}")
        found[attribute(element, "id")] = _File(
            name=name.removeprefix("./"),
            size_bytes=number(attribute(element, "size")),
            compression=attribute(element, "compression"),
            is_in_pieces=bool(attribute(element, "chunkSize")),
        )
    if len(found) > _MOST_FILES:
        raise ValueError("The descriptor (.ovf) names too many files.")
    return found


def _disks(envelope: etree._Element, reading: _Reading) -> dict[str, ApplianceDisk]:
    found = {}
    for element in named(first(envelope, "DiskSection"), "Disk"):
        identifier = attribute(element, "diskId")
        if attribute(element, "parentRef"):
            raise ValueError(f"The disk “{one_line(identifier, most=60)}” is only the difference to another.")
        found[identifier] = _disk(element, identifier, reading)
    return found


def _disk(element: etree._Element, identifier: str, reading: _Reading) -> ApplianceDisk:
    shown = one_line(identifier, most=60)
    file = reading.files.get(attribute(element, "fileRef"))
    if file is None and attribute(element, "fileRef"):
        raise ValueError(f"The disk “{shown}” is in a file that the package does not have.")
    if file is not None and (file.compression not in ("", "identity") or file.is_in_pieces):
        raise ValueError(f"The disk “{shown}” is compressed as a whole or cut in pieces, which is not supported.")
    unit = unit_bytes(attribute(element, "capacityAllocationUnits") or "byte")
    capacity = number(attribute(element, "capacity"))
    if unit is None or capacity is None or not 0 < capacity * unit <= _MOST_DISK_BYTES:
        raise ValueError(f"The disk “{shown}” has no size that can be one.")
    return ApplianceDisk(
        name=shown,
        file_name="" if file is None else file.name,
        file_bytes=None if file is None else file.size_bytes,
        capacity_bytes=capacity * unit,
        populated_bytes=number(attribute(element, "populatedSize")),
        format=_format(attribute(element, "format")),
    )


def _format(uri: str) -> str:
    """The formats' URIs end with "…/vmdk.html#streamOptimized" and the like."""
    plain = uri.lower()
    return next((format_ for word, format_ in _DISK_FORMATS.items() if word in plain), "")


def _attached_disks(items: list[Item], reading: _Reading) -> Iterator[ApplianceDisk]:
    """In the order of their controllers and places there, the first of which a machine boots from."""
    controllers = {item.identifier: item for item in items if item.kind in (IDE, SCSI, OTHER_STORAGE)}
    drives = [item for item in items if item.kind == DISK]
    if len(drives) > _MOST_DISKS:
        raise ValueError("The descriptor (.ovf) has too many disks.")
    drives.sort(key=lambda item: (_place(controllers.get(item.parent)), item.position))
    taken: set[str] = set()
    for item in drives:
        identifier = item.host_resource.rsplit("/", 1)[-1]
        disk = reading.disks.get(identifier)
        if disk is None or identifier in taken:
            raise ValueError(f"The disk “{item.name}” has no content in the package, or has that of another disk.")
        taken.add(identifier)
        yield ApplianceDisk(**{**disk.__dict__, "controller": _controller(controllers.get(item.parent))})
    reading.not_mapped += [f"Disk “{name}”: no controller has it." for name in reading.disks if name not in taken]


def _place(controller: Item | None) -> tuple[int, int]:
    return (999, 0) if controller is None else (number(controller.identifier) or 0, controller.position)


def _controller(controller: Item | None) -> str:
    if controller is None:
        return ""
    return " ".join(part for part in (_CONTROLLERS.get(controller.kind, ""), controller.subtype) if part)


# --- the rest of the hardware


def _vcpus(items: list[Item]) -> int:
    count = next((item.quantity for item in items if item.kind == CPU and item.quantity is not None), 1)
    if not 1 <= count <= _MOST_VCPUS:
        raise ValueError(f"The descriptor (.ovf) asks for {count} CPUs.")
    return count


def _memory_kib(items: list[Item]) -> int:
    sizes = [item.quantity_bytes for item in items if item.kind == MEMORY]
    kib = (sizes[0] or 0) // 1024 if sizes else 0
    if not _LEAST_MEMORY_KIB <= kib <= _MOST_MEMORY_KIB:
        raise ValueError("The descriptor (.ovf) has no size of memory that can be one.")
    return kib


def _cards(items: list[Item]) -> Iterator[ApplianceCard]:
    cards = [item for item in items if item.kind == NETWORK_CARD]
    if len(cards) > _MOST_CARDS:
        raise ValueError("The descriptor (.ovf) has too many network cards.")
    for item in cards:
        yield ApplianceCard(network=item.connection, model=item.subtype.split(" ")[0], mac=item.address)


def _settings(hardware: etree._Element) -> dict[str, str]:
    """VMware's additions: <vmw:Config vmw:key="firmware" vmw:value="efi"/>, and <vmw:ExtraConfig> alike."""
    return {
        attribute(element, "key"): attribute(element, "value")
        for name in ("ExtraConfig", "Config")
        for element in named(hardware, name)
    }


def _is_virtualbox_efi(machine: etree._Element) -> bool:
    for own in named(machine, "Machine"):
        firmware = first(first(own, "Hardware"), "Firmware")
        if attribute(firmware, "type").upper().startswith("EFI"):
            return True
    return False


# --- what is left out

_KNOWN_KINDS = frozenset({CPU, MEMORY, NETWORK_CARD, CD, DVD, DISK, SOUND}) | ALWAYS_THERE
_KNOWN_SECTIONS = frozenset(
    {"Info", "Name", "OperatingSystemSection", "VirtualHardwareSection", "AnnotationSection", "EulaSection", "Machine"}
)
_SECTION_NAMES = {
    "ProductSection": "Its properties (ProductSection), which VMware hands to the guest",
    "StartupSection": "Its start order (StartupSection)",
    "InstallSection": "Its installation step (InstallSection)",
}


def _unknown_items(items: list[Item]) -> list[str]:
    lines = [
        f"{item.name or 'A device'} (type {item.kind}{', ' + item.subtype if item.subtype else ''})"
        for item in items
        if item.kind not in _KNOWN_KINDS and item.kind != FLOPPY
    ]
    lines += ["Floppy drive" for item in items if item.kind == FLOPPY]
    lines += [
        f"The image in the CD drive “{item.name}”"
        for item in items
        if item.kind in (CD, DVD) and "/" in item.host_resource
    ]
    return lines


def _unknown_sections(machine: etree._Element) -> list[str]:
    names = [etree.QName(child).localname for child in machine if isinstance(child.tag, str)]
    unknown = [name for name in names if name not in _KNOWN_SECTIONS]
    return [_SECTION_NAMES.get(name, f"The section {one_line(name, most=60)}") for name in unknown]


def _configuration(envelope: etree._Element) -> str:
    """The id of the deployment configuration that is meant by default; "" where there is none."""
    configurations = list(named(first(envelope, "DeploymentOptionSection"), "Configuration"))
    default = next((one for one in configurations if attribute(one, "default") in ("true", "1")), None)
    chosen = default if default is not None else next(iter(configurations), None)
    return attribute(chosen, "id")
