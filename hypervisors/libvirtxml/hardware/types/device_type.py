"""What a kind of device is made of; `device_types` has all of them."""

from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.hardware.fields import Field, Value, Values
from hypervisors.libvirtxml.hardware.paths import remove_child


@dataclass(frozen=True, kw_only=True)
class DeviceType:
    """`fixed` tells devices of this type from others with the same tag, and is written into a new one.

    `identity` are paths whose values, together, mean the same device in live and inactive XML: the first of several
    that are all there. Where none is, its address means it, then its place among its like.
    """

    key: str
    tag: str
    fields: tuple[Field, ...]
    fixed: tuple[tuple[str, str], ...] = ()
    identity: tuple[tuple[str, ...], ...] = ()
    is_counted: bool = False  # several may have the same identity: they are numbered from 0
    most: int | None = None  # how many a domain can have; None: many
    defaults: tuple[tuple[str, Value], ...] = ()  # what a new one begins with, in the form
    check: Callable[[Values], None] | None = None  # Raises: ValueError, where fields contradict each other
    settle: Callable[[etree._Element, Values, Values], None] | None = (
        None  # what follows, in the XML; `before` is empty for a new one
    )
    summary: tuple[str, ...] = ()  # the fields that say in a line what it is


def no_address(*names: str) -> Callable[[etree._Element, Values, Values], None]:
    """Another bus or model has other addresses: libvirt chooses one anew where one of these fields changes."""

    def settle(element: etree._Element, before: Values, after: Values) -> None:
        if before and any(before.get(name) != after.get(name) for name in names):
            for address in element.findall("address"):
                remove_child(address)

    return settle
