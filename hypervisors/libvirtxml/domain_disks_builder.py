"""The disks of a new domain, https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms.

The format is always stated, and so is where a chain of images ends: libvirt would else believe what an image's header
says, and whoever writes the bytes writes the header.
"""

import string
from collections import Counter
from collections.abc import Iterable

from lxml import etree

from hypervisors.libvirtxml.device_specs import BackingSpec, DiskSpec, NetworkSource
from hypervisors.libvirtxml.domain_spec import DomainSpec
from hypervisors.libvirtxml.elements import add

_PREFIXES = {"virtio": "vd", "ide": "hd", "fdc": "fd"}  # the rest are sd…, counted together


def add_disks(devices: etree._Element, spec: DomainSpec) -> None:
    for disk, target in zip(spec.disks, disk_targets(spec.disks), strict=True):
        _add_disk(devices, disk, target)


def disk_targets(disks: Iterable[DiskSpec]) -> list[str]:
    """Their names in the XML: "vda", "sda", "sdb" …"""
    used: Counter[str] = Counter()
    targets = []
    for disk in disks:
        prefix = _PREFIXES.get(disk.bus, "sd")
        targets.append(prefix + _letters(used[prefix]))
        used[prefix] += 1
    return targets


def _letters(index: int) -> str:
    """a … z, aa, ab …"""
    text = ""
    while index >= 0:
        text = string.ascii_lowercase[index % 26] + text
        index = index // 26 - 1
    return text


def _add_disk(devices: etree._Element, spec: DiskSpec, target: str) -> None:
    disk = add(devices, "disk", type=_kind(spec), device=spec.device)
    add(disk, "driver", name="qemu", type=spec.format, cache=spec.cache, discard=spec.discard)
    _add_source(disk, spec)
    if spec.has_medium:
        add_backing(disk, spec.backing)
    add(disk, "target", dev=target, bus=spec.bus)
    if spec.readonly or spec.device == "cdrom":
        add(disk, "readonly")
    if spec.shareable:
        add(disk, "shareable")
    if spec.serial:
        etree.SubElement(disk, "serial").text = spec.serial
    if spec.boot_order is not None:
        add(disk, "boot", order=spec.boot_order)


def _kind(spec: DiskSpec) -> str:
    if spec.network is not None:
        return "network"
    if spec.volume:
        return "volume"
    return "block" if spec.is_block else "file"


def _add_source(disk: etree._Element, spec: DiskSpec) -> None:
    if spec.network is not None:
        _add_network_source(disk, spec.network)
    elif spec.volume:
        add(disk, "source", pool=spec.storage_pool, volume=spec.volume, startupPolicy=spec.startup_policy)
    elif spec.path:
        attribute = "dev" if spec.is_block else "file"
        add(disk, "source", **{attribute: spec.path, "startupPolicy": spec.startup_policy})


def _add_network_source(disk: etree._Element, network: NetworkSource) -> None:
    if network.auth_user:
        auth = add(disk, "auth", username=network.auth_user)
        add(auth, "secret", type=network.secret_type, uuid=network.secret_uuid)
    source = add(disk, "source", protocol=network.protocol, name=network.name)
    for host in network.hosts:
        name, port = _host_and_port(host)
        add(source, "host", name=name, port=port)


def _host_and_port(host: str) -> tuple[str, str]:
    """ "mon1:6789", "[2001:db8::1]:6789" or "mon1"."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdigit() or (":" in name and not name.startswith("[")):
        return host.strip("[]"), ""
    return name.strip("[]"), port


def add_backing(parent: etree._Element, chain: tuple[BackingSpec, ...]) -> None:
    """Each image below the one before; the empty element at the end says that there are no more."""
    for image in chain:
        parent = add(parent, "backingStore", type="block" if image.is_block else "file")
        add(parent, "format", type=image.format)
        add(parent, "source", **{"dev" if image.is_block else "file": image.path})
    add(parent, "backingStore")
