"""The devices of a domain: listed, built, and changed in place, https://libvirt.org/formatdomain.html#devices.

What the forms do not know stays as it is: attributes, elements, namespaces, their order.
"""

from dataclasses import dataclass, field

from lxml import etree

from hypervisors.libvirtxml.hardware.completion import complete
from hypervisors.libvirtxml.hardware.definitions import (
    device_elements,
    devices_of,
    parse_definition,
    parse_device,
    serialised,
    serialised_device,
)
from hypervisors.libvirtxml.hardware.device_types import DeviceType, device_type, device_type_of
from hypervisors.libvirtxml.hardware.fields import Value, Values
from hypervisors.libvirtxml.hardware.identities import identified
from hypervisors.libvirtxml.hardware.network_cards import as_defined
from hypervisors.libvirtxml.hardware.paths import append_child, remove_child, write_at
from hypervisors.libvirtxml.hardware.serial_consoles import check_is_no_second_name, remove_second_name
from hypervisors.libvirtxml.hardware.summaries import summary
from hypervisors.libvirtxml.hardware.values import read_values, write_values


@dataclass(frozen=True, kw_only=True)
class Device:
    """`type_key` is "other" for what has no form; a password is never among the values."""

    id: str
    type_key: str
    values: dict[str, Value] = field(default_factory=dict)
    xml: str = ""
    summary: str = ""  # names, not words: "vda · /images/web1.qcow2"


def list_devices(xml: str) -> tuple[Device, ...]:
    """In the XML's order. Raises: ValueError when it cannot be read."""
    return tuple(_device(name, element) for name, element in identified(device_elements(parse_definition(xml))))


def find_device(xml: str, device_id: str) -> Device | None:
    """The device of that id, or None. Raises: ValueError when the XML cannot be read."""
    for name, element in identified(device_elements(parse_definition(xml))):
        if name == device_id:
            return _device(name, element)
    return None


def parse_one_device(device_xml: str) -> Device:
    """A device by itself, as it stands in an editor. Raises: ValueError when it cannot be read."""
    [(name, element)] = identified([parse_device(device_xml)])
    return _device(name, element)


def build_device(type_key: str, values: Values, onto: str = "") -> str:
    """A new device, or `onto` with these values: what they do not name stays. Raises: ValueError, in words."""
    kind = device_type(type_key)
    element = parse_device(onto) if onto else _new(kind)
    before = read_values(element, kind.fields) if onto else {}
    write_values(element, kind.fields, values)
    after = read_values(element, kind.fields)
    if kind.check is not None:
        kind.check(after)
    if kind.settle is not None:
        kind.settle(element, before, after)
    return serialised_device(element)


def completed_device(device_xml: str, *definitions: str) -> str:
    """The device with the names that it needs and lacks, free in all of these domains. Raises: ValueError.

    Live and inactive XML are completed together, so that a device has one name in both.
    """
    element = parse_device(device_xml)
    complete(element, [device for xml in definitions for device in device_elements(parse_definition(xml))])
    return serialised_device(element)


def with_device(xml: str, device_xml: str) -> str:
    """The domain with one more device. Raises: ValueError when it has as many as it can."""
    root, element = parse_definition(xml), parse_device(device_xml)
    present = device_elements(root)
    _check_room(device_type_of(element), present)
    _check_screen(element, present)
    complete(element, present)
    append_child(devices_of(root), element)
    etree.indent(element, level=2)
    return serialised(root)


def with_changed_device(xml: str, device_id: str, device_xml: str) -> str:
    """The domain with this device in the other's place. Raises: ValueError when it has no such device."""
    root, element = parse_definition(xml), parse_device(device_xml)
    old = _found(root, device_id)
    check_is_no_second_name(old, root)
    others = [device for device in device_elements(root) if device is not old]
    if element.get("type") != old.get("type"):
        _check_screen(element, others)
    complete(element, others)
    element.tail = old.tail
    devices_of(root).replace(old, element)
    return serialised(root)


def without_device(xml: str, device_id: str) -> str:
    """The domain without it. Raises: ValueError when it has no such device."""
    root = parse_definition(xml)
    device = _found(root, device_id)
    check_is_no_second_name(device, root)
    remove_child(device)
    if device.tag == "serial":
        remove_second_name(root)
    return serialised(root)


def _found(root: etree._Element, device_id: str) -> etree._Element:
    for name, element in identified(device_elements(root)):
        if name == device_id:
            return element
    raise ValueError("It does not have this device any more.")


def _new(kind: DeviceType) -> etree._Element:
    element = etree.Element(kind.tag)
    for path, value in kind.fixed:
        write_at(element, path, value)
    return element


def _device(name: str, found: etree._Element) -> Device:
    element = as_defined(found)
    kind = device_type_of(element)
    values = read_values(element, kind.fields)
    return Device(
        id=name,
        type_key=kind.key,
        values=values,
        xml=serialised_device(element),
        summary=summary(kind, values),
    )


def _check_room(kind: DeviceType, present: list[etree._Element]) -> None:
    if kind.most is not None and sum(device_type_of(device) is kind for device in present) >= kind.most:
        raise ValueError(f"A virtual machine has at most {kind.most} of these devices.")


def _check_screen(element: etree._Element, others: list[etree._Element]) -> None:
    """libvirt defines a machine with two screens of one type, and QEMU does not start it."""
    kind = element.get("type", "")
    if element.tag == "graphics" and any(one.tag == "graphics" and one.get("type") == kind for one in others):
        raise ValueError(f"It has a {kind.upper()} screen already: QEMU starts with one of each type.")
