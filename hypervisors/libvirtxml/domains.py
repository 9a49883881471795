"""A domain's XML as frozen values, https://libvirt.org/formatdomain.html; devices are in `domain_devices`."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from lxml import etree

from hypervisors.libvirtxml.documents import (
    attribute_at,
    attribute_of,
    child_at,
    children_of,
    number,
    parse_document,
    size_kib,
    text_at,
    text_of,
)
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
from hypervisors.libvirtxml.template_marker import template_name

# Raise it with every change of what parse_domain finds, or of which rows are written of that: the watcher then parses
# anew what it has stored.
PARSER_VERSION = 4

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
    template: str = ""  # the name of the template that it is; empty for what may run
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
    tpm_backend: str = ""  # "emulator": its state is a directory of the host; "passthrough", "external"
    nvram: str = ""  # the file with its UEFI variables; empty also where libvirt chooses it at the next start
    keeps_uefi_variables: bool = False
    kernel: str = ""  # a file of the host that it boots directly
    shared_memories: tuple[str, ...] = ()
    network_filters: tuple[str, ...] = ()
    watchdog: str = ""
    has_guest_agent_channel: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON field; `parsed_from_json` is the way back."""
        # dataclasses.asdict copies deeply, which is most of the time that an inventory would take.
        return vars(self) | {name: [vars(item) for item in getattr(self, name)] for name in _LISTS}


def parse_domain(xml: str) -> ParsedDomain:
    """What the XML says; unknown elements are passed over. Raises: ValueError when it is not well-formed."""
    root = parse_document(xml)
    parts = children_of(root)
    devices: dict[str, list[etree._Element]] = defaultdict(list)
    for element in parts.get("devices", ()):
        devices[str(element.tag)].append(element)
    channels = parse_character_devices(devices["channel"])
    return ParsedDomain(
        **_identity(root, parts),
        **_system(parts),
        **_processor(parts),
        **_memory(parts),
        disks=parse_disks(devices["disk"]),
        interfaces=parse_interfaces(devices["interface"]),
        graphics=parse_graphics(devices["graphics"]),
        host_devices=parse_host_devices(devices["hostdev"]),
        serials=parse_character_devices(devices["serial"]),
        channels=channels,
        filesystems=parse_filesystems(devices["filesystem"]),
        video_models=tuple(attribute_at(video, "model", "type") for video in devices["video"]),
        sound_models=tuple(sound.get("model", "") for sound in devices["sound"]),
        tpm="".join(tpm.get("model", "") for tpm in devices["tpm"][:1]),
        tpm_backend="".join(attribute_at(tpm, "backend", "type") for tpm in devices["tpm"][:1]),
        shared_memories=tuple(memory.get("name", "") for memory in devices["shmem"]),
        network_filters=_network_filters(devices["interface"]),
        watchdog="".join(watchdog.get("model", "") for watchdog in devices["watchdog"][:1]),
        has_guest_agent_channel=any(channel.target == _GUEST_AGENT_CHANNEL for channel in channels),
    )


def parsed_from_json(stored: Mapping[str, Any]) -> ParsedDomain:
    """The value that `as_json` gave. Keys written by another version are passed over, missing ones take defaults."""
    values = _known(ParsedDomain, stored)
    for name, kind in _LISTS.items():
        values[name] = tuple(kind(**_known(kind, item)) for item in values.get(name, ()))
    for name in ("boot_devices", "host_devices", "video_models", "sound_models", "shared_memories", "network_filters"):
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


_Parts = Mapping[str, etree._Element]


def _identity(root: etree._Element, parts: _Parts) -> dict[str, Any]:
    return {
        "name": text_of(parts.get("name")),
        "uuid": text_of(parts.get("uuid")),
        "title": text_of(parts.get("title")),
        "description": text_of(parts.get("description")),
        "domain_type": root.get("type", ""),
    }


def _system(parts: _Parts) -> dict[str, Any]:
    system = parts.get("os")
    kind = child_at(system, "type")
    uses_efi = attribute_of(system, "firmware") == "efi" or attribute_at(system, "loader", "type") == "pflash"
    is_stateless = attribute_at(system, "loader", "stateless") == "yes"
    return {
        "architecture": attribute_of(kind, "arch"),
        "machine": attribute_of(kind, "machine"),
        "firmware": "efi" if uses_efi else "bios",
        "nvram": text_at(system, "nvram") or attribute_at(system, "nvram/source", "file"),
        "keeps_uefi_variables": child_at(system, "nvram") is not None or (uses_efi and not is_stateless),
        "kernel": text_at(system, "kernel"),
        "os_name": _os_name(parts.get("metadata")),
        "template": template_name(parts.get("metadata")),
        "boot_devices": () if system is None else tuple(boot.get("dev", "") for boot in system.iterchildren("boot")),
    }


def _network_filters(interfaces: list[etree._Element]) -> tuple[str, ...]:
    names = (attribute_at(interface, "filterref", "filter") for interface in interfaces)
    return tuple(dict.fromkeys(filter(None, names)))


def _os_name(metadata: etree._Element | None) -> str:
    """ "Debian 12" for http://debian.org/debian/12; empty when nobody recorded the system."""
    recorded = None if metadata is None else metadata.find(f".//{_LIBOSINFO_OS}")
    segments = [part for part in attribute_of(recorded, "id").split("://")[-1].split("/")[1:] if part]
    if not segments:
        return ""
    family = _OS_WORDS.get(segments[0], segments[0].capitalize())
    return " ".join([family, *segments[1:]])[:100]


def _processor(parts: _Parts) -> dict[str, Any]:
    vcpu, cpu = parts.get("vcpu"), parts.get("cpu")
    maximum = number(text_of(vcpu)) or 1
    topology = child_at(cpu, "topology")
    return {
        "vcpu_count": number(attribute_of(vcpu, "current")) or maximum,
        "max_vcpu_count": maximum,
        "cpu_mode": attribute_of(cpu, "mode"),
        "cpu_model": text_of(child_at(cpu, "model")),
        "cpu_topology": ""
        if topology is None
        else ":".join(topology.get(name, "1") for name in ("sockets", "cores", "threads")),
    }


def _memory(parts: _Parts) -> dict[str, Any]:
    maximum = size_kib(parts.get("memory"))
    return {"memory_kib": size_kib(parts.get("currentMemory")) or maximum, "max_memory_kib": maximum}
