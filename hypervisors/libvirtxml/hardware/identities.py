"""What a device is called: the same in live and inactive XML, whatever was plugged in before it."""

from collections import Counter
from collections.abc import Iterable

from lxml import etree

from hypervisors.libvirtxml.hardware.device_types import device_type_of
from hypervisors.libvirtxml.hardware.paths import read_at


def identified(elements: Iterable[etree._Element]) -> list[tuple[str, etree._Element]]:
    """Each with its id, such as "disk:vda"; what would be called the same is numbered."""
    seen: Counter[str] = Counter()
    found = []
    for element in elements:
        name, is_counted = _name(element)
        number = seen[name]
        seen[name] += 1
        if is_counted:
            found.append((f"{name}:{number}", element))
        else:
            found.append((f"{name}#{number + 1}" if number else name, element))
    return found


def _name(element: etree._Element) -> tuple[str, bool]:
    kind = device_type_of(element)
    tag = str(element.tag)
    for paths in kind.identity:
        parts = [read_at(element, path) or "" for path in paths]
        if all(parts):
            return ":".join((tag, *parts)), kind.is_counted
    if kind.is_counted:
        return tag, True
    address = _address(element)
    return (f"{tag}:{address}", False) if address else (tag, True)


def _address(element: etree._Element) -> str:
    """Where it is plugged in, in a word: "pci.0000.03.00.0", "dimm.0"; empty when it says nothing."""
    address = element.find("address")
    if address is None:
        return ""
    names = (
        "domain",
        "bus",
        "slot",
        "function",
        "controller",
        "target",
        "unit",
        "port",
        "reg",
        "cssid",
        "ssid",
        "devno",
    )
    values = [address.get(name, "").removeprefix("0x") for name in names if address.get(name)]
    return ".".join((address.get("type", ""), *values))
