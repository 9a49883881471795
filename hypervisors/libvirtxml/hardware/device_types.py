"""All types of devices that have a form, and which of them an element is."""

from lxml import etree

from hypervisors.libvirtxml.hardware.paths import read_at
from hypervisors.libvirtxml.hardware.types.buses import BUSES
from hypervisors.libvirtxml.hardware.types.consoles import CONSOLES
from hypervisors.libvirtxml.hardware.types.device_type import DeviceType
from hypervisors.libvirtxml.hardware.types.disks import DISKS
from hypervisors.libvirtxml.hardware.types.displays import DISPLAYS
from hypervisors.libvirtxml.hardware.types.hostdevs import HOST_DEVICES
from hypervisors.libvirtxml.hardware.types.interfaces import INTERFACES
from hypervisors.libvirtxml.hardware.types.memory_devices import MEMORY_DEVICES
from hypervisors.libvirtxml.hardware.types.small_devices import SMALL_DEVICES

__all__ = ["DEVICE_TYPES", "OTHER", "DeviceType", "device_type", "device_type_of"]

# The order is that in which an element is compared with them.
DEVICE_TYPES: dict[str, DeviceType] = {
    kind.key: kind
    for kind in (
        *DISKS,
        *INTERFACES,
        *DISPLAYS,
        *CONSOLES,
        *BUSES,
        *HOST_DEVICES,
        *MEMORY_DEVICES,
        *SMALL_DEVICES,
    )
}

# A device that has no form: it is shown, edited as XML, and kept.
OTHER = DeviceType(key="other", tag="", fields=(), is_counted=True)


def device_type(key: str) -> DeviceType:
    """Raises: ValueError when there is no such type."""
    if key not in DEVICE_TYPES:
        raise ValueError(f"“{key[:60]}” is no type of device that has a form.")
    return DEVICE_TYPES[key]


def device_type_of(element: etree._Element) -> DeviceType:
    """The type whose tag and fixed words the element has; OTHER when there is none."""
    return next((kind for kind in _BY_TAG.get(str(element.tag), ()) if _fits(element, kind)), OTHER)


def _fits(element: etree._Element, kind: DeviceType) -> bool:
    return all(read_at(element, path) == value for path, value in kind.fixed)


_BY_TAG: dict[str, list[DeviceType]] = {}
for _kind in DEVICE_TYPES.values():
    _BY_TAG.setdefault(_kind.tag, []).append(_kind)
