"""A stored definition without what waits for its next start, made of the stored XML and that of what runs.

What is the same stays as it is stored; what differs is taken from what runs, without what only a running machine has
(libvirt itself passes over most of that when it reads a definition, https://libvirt.org/formatdomain.html).
"""

from copy import deepcopy

from lxml import etree

from hypervisors.libvirtxml.hardware.definitions import devices_of, parse_definition, serialised
from hypervisors.libvirtxml.hardware.devices import list_devices
from hypervisors.libvirtxml.hardware.differences import pending_differences

# Of a domain that runs alone.
_LIVE_ONLY = frozenset({"seclabel", "resource"})
_LIVE_ONLY_IN_DEVICES = ("alias", "backingStore", "mirror", "seclabel")


def reverted(live_xml: str, inactive_xml: str) -> str:
    """Raises: ValueError when one cannot be read."""
    differences = pending_differences(live_xml, inactive_xml)
    others = {one.part for one in differences if not one.device_id}
    root = _with_parts(parse_definition(live_xml), parse_definition(inactive_xml), others)
    differing = {one.device_id for one in differences if one.device_id}
    _set_devices(root, live_xml, inactive_xml, differing)
    return serialised(root)


def _with_parts(live: etree._Element, stored: etree._Element, parts: set[str]) -> etree._Element:
    """The stored domain with these elements as they are in what runs, or without them."""
    for tag in parts - {"devices"}:
        for element in stored.findall(tag):
            stored.remove(element)
        if tag not in _LIVE_ONLY:
            stored.extend(deepcopy(element) for element in live.findall(tag))
    return stored


def _set_devices(root: etree._Element, live_xml: str, inactive_xml: str, differing: set[str]) -> None:
    """In the order of what runs: those that are the same as they are stored, the others as they run."""
    stored = {device.id: device.xml for device in list_devices(inactive_xml)}
    devices = devices_of(root)
    for element in devices.findall("*"):
        if element.tag != "emulator":
            devices.remove(element)
    for device in list_devices(live_xml):
        is_same = device.id in stored and device.id not in differing
        devices.append(etree.fromstring(stored[device.id]) if is_same else _as_stored(device.xml))


def _as_stored(device_xml: str) -> etree._Element:
    element = etree.fromstring(device_xml)
    for tag in _LIVE_ONLY_IN_DEVICES:
        for found in element.findall(tag):
            element.remove(found)
    return element
