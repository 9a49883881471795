"""A domain's XML for one run from its installer: the medium or the network first, and a reboot ends the run.

https://libvirt.org/formatdomain.html#bios-bootloader: an order per device and `<boot dev>` do not go together.
"""

from collections.abc import Mapping

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_at, child_at, number, parse_document

# Behind which places in the schema the elements of a disk stand; libvirt itself takes any order.
_FIRST = 1


def install_boot_xml(
    domain_xml: str, *, media: Mapping[str, str], network: bool, kernel: Mapping[str, str] | None = None
) -> str:
    """`media`: paths of ISO images by the targets of their drives. `kernel`: "kernel", "initrd" and "cmdline".

    Raises: ValueError when there is nothing to boot.
    """
    root = parse_document(domain_xml)
    devices = child_at(root, "devices")
    if devices is None:
        raise ValueError("The machine has no devices.")
    if kernel:
        _load(devices, media)
        _boot_directly(root, kernel)
        _set_text(root, "on_reboot", "destroy")
        return etree.tostring(root, encoding="unicode")
    first = _load(devices, media)
    if network:
        first = next(devices.iterchildren("interface"), None)
    if first is None:
        raise ValueError("The machine has no drive or network card to install from.")
    _boot_first(root, devices, first)
    _set_text(root, "on_reboot", "destroy")
    return etree.tostring(root, encoding="unicode")


def _load(devices: etree._Element, media: Mapping[str, str]) -> etree._Element | None:
    """Put the media into their drives; the first of them."""
    loaded = None
    for disk in devices.iterchildren("disk"):
        path = media.get(attribute_at(disk, "target", "dev"))
        if path is None or disk.get("device") != "cdrom":
            continue
        for tag in ("source", "backingStore"):
            for old in list(disk.iterchildren(tag)):
                disk.remove(old)
        disk.set("type", "file")
        disk.insert(0, etree.Element("source", file=path, startupPolicy="optional"))
        loaded = disk if loaded is None else loaded
    return loaded


def _boot_directly(root: etree._Element, kernel: Mapping[str, str]) -> None:
    system = child_at(root, "os")
    if system is None:
        raise ValueError("The machine's XML says nothing of what it boots.")
    for tag in ("kernel", "initrd", "cmdline"):
        if kernel.get(tag):
            _set_text(system, tag, kernel[tag])


def _boot_first(root: etree._Element, devices: etree._Element, first: etree._Element) -> None:
    system = child_at(root, "os")
    for boot in [] if system is None else list(system.iterchildren("boot")):
        system.remove(boot)  # type: ignore[union-attr]
    ordered = [device for device in devices if device is not first and child_at(device, "boot") is not None]
    ordered.sort(key=lambda device: number(attribute_at(device, "boot", "order")) or 0)
    if not ordered:
        ordered = [disk for disk in devices.iterchildren("disk") if disk.get("device") == "disk" and disk is not first]
    for order, device in enumerate([first, *ordered], start=_FIRST):
        for old in list(device.iterchildren("boot")):
            device.remove(old)
        etree.SubElement(device, "boot", order=str(order))


def _set_text(root: etree._Element, tag: str, text: str) -> None:
    element = child_at(root, tag)
    if element is None:
        element = etree.SubElement(root, tag)
    element.text = text
