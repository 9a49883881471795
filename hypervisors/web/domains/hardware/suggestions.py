"""What stands in the form of a new device before anybody types."""

from collections.abc import Iterable

from hypervisors.libvirtxml.hardware.card_guards import GUARD_FIELDS, guards_of, is_guarded
from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.devices import Device
from hypervisors.libvirtxml.hardware.fields import Value

_SUGGESTED: dict[str, dict[str, Value]] = {
    "disk": {"type": "file", "bus": "virtio", "discard": "unmap"},
    "cdrom": {"type": "file", "bus": "sata", "readonly": True},
    "floppy": {"type": "file", "bus": "fdc"},
    "interface": {"type": "network", "model": "virtio", "link": "up"},
    "graphics": {"type": "vnc", "autoport": True},
    "input": {"type": "tablet", "bus": "usb"},
    "controller": {"type": "scsi", "scsi_model": "virtio-scsi"},
    "serial": {"type": "pty"},
    "console": {"type": "pty", "target_type": "virtio"},
    "channel": {"type": "unix", "target_type": "virtio", "target_name": "org.qemu.guest_agent.0"},
    "rng": {"model": "virtio", "backend": "random", "backend_path": "/dev/urandom"},
    "tpm": {"model": "tpm-crb", "backend": "emulator", "version": "2.0"},
    "watchdog": {"model": "i6300esb", "action": "reset"},
    "panic": {"model": "isa"},
    "vsock": {"model": "virtio", "cid_auto": True},
    "iommu": {"model": "intel", "interrupt_remapping": True},
    "redirdev": {"bus": "usb", "type": "spicevmc"},
    "memory": {"model": "dimm", "size_kib": 1024 * 1024, "node": 0},
    "hostdev_mdev": {"model": "vfio-pci"},
    "video": {"model": "virtio"},
    "sound": {"model": "ich9"},
}


def new_values(type_key: str, present: Iterable[Device] = ()) -> dict[str, Value]:
    """The type's own beginning, with what most people want; a card beside guarded ones is guarded as they are."""
    values = dict(DEVICE_TYPES[type_key].defaults) | _SUGGESTED.get(type_key, {})
    return values | (_guards_of_first(present) if type_key == "interface" else {})


def _guards_of_first(present: Iterable[Device]) -> dict[str, Value]:
    cards = (one for one in present if one.type_key == "interface" and is_guarded(guards_of(one)))
    first = next(cards, None)
    return {name: first.values[name] for name in GUARD_FIELDS if first.values.get(name)} if first else {}
