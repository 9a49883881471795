"""A domain's XML made into that of a copy of it: edited in place, so that what we do not know survives.

What may be in one machine only goes or becomes new: names, addresses, devices of the host, ports, logs.
https://libvirt.org/formatdomain.html
"""

import posixpath
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from lxml import etree

from hypervisors.libvirtxml.documents import parse_document
from hypervisors.libvirtxml.template_marker import find_template_marker

# Elements of ours in its metadata: what they say is true of the original only.
_OUR_METADATA = "{urn:vmportal:"
# Identities that firmware shows to the guest, by which software takes it for the original.
_IDENTITIES = ("serial", "uuid")
# Types of disks that are a device or a socket of the host: two machines would write to the very same.
_HOST_DISKS = frozenset({"nvme", "vhostuser", "vhostvdpa"})


@dataclass(frozen=True, kw_only=True)
class DiskChange:
    """What becomes of a disk. `path` "": it stays as it is (shared). `is_gone`: the drive itself is taken out;
    `is_empty`: its medium is. `is_overlay`: what is under it is read from its header, else there is nothing.
    """

    path: str = ""
    is_block: bool = False
    format: str = ""
    is_overlay: bool = False
    is_gone: bool = False
    is_empty: bool = False


@dataclass(frozen=True, kw_only=True)
class CloneChanges:
    """`disks` by target; those not named stay as they are. `macs`: one for each interface, in their order.

    `nvram`: the file with the copy's UEFI variables; "": libvirt makes new ones. The last three are for copies that
    are to be another size, or plugged in elsewhere; None: as the original.
    """

    name: str
    uuid: UUID
    macs: tuple[str, ...] = ()
    disks: Mapping[str, DiskChange] = field(default_factory=dict)
    nvram: str = ""
    vcpus: int | None = None
    memory_kib: int | None = None
    network: str | None = None


def clone_domain(xml: str, changes: CloneChanges) -> str:
    """Of inactive XML. Raises: ValueError when it is not well-formed."""
    root = parse_document(xml)
    former = root.findtext("name", "")
    marker = find_template_marker(root.find("metadata"))
    _set_text(root, "name", changes.name)
    _set_text(root, "uuid", str(changes.uuid))
    for tag in ("title", "genid"):
        _remove(root, tag)
    _drop(root, "id")
    _edit_metadata(root)
    _edit_firmware(root, changes)
    _edit_size(root, changes)
    devices = root.find("devices")
    if devices is not None:
        _edit_disks(devices, changes, marker.frozen if marker else ())
        _edit_interfaces(devices, changes)
        _edit_graphics(devices)
        _edit_character_devices(devices, former, changes.name)
        _remove_host_devices(devices)
        for cid in devices.findall("vsock/cid"):
            cid.attrib.clear()
            cid.set("auto", "yes")
    return etree.tostring(root, encoding="unicode")


def add_seed_drive(xml: str, *, path: str, marker: str) -> str:
    """With one more CD drive, for a cloud-init seed, and the marker by which it is emptied after the first boot."""
    root = parse_document(xml)
    devices = root.find("devices")
    if devices is None:
        devices = etree.SubElement(root, "devices")
    target = free_drive_target(root)
    disk = etree.SubElement(devices, "disk", type="file", device="cdrom")
    etree.SubElement(disk, "driver", name="qemu", type="raw")
    etree.SubElement(disk, "source", file=path, startupPolicy="optional")
    etree.SubElement(disk, "target", dev=target, bus="sata" if _is_q35(root) else "ide")
    etree.SubElement(disk, "readonly")
    metadata = root.find("metadata")
    if metadata is None:
        metadata = etree.Element("metadata")
        root.insert(2, metadata)
    metadata.append(parse_document(marker))
    return etree.tostring(root, encoding="unicode")


def free_drive_target(root: etree._Element) -> str:
    """ "sda", or the first letter after it that no disk has."""
    prefix = "sd" if _is_q35(root) else "hd"
    taken = {target.get("dev", "") for target in root.iterfind("devices/disk/target")}
    return next(f"{prefix}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz" if f"{prefix}{letter}" not in taken)


def clone_losses(xml: str) -> Iterator[str]:
    """What a copy does not have or has anew, as names of elements: "hostdev", "tpm", "nvram", "filesystem", "shmem"."""
    root = parse_document(xml)
    for name, path in (
        ("hostdev", "devices/hostdev"),
        ("tpm", "devices/tpm"),
        ("filesystem", "devices/filesystem"),
        ("shmem", "devices/shmem"),
        ("lease", "devices/lease"),
    ):
        if root.find(path) is not None:
            yield name


def _edit_metadata(root: etree._Element) -> None:
    for element in root.findall("metadata/*"):
        if str(element.tag).startswith(_OUR_METADATA):
            _detach(element)


def _edit_firmware(root: etree._Element, changes: CloneChanges) -> None:
    for entry in root.iterfind("sysinfo//entry"):
        if entry.get("name") in _IDENTITIES:
            _detach(entry)
    nvram = root.find("os/nvram")
    if nvram is None:
        return
    # The file that it names is the original's.
    for source in nvram.findall("source"):
        nvram.remove(source)
    _drop(nvram, "type")
    nvram.text = changes.nvram or None
    if not changes.nvram and not nvram.attrib:
        _detach(nvram)


