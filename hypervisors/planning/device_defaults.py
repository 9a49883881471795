"""Which devices a system can drive, and so which a new guest gets: disk bus, network card, screen, USB."""

from collections.abc import Collection

from hypervisors.osinfo.systems import (
    E1000,
    E1000E,
    GENERIC,
    VIRTIO_BLOCK,
    VIRTIO_GPU,
    VIRTIO_NET,
    VIRTIO_RNG,
    VIRTIO_SCSI,
    VIRTIO_SERIAL,
    XHCI,
    OperatingSystem,
)

# What its makers give for KVM; see virt-manager's defaults. Each needs the ones before it, and hypervclock.
_HYPERV = (
    "relaxed", "vapic", "spinlocks", "vpindex", "runtime", "synic", "stimer", "frequencies", "tlbflush", "ipi",
)  # fmt: skip
# Where libvirt does not list what it has: what has always been there.
_OLD_HYPERV = ("relaxed", "vapic", "spinlocks")
_GIB_BYTES = 1024**3
_DEFAULT_DISK_BYTES = 20 * _GIB_BYTES


def disk_bus(system: OperatingSystem | None, machine: str, *, windows_drivers: bool = False) -> str:
    """Of hard disks. Windows has no driver for virtio: only with the driver ISO as a second CD."""
    if windows_drivers or _drives(system, VIRTIO_BLOCK) or _is_arm(machine):
        return "virtio"
    return "sata" if _is_pci_express(machine) else "ide"


def cdrom_bus(machine: str) -> str:
    if _is_arm(machine):
        return "scsi"
    return "sata" if _is_pci_express(machine) else "ide"


def interface_model(system: OperatingSystem | None, machine: str, *, windows_drivers: bool = False) -> str:
    if windows_drivers or _drives(system, VIRTIO_NET) or _is_arm(machine):
        return "virtio"
    if _is_pci_express(machine) and _drives(system, E1000E):
        return "e1000e"
    return "e1000" if system in (None, GENERIC) or _drives(system, E1000) else "rtl8139"


def video_model(system: OperatingSystem | None, available: Collection[str], *, spice: bool, uefi: bool) -> str:
    """`available` are the models of all hosts; empty where they do not say."""
    if _drives(system, VIRTIO_GPU) and "virtio" in available:
        return "virtio"
    if spice and "qxl" in available:
        return "qxl"
    return "bochs" if uefi and "bochs" in available else "vga"


def usb_controller(system: OperatingSystem | None, machine: str) -> str:
    return "qemu-xhci" if _is_arm(machine) or _drives(system, XHCI) else "ich9-ehci1"


def hyperv_features(system: OperatingSystem | None, available: Collection[str]) -> tuple[str, ...]:
    """Enlightenments for Windows from Vista on; `available` as above."""
    if system is None or not system.is_windows or system.release_date < "2006":
        return ()
    return tuple(name for name in _HYPERV if name in available) if available else _OLD_HYPERV


def has_scsi(system: OperatingSystem | None, *, windows_drivers: bool = False) -> bool:
    return windows_drivers or _drives(system, VIRTIO_SCSI)


def has_agent_channel(system: OperatingSystem | None, *, windows_drivers: bool = False) -> bool:
    return windows_drivers or _drives(system, VIRTIO_SERIAL)


def has_rng(system: OperatingSystem | None, *, windows_drivers: bool = False) -> bool:
    return windows_drivers or _drives(system, VIRTIO_RNG)


def disk_bytes(system: OperatingSystem | None) -> int:
    """What the first disk should have: recommended, else twice the minimum, else 20 GiB."""
    if system is None:
        return _DEFAULT_DISK_BYTES
    return system.recommended.disk_bytes or 2 * (system.minimum.disk_bytes or 0) or _DEFAULT_DISK_BYTES


def _drives(system: OperatingSystem | None, devices: frozenset[str]) -> bool:
    return system is not None and system.drives(devices)


def _is_pci_express(machine: str) -> bool:
    return "q35" in machine or _is_arm(machine)


def _is_arm(machine: str) -> bool:
    return machine == "virt" or machine.startswith("virt-")
