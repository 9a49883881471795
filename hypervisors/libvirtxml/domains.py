"""A domain's XML as frozen values, https://libvirt.org/formatdomain.html; devices are in `domain_devices`."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_at, child_at, number, parse_document, size_kib, text_at
from hypervisors.libvirtxml.domain_devices import (
    CharacterDevice,
    Disk,
    Filesystem,
    Graphics,
    Interface,
    parse_character_devices,
    parse_disks,
    parse_filesystems,
    parse_graphics,
    parse_host_devices,
    parse_interfaces,
)

_LIBOSINFO_OS = "{http://libosinfo.org/xmlns/libvirt/domain/1.0}os"
_GUEST_AGENT_CHANNEL = "org.qemu.guest_agent.0"
_OS_WORDS = {"win": "Windows", "rhel": "RHEL", "opensuse": "openSUSE", "freebsd": "FreeBSD", "openbsd": "OpenBSD"}


@dataclass(frozen=True, kw_only=True)
class ParsedDomain:
    """What pages show of a domain. Everything but name and UUID may be empty: odd XML still makes a page."""

    name: str = ""
    uuid: str = ""
    title: str = ""
    description: str = ""
    domain_type: str = ""  # "kvm", "qemu" (plain emulation), or another driver's
    architecture: str = ""
    machine: str = ""
    firmware: str = "bios"  # or "efi"
    os_name: str = ""  # "Debian 12", from libosinfo's metadata
    boot_devices: tuple[str, ...] = ()
    vcpu_count: int = 1
    max_vcpu_count: int = 1
    cpu_mode: str = ""
    cpu_model: str = ""
    cpu_topology: str = ""  # "2 sockets, 4 cores, 1 threads" as numbers: "2:4:1"; empty when libvirt chooses
    memory_kib: int = 0
    max_memory_kib: int = 0
    disks: tuple[Disk, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    graphics: tuple[Graphics, ...] = ()
    host_devices: tuple[str, ...] = ()
    serials: tuple[CharacterDevice, ...] = ()
    channels: tuple[CharacterDevice, ...] = ()
    filesystems: tuple[Filesystem, ...] = ()
    video_models: tuple[str, ...] = ()
    sound_models: tuple[str, ...] = ()
    tpm: str = ""  # the model, for example "tpm-crb"
    watchdog: str = ""
    has_guest_agent_channel: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON field; `parsed_from_json` is the way back."""
        # dataclasses.asdict copies deeply, which is most of the time that an inventory would take.
        return vars(self) | {name: [vars(item) for item in getattr(self, name)] for name in _LISTS}


def parse_domain(xml: str) -> ParsedDomain:
    """What the XML says; unknown elements are passed over. Raises: ValueError when it is not well-formed."""
    root = parse_document(xml)
    devices = child_at(root, "devices")
    if devices is None:
        devices = etree.Element("devices")
    channels = parse_character_devices(devices, "channel")
    return ParsedDomain(
        **_identity(root),
        **_system(root),
        **_processor(root),
        **_memory(root),
        disks=parse_disks(devices),
        interfaces=parse_interfaces(devices),
        graphics=parse_graphics(devices),
        host_devices=parse_host_devices(devices),
        serials=parse_character_devices(devices, "serial"),
        channels=channels,
        filesystems=parse_filesystems(devices),
        video_models=_attributes(devices, "video/model", "type"),
        sound_models=_attributes(devices, "sound", "model"),
        tpm=attribute_at(devices, "tpm", "model"),
        watchdog=attribute_at(devices, "watchdog", "model"),
        has_guest_agent_channel=any(channel.target == _GUEST_AGENT_CHANNEL for channel in channels),
    )


def parsed_from_json(stored: Mapping[str, Any]) -> ParsedDomain:
    """The value that `as_json` gave. Keys written by another version are passed over, missing ones take defaults."""
    values = _known(ParsedDomain, stored)
    for name, kind in _LISTS.items():
        values[name] = tuple(kind(**_known(kind, item)) for item in values.get(name, ()))
    for name in ("boot_devices", "host_devices", "video_models", "sound_models"):
        values[name] = tuple(values.get(name, ()))
    return ParsedDomain(**values)


_LISTS: dict[str, Any] = {
    "disks": Disk,
    "interfaces": Interface,
    "graphics": Graphics,
    "serials": CharacterDevice,
    "channels": CharacterDevice,
    "filesystems": Filesystem,
}


def _known(kind: Any, stored: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    known = {name: value for name, value in stored.items() if name in names}
    required = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    return dict.fromkeys(required, "") | known


def _identity(root: etree._Element) -> dict[str, Any]:
    return {
        "name": text_at(root, "name"),
        "uuid": text_at(root, "uuid"),
        "title": text_at(root, "title"),
        "description": text_at(root, "description"),
        "domain_type": root.get("type", ""),
    }


def _system(root: etree._Element) -> dict[str, Any]:
    loader = child_at(root, "os/loader")
    uses_efi = attribute_at(root, "os", "firmware") == "efi" or attribute_at(loader, "", "type") == "pflash"
    return {
        "architecture": attribute_at(root, "os/type", "arch"),
        "machine": attribute_at(root, "os/type", "machine"),
        "firmware": "efi" if uses_efi else "bios",
        "os_name": _os_name(root),
        "boot_devices": _attributes(root, "os/boot", "dev"),
    }


def _os_name(root: etree._Element) -> str:
    """ "Debian 12" for http://debian.org/debian/12; empty when nobody recorded the system."""
    metadata = child_at(root, "metadata")
    recorded = None if metadata is None else metadata.find(f".//{_LIBOSINFO_OS}")
    segments = [part for part in attribute_at(recorded, "", "id").split("://")[-1].split("/")[1:] if part]
    if not segments:
        return ""
    family = _OS_WORDS.get(segments[0], segments[0].capitalize())
    return " ".join([family, *segments[1:]])[:100]


def _processor(root: etree._Element) -> dict[str, Any]:
    maximum = number(text_at(root, "vcpu")) or 1
    topology = child_at(root, "cpu/topology")
    return {
        "vcpu_count": number(attribute_at(root, "vcpu", "current")) or maximum,
        "max_vcpu_count": maximum,
        "cpu_mode": attribute_at(root, "cpu", "mode"),
        "cpu_model": text_at(root, "cpu/model"),
        "cpu_topology": ""
        if topology is None
        else ":".join(topology.get(name, "1") for name in ("sockets", "cores", "threads")),
    }


def _memory(root: etree._Element) -> dict[str, Any]:
    maximum = size_kib(child_at(root, "memory"))
    return {"memory_kib": size_kib(child_at(root, "currentMemory")) or maximum, "max_memory_kib": maximum}


def _attributes(element: etree._Element, path: str, name: str) -> tuple[str, ...]:
    return tuple(found.get(name, "") for found in element.findall(path))
