"""A stored definition without what waits for its next start, made of the stored XML and that of what runs.

What is the same stays as it is stored. What differs is set back field by field, so that a processor which the host
chooses, for example, stays one; what no form knows is taken from what runs, without what only a running machine has.
"""

from collections import defaultdict
from collections.abc import Iterable
from copy import deepcopy

from lxml import etree

from hypervisors.libvirtxml.hardware.definitions import devices_of, parse_definition, parse_device, serialised
from hypervisors.libvirtxml.hardware.devices import Device, build_device, list_devices
from hypervisors.libvirtxml.hardware.differences import Difference, pending_differences
from hypervisors.libvirtxml.hardware.sections import change_section, section_values

# Written anew by the fields of the processor's section, or device by device.
_NEVER_TAKEN = frozenset({"cpu", "devices", "currentMemory"})
_LIVE_ONLY_IN_DEVICES = ("alias", "backingStore", "mirror", "seclabel")


def reverted(live_xml: str, inactive_xml: str) -> str:
    """Raises: ValueError when one cannot be read."""
    differences = pending_differences(live_xml, inactive_xml)
    xml = _with_devices(live_xml, inactive_xml, [one for one in differences if one.device_id])
    xml = _with_sections(live_xml, xml, [one for one in differences if one.section and not one.device_id])
    return _with_parts(live_xml, xml, {one.part for one in differences if not (one.section or one.device_id)})


def _with_sections(live_xml: str, xml: str, differences: Iterable[Difference]) -> str:
    names: dict[str, set[str]] = defaultdict(set)
    for one in differences:
        names[one.section].add(one.name)
    for section, fields in names.items():
        now = section_values(live_xml, section)
        xml = change_section(xml, section, {name: now.get(name, "") for name in fields})
    return xml


def _with_parts(live_xml: str, xml: str, parts: set[str]) -> str:
    """With these elements as they are in what runs, or without them."""
    live, stored = parse_definition(live_xml), parse_definition(xml)
    for tag in parts - _NEVER_TAKEN:
        for element in stored.findall(tag):
            stored.remove(element)
        stored.extend(deepcopy(element) for element in live.findall(tag))
    return serialised(stored)


def _with_devices(live_xml: str, inactive_xml: str, differences: Iterable[Difference]) -> str:
    """What runs has, and no more: what is new in it as it runs, what differs set back, the rest as it is stored."""
    differing: dict[str, list[Difference]] = defaultdict(list)
    for one in differences:
        differing[one.device_id].append(one)
    live = {device.id: device for device in list_devices(live_xml)}
    root = parse_definition(inactive_xml)
    devices = devices_of(root)
    stored = zip(list_devices(inactive_xml), _elements(devices), strict=True)
    for device, element in stored:
        if device.id not in differing:
            continue
        if device.id in live:
            devices.replace(element, _set_back(device, live[device.id], differing[device.id]))
        else:
            devices.remove(element)
    known = {device.id for device in list_devices(inactive_xml)}
    devices.extend(_as_stored(live[name].xml) for name in differing if name in live and name not in known)
    return serialised(root)


def _elements(devices: etree._Element) -> list[etree._Element]:
    return [element for element in devices.iterchildren(etree.Element) if element.tag != "emulator"]


def _set_back(stored: Device, live: Device, differences: Iterable[Difference]) -> etree._Element:
    """By its fields; as it runs, where it differs in what no form knows."""
    names = {one.name for one in differences}
    if names <= {*stored.values, *live.values} and stored.type_key == live.type_key:
        values = {name: live.values.get(name, "") for name in names}
        return parse_device(build_device(stored.type_key, values, onto=stored.xml))
    return _as_stored(live.xml)


def _as_stored(device_xml: str) -> etree._Element:
    element = parse_device(device_xml)
    for tag in _LIVE_ONLY_IN_DEVICES:
        for found in element.findall(tag):
            element.remove(found)
    return element
