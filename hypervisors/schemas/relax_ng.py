"""libvirt's own schemas, as they are installed here (package libvirt0): a first hint about XML that somebody typed.

The verdict is the host's: its libvirt may be older or newer. What RELAX NG says of a fault is of no use to people
("Extra element vcpu in interleave"), so the culprit is looked for: what the rest would be valid without.
https://libvirt.org/format.html
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

from lxml import etree

SCHEMAS = Path("/usr/share/libvirt/schemas")
# By the root element of the XML.
_FILES = {
    "domain": "domain.rng",
    "network": "network.rng",
    "pool": "storagepool.rng",
    "volume": "storagevol.rng",
    "domainsnapshot": "domainsnapshot.rng",
}
# Looking further than that helps nobody who waits.
_LOOK_SECONDS = 1.0
_MOST_FAULTS = 8
# Nothing that has so many parts is worth a hint: RELAX NG is slow with it, and slower still with many attributes.
_MOST_ELEMENTS, _MOST_ATTRIBUTES_OF_ONE = 2500, 50
# What the schemas want in almost every element that may have it.
_NEEDED = frozenset({"name", "uuid", "memory", "os", "source", "target"})


@dataclass(frozen=True, kw_only=True)
class SchemaFault:
    """`what` is the culprit as a path ("devices/disk", "cpu@mode"), "" where it is not known; `line` its line, or 0."""

    what: str
    line: int = 0


def schema_faults(root: etree._Element) -> tuple[SchemaFault, ...] | None:
    """What the schema does not know, or has no place for; None where there is no schema for such XML.

    The element is put back as it was.
    """
    schema = _schema(str(root.tag))
    if schema is None or _is_large(root):
        return None
    if schema.validate(root):
        return ()
    return tuple(_Search(schema, root).faults())


def _is_large(root: etree._Element) -> bool:
    attributes = [len(element.attrib) for element in root.iter(etree.Element)]
    return len(attributes) > _MOST_ELEMENTS or max(attributes) > _MOST_ATTRIBUTES_OF_ONE


@cache
def _schema(tag: str) -> etree.RelaxNG | None:
    path = SCHEMAS / _FILES.get(tag, "-")
    try:
        return etree.RelaxNG(file=str(path)) if path.is_file() else None
    except etree.RelaxNGParseError:
        return None


class _Search:
    """For what the document would be valid without."""

    def __init__(self, schema: etree.RelaxNG, root: etree._Element) -> None:
        self._schema, self._root = schema, root
        self._until = time.monotonic() + _LOOK_SECONDS

    def faults(self) -> list[SchemaFault]:
        found = list(islice(self._within(self._root), _MOST_FAULTS)) or list(self._anywhere())
        # Out of time everything would seem to be wrong.
        return found if found and time.monotonic() < self._until else [SchemaFault(what="")]

    def _within(self, element: etree._Element) -> Iterator[SchemaFault]:
        """The faults inside an element, in a document that is valid but for it. Empty: it is at fault itself."""
        culprits = self._several(element) or self._single(element)
        for culprit in culprits:
            if self._is_late():
                return
            others = [one for one in culprits if one is not culprit]
            with _without(others):
                yield from list(self._within(culprit)) or [_fault(culprit)]
        if not culprits:
            yield from self._attributes(element)

    def _anywhere(self) -> Iterator[SchemaFault]:
        """The one element, however deep, without which all is valid: what it stands in may be needed."""
        for element in list(self._root.iterdescendants(etree.Element)):
            if self._is_late():
                return
            with _without([element]):
                valid = self._is_valid()
            if valid:
                yield _fault(element)
                return

    def _single(self, element: etree._Element) -> list[etree._Element]:
        """The child without which all is valid."""
        for child in list(element.iterchildren(etree.Element)):
            with _without([child]):
                if self._is_valid():
                    return [child]
            if self._is_late():
                break
        return []

    def _several(self, element: etree._Element) -> list[etree._Element]:
        """The children that are wrong each by itself, where the element can be without any of them."""
        children = list(element.iterchildren(etree.Element))
        optional = [child for child in children if child.tag not in _NEEDED]
        wrong = []
        with _without(optional):
            if not self._is_valid():
                return []
            for child in optional:
                if self._is_late():
                    return []
                # Among those that stay, where it stood.
                place = sum(1 for one in children[: children.index(child)] if one.tag in _NEEDED)
                element.insert(place, child)
                if not self._is_valid():
                    wrong.append(child)
                element.remove(child)
        return wrong

    def _attributes(self, element: etree._Element) -> Iterator[SchemaFault]:
        given = list(element.attrib.items())
        name = next((name for name, _value in given if self._is_valid_without(element, name)), None)
        # In their order.
        element.attrib.clear()
        element.attrib.update(given)
        if name is not None:
            yield _fault(element, f"@{etree.QName(name).localname}")

    def _is_valid_without(self, element: etree._Element, name: str | bytes) -> bool:
        if self._is_late():
            return False
        value = element.attrib.pop(name)
        valid = self._is_valid()
        element.set(name, value)
        return valid

    def _is_valid(self) -> bool:
        return bool(self._schema.validate(self._root))

    def _is_late(self) -> bool:
        return time.monotonic() > self._until


def _fault(element: etree._Element, attribute: str = "") -> SchemaFault:
    steps = [etree.QName(step).localname for step in [element, *element.iterancestors()]][:-1]
    return SchemaFault(what="/".join(reversed(steps)) + attribute, line=_line(element))


def _line(element: etree._Element) -> int:
    line = element.sourceline
    return line if isinstance(line, int) else 0


@contextmanager
def _without(elements: list[etree._Element]) -> Iterator[None]:
    """The document without these, which have parents, for as long as it is looked at."""
    places = [(parent, parent.index(one), one) for one in elements if (parent := one.getparent()) is not None]
    for parent, _index, element in reversed(places):
        parent.remove(element)
    try:
        yield
    finally:
        for parent, index, element in places:
            parent.insert(index, element)
