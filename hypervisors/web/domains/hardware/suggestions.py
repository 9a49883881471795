"""What stands in the form of a new device before anybody types."""

from collections.abc import Callable, Iterable

from hypervisors.libvirtxml.hardware.card_guards import GUARD_FIELDS, guards_of, is_guarded
from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.devices import Device
from hypervisors.libvirtxml.hardware.fields import Value
from hypervisors.web.domains.creation.fields import Option

_SUGGESTED: dict[str, dict[str, Value]] = {
    "disk": {"type": "file", "bus": "virtio", "discard": "unmap"},
    "cdrom": {"type": "file", "bus": "sata"},
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
    "iommu": {"model": "intel"},
    "redirdev": {"bus": "usb", "type": "spicevmc"},
    "memory": {"model": "dimm", "size_kib": 1024 * 1024, "node": 0},
    "hostdev_mdev": {"model": "vfio-pci"},
    "video": {"model": "virtio"},
    "sound": {"model": "ich9"},
}


def new_values(type_key: str, present: Iterable[Device] = ()) -> dict[str, Value]:
    """The type's own beginning, with what most people want, and what goes with what the machine has already.

    A card beside guarded ones is guarded as they are.
    """
    values = dict(DEVICE_TYPES[type_key].defaults) | _SUGGESTED.get(type_key, {})
    beside = _BESIDE.get(type_key)
    return values | (beside(present) if beside else {})


def suggested_plug(present: Iterable[Device], networks: Iterable[Option]) -> dict[str, Value]:
    """What a new network card is plugged into: as the machine's last one, else libvirt's default, else the only one."""
    names = [option.value for option in networks if option.value]
    for card in reversed([one.values for one in present if one.type_key == "interface"]):
        if card.get("type") == "network" and card.get("source_network") in names:
            return {"source_network": card["source_network"]}
        if card.get("type") == "bridge" and card.get("source_bridge"):
            return {"type": "bridge", "source_bridge": card["source_bridge"]}
    likely = "default" if "default" in names else names[0] if len(names) == 1 else ""
    return {"source_network": likely} if likely else {}


def is_without_usb(present: Iterable[Device]) -> bool:
    """USB was switched off on purpose: a controller of the model "none" stands for that."""
    controllers = [one.values for one in present if one.type_key == "controller"]
    return any(one.get("type") == "usb" and one.get("usb_model") == "none" for one in controllers)


def _bus_of_input(present: Iterable[Device]) -> dict[str, Value]:
    return {"bus": "virtio"} if is_without_usb(present) else {}


def _second_screen(present: Iterable[Device]) -> dict[str, Value]:
    """QEMU starts with one screen of each type."""
    has_vnc = any(one.type_key == "graphics" and one.values.get("type") == "vnc" for one in present)
    return {"type": "spice"} if has_vnc else {}


def _guards_of_first(present: Iterable[Device]) -> dict[str, Value]:
    cards = (one for one in present if one.type_key == "interface" and is_guarded(guards_of(one)))
    first = next(cards, None)
    return {name: first.values[name] for name in GUARD_FIELDS if first.values.get(name)} if first else {}


_BESIDE: dict[str, Callable[[Iterable[Device]], dict[str, Value]]] = {
    "graphics": _second_screen,
    "input": _bus_of_input,
    "interface": _guards_of_first,
}