def _edit_size(root: etree._Element, changes: CloneChanges) -> None:
    if changes.vcpus is not None:
        vcpu = root.find("vcpu")
        if vcpu is None:
            vcpu = etree.SubElement(root, "vcpu")
        _drop(vcpu, "current")
        vcpu.text = str(changes.vcpus)
        _remove(root, "vcpus")
        cpu = root.find("cpu")
        if cpu is not None:
            _remove(cpu, "topology")
    if changes.memory_kib is not None:
        for tag in ("memory", "currentMemory"):
            element = root.find(tag)
            if element is not None:
                element.set("unit", "KiB")
                element.text = str(changes.memory_kib)


def _edit_disks(devices: etree._Element, changes: CloneChanges, frozen: Collection[str]) -> None:
    for disk in devices.findall("disk"):
        target = disk.find("target")
        name = "" if target is None else target.get("dev", "")
        change = changes.disks.get(name)
        is_replaced = change is not None and bool(change.path)
        if (disk.get("type") in _HOST_DISKS and not is_replaced) or (change is not None and change.is_gone):
            devices.remove(disk)
            continue
        if change is not None and change.is_empty:
            _empty(disk)
        elif change is not None and change.path:
            _replace_source(disk, change)
        # A template's disks are read-only as long as it is one.
        if change is not None and name in frozen:
            _remove(disk, "readonly")


def _empty(disk: etree._Element) -> None:
    for tag in ("source", "backingStore"):
        _remove(disk, tag)


def _replace_source(disk: etree._Element, change: DiskChange) -> None:
    for tag in ("source", "backingStore", "mirror", "auth", "encryption"):
        _remove(disk, tag)
    disk.set("type", "block" if change.is_block else "file")
    driver = disk.find("driver")
    if driver is None:
        driver = etree.Element("driver", name="qemu")
        disk.insert(0, driver)
    driver.set("type", change.format)
    source = etree.Element("source")
    source.set("dev" if change.is_block else "file", change.path)
    driver.addnext(source)
    if not change.is_overlay:
        source.addnext(etree.Element("backingStore"))


def _edit_interfaces(devices: etree._Element, changes: CloneChanges) -> None:
    for interface, mac in zip(devices.findall("interface"), changes.macs, strict=False):
        if interface.get("type") == "hostdev":
            devices.remove(interface)
            continue
        _edit_mac(interface, mac)
        _remove(interface, "target")
        for parameters in interface.iterfind("virtualport/parameters"):
            for name in ("interfaceid", "instanceid"):
                _drop(parameters, name)
        if changes.network is not None and interface.get("type") in ("network", "bridge"):
            interface.set("type", "network")
            _remove(interface, "source")
            source = etree.SubElement(interface, "source")
            source.set("network", changes.network)


def _edit_mac(interface: etree._Element, address: str) -> None:
    mac = interface.find("mac")
    if mac is None:
        mac = etree.Element("mac")
        interface.insert(0, mac)
    mac.set("address", address)


def _edit_graphics(devices: etree._Element) -> None:
    for graphics in devices.findall("graphics"):
        for name in ("passwd", "passwdValidTo", "socket"):
            _drop(graphics, name)
        if graphics.get("type") in ("vnc", "spice", "rdp"):
            graphics.set("autoport", "yes")
            for name in ("port", "tlsPort", "websocket"):
                if graphics.get(name):
                    graphics.set(name, "-1")
        for listen in graphics.findall("listen"):
            _drop(listen, "socket")


def _edit_character_devices(devices: etree._Element, former: str, name: str) -> None:
    """Files and sockets that two machines cannot share: named after the copy where they were after the original."""
    for device in (*devices.findall("serial"), *devices.findall("console"), *devices.findall("channel")):
        source = device.find("source")
        if source is not None and device.get("type") == "pty":
            device.remove(source)
        elif source is not None and source.get("path") and device.get("type") in ("unix", "file"):
            _rename_file(device, source, "path", former, name)
        log = device.find("log")
        if log is not None:
            _rename_file(device, log, "file", former, name)


def _rename_file(device: etree._Element, element: etree._Element, attribute: str, former: str, name: str) -> None:
    directory, file_name = posixpath.split(element.get(attribute, ""))
    renamed = file_name.replace(former, name) if former else file_name
    if renamed != file_name:
        element.set(attribute, posixpath.join(directory, renamed))
    elif device.get("type") != "file" or element.tag == "log":
        # libvirt chooses a socket by itself.
        device.remove(element)
    else:
        element.set(attribute, posixpath.join(directory, f"{name}-{file_name}"))


def _remove_host_devices(devices: etree._Element) -> None:
    for tag in ("hostdev", "lease"):
        for device in devices.findall(tag):
            devices.remove(device)


def _is_q35(root: etree._Element) -> bool:
    kind = root.find("os/type")
    return kind is not None and "q35" in (kind.get("machine") or "")


def _set_text(root: etree._Element, tag: str, text: str) -> None:
    element = root.find(tag)
    if element is None:
        element = etree.Element(tag)
        root.insert(0, element)
    element.text = text


def _remove(parent: etree._Element, tag: str) -> None:
    for element in parent.findall(tag):
        parent.remove(element)


def _detach(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def _drop(element: etree._Element, attribute: str) -> None:
    if attribute in element.attrib:
        del element.attrib[attribute]
