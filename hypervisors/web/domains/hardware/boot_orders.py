"""The order in which a machine tries its devices at the start: those that are tried, and those that could be."""

from dataclasses import dataclass

from hypervisors.libvirtxml.hardware.sections import section_values
from hypervisors.web.domains.hardware.controls import Control
from hypervisors.web.domains.hardware.entries import device_detail, device_name
from hypervisors.web.domains.hardware.machines import MachineHardware
from hypervisors.web.domains.hardware.type_words import type_words

_BOOTABLE = frozenset(
    {"disk", "cdrom", "floppy", "interface", "hostdev_usb", "hostdev_pci", "hostdev_mdev", "redirdev"}
)


@dataclass(frozen=True, kw_only=True)
class BootLine:
    device_id: str
    icon: str
    name: str
    detail: str
    is_used: bool


@dataclass(frozen=True, kw_only=True)
class BootOrder:
    """`control` is the text area that the lines are written into; `has_kernel`: a kernel is started in its place."""

    control: Control
    has_kernel: bool
    lines: tuple[BootLine, ...]


def boot_order(hardware: MachineHardware, control: Control) -> BootOrder:
    """First those that are tried, in their order; then the others, as they stand in the list."""
    bootable = {device.id: device for device in hardware.stored if device.type_key in _BOOTABLE}
    used = [name for name in control.text.split("\n") if name in bootable]
    names = dict.fromkeys([*used, *bootable])
    return BootOrder(
        control=control,
        has_kernel=_has_kernel(hardware),
        lines=tuple(
            BootLine(
                device_id=name,
                icon=type_words(bootable[name].type_key).icon,
                name=device_name(bootable[name]),
                detail=device_detail(bootable[name]),
                is_used=name in used,
            )
            for name in names
        ),
    )


def _has_kernel(hardware: MachineHardware) -> bool:
    try:
        return bool(section_values(hardware.stored_xml, "kernel").get("kernel"))
    except ValueError:
        return False
