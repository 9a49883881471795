"""What is booted first, https://libvirt.org/formatdomain.html#bios-bootloader: an order over devices."""

from collections.abc import Iterable

from lxml import etree

from hypervisors.libvirtxml.hardware.definitions import device_elements
from hypervisors.libvirtxml.hardware.fields import Field, Value, Values, when
from hypervisors.libvirtxml.hardware.identities import identified
from hypervisors.libvirtxml.hardware.parts.section import Section
from hypervisors.libvirtxml.hardware.paths import elements_at, read_at, remove_at, remove_child, write_at

BOOTABLE_TAGS = ("disk", "interface", "hostdev", "redirdev")

_FIELDS = (
    Field("order", "", "lines"),  # ids of devices, the first first
    Field("menu", "os/bootmenu/@enable", "flag"),
    Field("menu_milliseconds", "os/bootmenu/@timeout", "number", maximum=65535, only_if=when(menu=True)),
    Field("serial_bios", "os/bios/@useserial", "flag"),
    Field("reboot_milliseconds", "os/bios/@rebootTimeout", "number", minimum=-1, maximum=65535),
)


def _read(root: etree._Element) -> dict[str, Value]:
    return {"order": "\n".join(_order(root))}


def _order(root: etree._Element) -> list[str]:
    bootable = _bootable(root)
    numbered = [(int(order), name) for name, device in bootable if (order := _number(device))]
    if numbered:
        return [name for _order, name in sorted(numbered)]
    return list(_by_kind(bootable, [boot.get("dev", "") for boot in elements_at(root, "os/boot")]))


def _by_kind(bootable: list[tuple[str, etree._Element]], kinds: Iterable[str]) -> Iterable[str]:
    """<os><boot dev='hd'/> means the first of its kind."""
    for kind in kinds:
        first = next((name for name, device in bootable if _kind(device) == kind), None)
        if first is not None:
            yield first


def _write(root: etree._Element, values: Values) -> None:
    """Raises: ValueError when a device is named that there is not, or twice."""
    wanted = str(values["order"]).split("\n") if values["order"] else []
    if wanted == _order(root):
        return
    bootable = dict(_bootable(root))
    if len(set(wanted)) < len(wanted):
        raise ValueError("Each device has one place in the boot order.")
    for name in wanted:
        if name not in bootable:
            raise ValueError("It does not have one of the devices in the boot order any more.")
    for boot in elements_at(root, "os/boot"):
        remove_child(boot)
    for device in bootable.values():
        remove_at(device, "boot")
    for place, name in enumerate(wanted, start=1):
        write_at(bootable[name], "boot/@order", str(place))


def _bootable(root: etree._Element) -> list[tuple[str, etree._Element]]:
    return [(name, device) for name, device in identified(device_elements(root)) if device.tag in BOOTABLE_TAGS]


def _number(device: etree._Element) -> int:
    order = read_at(device, "boot/@order") or ""
    return int(order) if order.isdecimal() and len(order) < 10 else 0


def _kind(device: etree._Element) -> str:
    if device.tag == "interface":
        return "network"
    return {"cdrom": "cdrom", "floppy": "fd"}.get(device.get("device", "disk"), "hd") if device.tag == "disk" else ""


BOOT = Section(key="boot", fields=_FIELDS, read=_read, write=_write)
