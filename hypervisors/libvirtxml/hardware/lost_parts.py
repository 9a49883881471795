"""What libvirt dropped of a definition without a word: what it does not know, and comments always."""

from collections.abc import Iterator

from lxml import etree

from hypervisors.libvirtxml.hardware.definitions import parse_device
from hypervisors.libvirtxml.hardware.device_types import device_type_of
from hypervisors.libvirtxml.hardware.paths import read_at
from hypervisors.libvirtxml.hardware.sections import SECTIONS, values_of
from hypervisors.libvirtxml.hardware.values import read_value

# Attributes that tell elements of one name from each other, in any of libvirt's documents.
_TELLING = ("name", "id", "type", "index", "address", "mac", "ip", "dev", "port", "model", "bus", "vcpu", "cellid")
_MOST_LINES = 100
_MOST_COMPARED = 64


def lost_parts(typed_xml: str, kept_xml: str) -> tuple[str, ...]:
    """A line for each element, attribute and comment that is not there any more. Any of libvirt's documents.

    What says the same without it, such as a default that libvirt leaves out, is not lost. Raises: ValueError.
    """
    typed, kept = parse_device(typed_xml), parse_device(kept_xml)
    lines = _lost(typed, kept, "")
    return tuple(line for line, _number in zip(lines, range(_MOST_LINES), strict=False))


def _lost(typed: etree._Element, kept: etree._Element, where: str) -> Iterator[str]:
    yield from _lost_below(typed, kept, where, "", _same_paths(typed, kept))


def _lost_below(typed: etree._Element, kept: etree._Element, where: str, path: str, same: set[str]) -> Iterator[str]:
    here = f"{where}/{typed.tag}" if where else str(typed.tag)
    for name in map(str, typed.attrib):
        if name not in kept.attrib and f"{path}@{name}" not in same:
            yield f"{here}: {name}={typed.get(name)!r}"[:200]
    if typed.text and typed.text.strip() and not (kept.text or "").strip() and path.rstrip("/") not in same:
        yield f"{here}: {typed.text.strip()!r}"[:200]
    left = _by_tag(kept)
    comments = {comment.text for comment in kept.iterchildren(etree.Comment)}
    for child in typed:
        if isinstance(child, etree._Comment) and child.text not in comments:
            yield f"{here}: <!--{(child.text or '')[:60]}-->"
        if not isinstance(child.tag, str):
            continue
        found = _counterpart(child, left.get(child.tag, []))
        below = f"{path}{child.tag}"
        if found is None:
            if below not in same:
                yield f"{here}: <{child.tag}{_told(child)}>"
            continue
        if typed.tag == "devices":
            yield from _lost(child, found, here)
        else:
            yield from _lost_below(child, found, here, f"{below}/", same)


def _by_tag(element: etree._Element) -> dict[str, list[etree._Element]]:
    """Its children, the last first: so that taking one of the next few costs nothing, however many there are."""
    found: dict[str, list[etree._Element]] = {}
    for child in element.iterchildren(etree.Element, reversed=True):
        found.setdefault(str(child.tag), []).append(child)
    return found


def _counterpart(typed: etree._Element, left: list[etree._Element]) -> etree._Element | None:
    """The element that it became, taken from those that are left: the one that is most like it among the next few."""
    if not left:
        return None
    first = max(0, len(left) - _MOST_COMPARED)
    place = max(range(len(left) - 1, first - 1, -1), key=lambda one: _likeness(typed, left[one]))
    return left.pop(place)


def _likeness(typed: etree._Element, kept: etree._Element) -> int:
    """How many of the telling attributes agree, its own and its children's; those that contradict count against it."""
    score = 0
    for path in (*(f"@{name}" for name in _TELLING), "target/@dev", "mac/@address", "target/@name", "source/@dir"):
        wanted, found = read_at(typed, path), read_at(kept, path)
        if wanted is not None and found is not None:
            score += 1 if wanted == found else -2
    return score


def _same_paths(typed: etree._Element, kept: etree._Element) -> set[str]:
    """The paths at which both say the same to a form, whatever stands there."""
    if typed.tag != "domain":
        fields = device_type_of(typed).fields
        return {field.path for field in fields if read_value(typed, field) == read_value(kept, field)}
    same = set()
    for section in SECTIONS.values():
        before, after = values_of(section, typed), values_of(section, kept)
        same |= {field.path for field in section.plain_fields if before.get(field.name) == after.get(field.name)}
    return same


def _told(element: etree._Element) -> str:
    name = next((name for name in _TELLING if element.get(name)), "")
    return f" {name}={element.get(name, '')[:60]!r}" if name else ""
