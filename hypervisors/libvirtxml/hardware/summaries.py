"""A device in a line: names, not words, so that it needs no translation."""

from lxml import etree

from hypervisors.libvirtxml.hardware.fields import Values
from hypervisors.libvirtxml.hardware.types.device_type import DeviceType
from hypervisors.libvirtxml.hardware.values import read_values


def summary_of(kind: DeviceType, element: etree._Element) -> str:
    """ "vda · /images/web1.qcow2"."""
    return summary(kind, read_values(element, kind.fields))


def summary(kind: DeviceType, values: Values) -> str:
    """The same, of values that were read already."""
    parts = [str(values.get(part, "")) for part in kind.summary]
    return " · ".join(part for part in parts if part)
