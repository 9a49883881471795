"""A section: what is set on the domain itself rather than on a device; `sections` has all of them."""

from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.hardware.fields import Field, Value, Values


@dataclass(frozen=True, kw_only=True)
class Section:
    """Fields whose path is empty are spread over the XML: `read` and `write` know where, and are given all values."""

    key: str
    fields: tuple[Field, ...]
    read: Callable[[etree._Element], dict[str, Value]] | None = None
    write: Callable[[etree._Element, Values], None] | None = None  # Raises: ValueError
    check: Callable[[Values], None] | None = None  # Raises: ValueError, where fields contradict each other
    settle: Callable[[etree._Element, Values, Values], None] | None = None  # what follows from a change, in the XML

    @property
    def plain_fields(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.path)
