"""The devices of a domain's XML as frozen values, https://libvirt.org/formatdomain.html#devices."""

from collections.abc import Iterable
from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_at, attribute_of, child_at, children_of, number, text_at


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A <disk>. `source` is empty for a drive without a medium."""

    device: str  # "disk", "cdrom", "floppy", "lun"
    target: str  # "vda"
    bus: str = ""
    source_kind: str = "none"  # "file", "block", "network", "volume", "dir", "none", …
    source: str = ""  # a path; "pool/volume"; "protocol:name"
    format: str = ""
    read_only: bool = False
    shareable: bool = False
    boot_order: int | None = None
    # Of a network disk: its servers, "nas1:10809 nas2"; empty where the host itself knows them, or is one.
    servers: str = ""
    # What is written is thrown away when it stops.
    is_transient: bool = False
    # "copy", "commit" …: libvirt is at work on it.
    block_job: str = ""
    # "optional": libvirt goes on without a medium that is missing.
    startup_policy: str = ""


@dataclass(frozen=True, kw_only=True)
class Interface:
    """An <interface>."""

    mac: str
    kind: str  # "network", "bridge", "direct", "user", …
    source: str = ""  # the network's, bridge's or device's name
    model: str = ""
    target: str = ""  # the host's device while it runs, "vnet0"
    link_up: bool = True


@dataclass(frozen=True, kw_only=True)
class Graphics:
    """A <graphics>; `port` is None while none is assigned (shut off, or sockets only)."""

    kind: str  # "vnc", "spice", …
    port: int | None = None
    listen: str = ""  # the address; empty: the hypervisor's default
    tls_port: int | None = None
    socket: str = ""
    listen_kind: str = ""  # "address", "network", "socket", "none": not served at all


@dataclass(frozen=True, kw_only=True)
class CharacterDevice:
    """A <serial>, <console> or <channel>."""

    kind: str  # of its back end: "pty", "unix", "file", "spicevmc", …
    target: str = ""  # a serial's port number, a channel's name
    source: str = ""  # "/dev/pts/3", a socket, a file


@dataclass(frozen=True, kw_only=True)
class Filesystem:
    """A <filesystem>: a host directory shared into the guest."""

    kind: str
    driver: str = ""
    source: str = ""
    target: str = ""


def parse_disks(elements: Iterable[etree._Element]) -> tuple[Disk, ...]:
    return tuple(_disk(element) for element in elements)


def parse_interfaces(elements: Iterable[etree._Element]) -> tuple[Interface, ...]:
    return tuple(_interface(element) for element in elements)


def parse_graphics(elements: Iterable[etree._Element]) -> tuple[Graphics, ...]:
    return tuple(_graphics(element) for element in elements)


def parse_character_devices(elements: Iterable[etree._Element]) -> tuple[CharacterDevice, ...]:
    return tuple(_character_device(element) for element in elements)


def parse_filesystems(elements: Iterable[etree._Element]) -> tuple[Filesystem, ...]:
    return tuple(_filesystem(element) for element in elements)


def parse_host_devices(elements: Iterable[etree._Element]) -> tuple[str, ...]:
    """One line each: "usb 046d:c52b", "usb 001:005", "pci 0000:03:00.0", "mdev <uuid>"."""
    return tuple(_host_device(element) for element in elements)


def _disk(element: etree._Element) -> Disk:
    parts = children_of(element)
    source = _disk_source(parts.get("source"))
    target = parts.get("target")
    return Disk(
        device=element.get("device", "disk"),
        target=attribute_of(target, "dev"),
        bus=attribute_of(target, "bus"),
        source_kind=element.get("type", "none") if source else "none",
        source=source,
        format=attribute_of(parts.get("driver"), "type"),
        read_only="readonly" in parts,
        shareable="shareable" in parts,
        boot_order=number(attribute_of(parts.get("boot"), "order")),
        servers=_servers(parts.get("source")),
        is_transient="transient" in parts,
        block_job=attribute_of(parts.get("mirror"), "job") or ("copy" if "mirror" in parts else ""),
        startup_policy=attribute_of(parts.get("source"), "startupPolicy"),
    )


def _disk_source(source: etree._Element | None) -> str:
    if source is None:
        return ""
    if source.get("volume"):
        return f"{source.get('pool', '')}/{source.get('volume')}"
    if source.get("protocol"):
        return f"{source.get('protocol')}:{source.get('name', '')}"
    return source.get("file") or source.get("dev") or source.get("dir") or source.get("path") or ""


def _servers(source: etree._Element | None) -> str:
    if source is None or not source.get("protocol"):
        return ""
    hosts = [host for host in source.iterchildren("host") if host.get("name")]
    return " ".join(
        f"{host.get('name')}:{host.get('port')}" if host.get("port") else host.get("name", "") for host in hosts
    )


def _interface(element: etree._Element) -> Interface:
    parts = children_of(element)
    source = parts.get("source")
    return Interface(
        mac=attribute_of(parts.get("mac"), "address"),
        kind=element.get("type", ""),
        source="" if source is None else next((source.get(n, "") for n in _SOURCE_NAMES if source.get(n)), ""),
        model=attribute_of(parts.get("model"), "type"),
        target=attribute_of(parts.get("target"), "dev"),
        link_up=attribute_of(parts.get("link"), "state") != "down",
    )


_SOURCE_NAMES = ("network", "bridge", "dev", "name", "path", "address")


def _graphics(element: etree._Element) -> Graphics:
    listen = child_at(element, "listen")
    return Graphics(
        kind=element.get("type", ""),
        port=_port(element.get("port", "")),
        listen=element.get("listen") or attribute_of(listen, "address"),
        tls_port=_port(element.get("tlsPort", "")),
        socket=element.get("socket") or attribute_of(listen, "socket"),
        listen_kind=attribute_of(listen, "type"),
    )


def _port(text: str) -> int | None:
    """libvirt writes -1 or 0 for a port that is not assigned yet."""
    port = number(text)
    return port if port and port > 0 else None


def _character_device(element: etree._Element) -> CharacterDevice:
    parts = children_of(element)
    target = parts.get("target")
    return CharacterDevice(
        kind=element.get("type", ""),
        target=attribute_of(target, "name") or attribute_of(target, "port"),
        source=attribute_of(parts.get("source"), "path"),
    )


def _filesystem(element: etree._Element) -> Filesystem:
    return Filesystem(
        kind=element.get("type", ""),
        driver=attribute_at(element, "driver", "type"),
        source=attribute_at(element, "source", "dir") or attribute_at(element, "source", "name"),
        target=attribute_at(element, "target", "dir"),
    )


def _host_device(element: etree._Element) -> str:
    kind = element.get("type", "")
    source = child_at(element, "source")
    address = None if source is None else child_at(source, "address")
    vendor = attribute_at(source, "vendor", "id").removeprefix("0x")
    if vendor:
        return f"{kind} {vendor}:{attribute_at(source, 'product', 'id').removeprefix('0x')}"
    if address is None:
        return f"{kind} {text_at(source, 'block')}".strip()
    if address.get("device"):
        # As lsusb names it.
        return f"{kind} {_decimal(address, 'bus'):03}:{_decimal(address, 'device'):03}"
    if address.get("uuid"):
        return f"mdev {address.get('uuid')}"
    parts = [address.get(name, "0x0").removeprefix("0x") for name in ("domain", "bus", "slot", "function")]
    return f"{kind} {parts[0]:>04}:{parts[1]:>02}:{parts[2]:>02}.{parts[3]}"


def _decimal(address: etree._Element, name: str) -> int:
    """libvirt reads them as C does: 0x10, 020 or 16."""
    text = address.get(name, "0")
    try:
        return int(text, 16 if text[:2].lower() == "0x" else 8 if text[:1] == "0" else 10)
    except ValueError:
        return 0
