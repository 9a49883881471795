"""Passwords that libvirt leaves out of the XML that it shows: put back into what somebody made of that.

Without VIR_DOMAIN_XML_SECURE libvirt leaves out displays' passwords and disks' cookies, and XML that was edited as it
was shown, and is defined so, would lose them. What is missing is found by comparing both of libvirt's texts, not by a
list: https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainXMLFlags.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field

from lxml import etree

from hypervisors.libvirtxml.documents import parse_document
from hypervisors.libvirtxml.typed_documents import written


@dataclass(frozen=True, kw_only=True)
class Restored:
    """`lost` names the elements, as paths, whose secrets have no place any more in what was typed."""

    xml: str
    lost: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Secret:
    """What `shown` lacks: attributes of the element, and children of it."""

    shown: etree._Element
    attributes: dict[str, str] = field(default_factory=dict)
    children: tuple[etree._Element, ...] = ()


def restore_secrets(typed: str, *, shown: str, secure: str) -> Restored:
    """The typed XML with the secrets of `secure`, which is what `shown` was made of.

    An element that says what it said gets its secret back; so does one that was changed, if it is the only one of its
    tag and type on either side. A secret that is typed, or an attribute typed empty, stands. Raises: ValueError.
    """
    root, shown_root = parse_document(typed), parse_document(shown)
    lost = []
    taken: set[etree._Element] = set()
    secrets = list(_secrets(shown_root, parse_document(secure)))
    for secret in secrets:
        place = _place_of(secret.shown, root, shown_root, taken)
        if place is None:
            lost.append(_path(secret.shown))
            continue
        taken.add(place)
        _put(secret, place)
    return Restored(xml=written(root), lost=tuple(lost))


def _secrets(shown: etree._Element, secure: etree._Element) -> Iterator[_Secret]:
    """What is in `secure` alone. Both are of one definition, in the same order."""
    attributes = {str(name): str(value) for name, value in secure.attrib.items() if name not in shown.attrib}
    pairs, hidden = _paired(shown, secure)
    if attributes or hidden:
        yield _Secret(shown=shown, attributes=attributes, children=tuple(hidden))
    for one, other in pairs:
        yield from _secrets(one, other)


def _paired(
    shown: etree._Element, secure: etree._Element
) -> tuple[list[tuple[etree._Element, etree._Element]], list[etree._Element]]:
    """The children that are in both, and those of `secure` that are not in `shown`."""
    left = list(shown.iterchildren(etree.Element))
    pairs, hidden = [], []
    for child in secure.iterchildren(etree.Element):
        if left and left[0].tag == child.tag and _is_part(left[0], child):
            pairs.append((left.pop(0), child))
        else:
            hidden.append(child)
    return pairs, hidden


def _is_part(shown: etree._Element, secure: etree._Element) -> bool:
    return all(secure.get(name) == value for name, value in shown.attrib.items())


def _place_of(
    secret: etree._Element, root: etree._Element, shown_root: etree._Element, taken: set[etree._Element]
) -> etree._Element | None:
    path = _path(secret)
    typed = [one for one in root.iterfind(path) if one not in taken] if path else [root]
    told = _said(secret)
    same = [one for one in typed if _said(one) == told]
    if same:
        return same[0]
    alike = [one for one in typed if _type(one) == _type(secret)]
    before = [one for one in shown_root.iterfind(path) if _type(one) == _type(secret)] if path else [shown_root]
    return alike[0] if len(alike) == len(before) == 1 else None


def _put(secret: _Secret, place: etree._Element) -> None:
    for name, value in secret.attributes.items():
        if name not in place.attrib:
            place.set(name, value)
        elif not place.get(name):
            # Typed empty: it is meant to go.
            del place.attrib[name]
    for child in secret.children:
        if place.find(child.tag) is None:
            place.append(deepcopy(child))


def _said(element: etree._Element) -> bytes:
    """The same for elements that say the same, however they are written."""
    copy = deepcopy(element)
    for one in copy.iter(etree.Element):
        one.tail = None
        one.text = (one.text or "").strip() or None
    return bytes(etree.tostring(copy, method="c14n"))


def _type(element: etree._Element) -> tuple[str, str]:
    return str(element.tag), element.get("type", "")


def _path(element: etree._Element) -> str:
    """ "devices/graphics"; "" for the root."""
    steps = [str(step.tag) for step in [element, *element.iterancestors()]][:-1]
    return "/".join(reversed(steps))
