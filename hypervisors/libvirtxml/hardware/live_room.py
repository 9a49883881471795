"""What a device needs of the running machine to be plugged in: a free slot, shared memory, a screen of a kind."""

from collections.abc import Callable

from lxml import etree

from hypervisors.libvirtxml.hardware.definitions import device_elements
from hypervisors.libvirtxml.hardware.fields import Values
from hypervisors.libvirtxml.hardware.paths import elements_at, read_at

_EXPRESS_CARDS = ("virtio", "virtio-non-transitional", "e1000e", "igb", "vmxnet3")


def missing_room(type_key: str, values: Values, root: etree._Element) -> str:
    """What is missing, as a sentence; empty where nothing is known to be."""
    needed = _NEEDS.get(type_key)
    why = "" if needed is None else needed(values, root)
    return why or _missing_slot(_slot(type_key, values), root)


def _redirection(values: Values, root: etree._Element) -> str:
    if values.get("type") == "spicevmc" and not _has(root, "graphics", "@type", "spice"):
        return "USB redirection goes through a SPICE screen, and it has none."
    return _usb_device(values, root)


def _usb_device(values: Values, root: etree._Element) -> str:
    has_usb = any(
        device.tag == "controller" and device.get("type") == "usb" and device.get("model") != "none"
        for device in device_elements(root)
    )
    return "" if has_usb else "It has no USB controller, and QEMU cannot plug one in while it runs."


def _on_usb(values: Values, root: etree._Element) -> str:
    return _usb_device(values, root) if values.get("bus") == "usb" else ""


def _port(values: Values, root: etree._Element) -> str:
    if values.get("target_type") != "virtio" or _has(root, "controller", "@type", "virtio-serial"):
        return ""
    return "It has no virtio-serial controller, and QEMU cannot plug one in while it runs."


def _directory(values: Values, root: etree._Element) -> str:
    shares = [read_at(root, "memoryBacking/access/@mode")]
    shares += [cell.get("memAccess") for cell in elements_at(root, "cpu/numa/cell")]
    return "" if "shared" in shares else "virtiofs needs memory that is shared with the host: set it in Memory first."


def _memory(values: Values, root: etree._Element) -> str:
    if not read_at(root, "maxMemory/@slots"):
        return "It was started without slots for memory: set a maximum and slots in Memory first."
    if not elements_at(root, "cpu/numa/cell"):
        return "It was started without a NUMA node, which memory that is plugged in belongs to."
    taken = sum(device.tag == "memory" for device in device_elements(root))
    slots = read_at(root, "maxMemory/@slots") or ""
    return "All of its slots for memory are taken." if slots.isdecimal() and taken >= int(slots) else ""


_NEEDS: dict[str, Callable[[Values, etree._Element], str]] = {
    "channel": _port,
    "console": _port,
    "disk": _on_usb,
    "hostdev_usb": _usb_device,
    "input": _on_usb,
    "redirdev": _redirection,
    "filesystem": _directory,
    "memory": _memory,
}


def _slot(type_key: str, values: Values) -> str:
    """Where it is plugged in: "express", "pci"; empty where it takes no slot of its own, or that is not known."""
    if type_key == "disk":
        return "express" if values.get("bus") == "virtio" else ""
    if type_key == "interface":
        return "express" if values.get("model") in _EXPRESS_CARDS else "pci" if values.get("model") else ""
    if type_key == "input":
        return "express" if values.get("bus") == "virtio" else ""
    if type_key == "memory":
        return "express" if values.get("model") in ("virtio-mem", "virtio-pmem") else ""
    if type_key in ("watchdog", "shmem"):
        return "pci"
    return "express" if type_key in ("controller", "rng", "vsock", "filesystem", "hostdev_pci", "hostdev_mdev") else ""


def _missing_slot(slot: str, root: etree._Element) -> str:
    """Only of PCI Express machines: those with plain PCI have slots enough."""
    controllers = [
        device for device in device_elements(root) if device.tag == "controller" and device.get("type") == "pci"
    ]
    models = {str(controller.get("model")) for controller in controllers}
    if not slot or "pcie-root" not in models:
        return ""
    if slot == "pci":
        return "" if models & {"pcie-to-pci-bridge", "pci-bridge"} else _NO_PCI
    ports = {controller.get("index") for controller in controllers if controller.get("model") == "pcie-root-port"}
    return "" if ports - _taken_buses(root) else _NO_PORT


_NO_PORT = "All of its PCI Express ports are taken; it gets more of them with the next start."
_NO_PCI = "It has no bus for conventional PCI, which this device is made for; it gets one with the next start."


def _taken_buses(root: etree._Element) -> set[str | None]:
    """The indexes of the PCI controllers that something is plugged into."""
    addresses = [device.find("address") for device in device_elements(root)]
    buses = [one.get("bus", "") for one in addresses if one is not None and one.get("type") == "pci"]
    return {str(int(bus, 16)) for bus in buses if _is_hex(bus)}


def _is_hex(text: str) -> bool:
    digits = text.removeprefix("0x")
    return bool(digits) and len(digits) <= 4 and all(digit in "0123456789abcdefABCDEF" for digit in digits)


def _has(root: etree._Element, tag: str, path: str, value: str) -> bool:
    return any(device.tag == tag and read_at(device, path) == value for device in device_elements(root))
