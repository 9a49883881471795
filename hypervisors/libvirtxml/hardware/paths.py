"""Reading and writing at a field's path, in place: what else stands in the element stays as it is."""

import re
from dataclasses import dataclass
from functools import lru_cache

from lxml import etree

_STEP = re.compile(r"(?P<tag>[\w:-]+)(\[@(?P<name>[\w:-]+)='(?P<value>[^']*)'\])?")


@dataclass(frozen=True, kw_only=True)
class _Step:
    tag: str
    name: str | None  # an attribute that the element must have …
    value: str | None  # … with this value

    def fits(self, element: etree._Element) -> bool:
        return self.name is None or element.get(self.name) == self.value


@lru_cache(maxsize=1024)
def split_path(path: str) -> tuple[tuple[_Step, ...], str]:
    """Its steps, and the attribute at its end; that is empty where the path names an element."""
    parts = path.split("/") if path else []
    attribute = parts.pop()[1:] if parts and parts[-1].startswith("@") else ""
    return tuple(_step(part) for part in parts), attribute


def element_at(element: etree._Element, path: str) -> etree._Element | None:
    """The first element at the path, whose attribute does not matter here."""
    return _find(element, split_path(path)[0])


def elements_at(element: etree._Element, path: str) -> list[etree._Element]:
    """All elements of the path's last step, below the first of the steps before it."""
    *before, last = split_path(path)[0]
    parent = _find(element, tuple(before))
    return [] if parent is None else [child for child in parent.iterchildren(last.tag) if last.fits(child)]


def read_at(element: etree._Element, path: str) -> str | None:
    """The text or attribute at the path; None when there is none."""
    steps, attribute = split_path(path)
    found = _find(element, steps)
    if found is None:
        return None
    return found.get(attribute) if attribute else (found.text or "").strip()


def write_at(element: etree._Element, path: str, text: str) -> None:
    """Set the text or attribute at the path; what is missing on the way is made."""
    attribute = split_path(path)[1]
    made = make_at(element, path)
    if attribute:
        made.set(attribute, text)
    else:
        made.text = text


def make_at(element: etree._Element, path: str) -> etree._Element:
    """The element at the path, made where it is missing."""
    for step in split_path(path)[0]:
        found = _find(element, (step,))
        element = append_child(element, _made(step)) if found is None else found
    return element


def remove_at(element: etree._Element, path: str) -> None:
    """Take out the attribute or element at the path, and the elements above it that this leaves empty."""
    steps, attribute = split_path(path)
    found = _find(element, steps)
    if found is None or (attribute and attribute not in found.attrib):
        return
    if attribute:
        del found.attrib[attribute]
    if attribute and (found is element or not _is_empty(found, steps[-1])):
        return
    _remove_upwards(element, found, steps)


def remove_if_empty(element: etree._Element, path: str) -> None:
    """Take out the element at the path, and those above it, where nothing stands in them."""
    steps = split_path(path)[0]
    found = _find(element, steps)
    if steps and found is not None and _is_empty(found, steps[-1]):
        _remove_upwards(element, found, steps)


def append_child(parent: etree._Element, child: etree._Element) -> etree._Element:
    """Put it at the end, indented as its siblings are."""
    inner = _indentation_inside(parent)
    if len(parent):
        child.tail, parent[-1].tail = parent[-1].tail, inner
    else:
        child.tail, parent.text = _indentation_before(parent), inner
    parent.append(child)
    return child


def remove_child(child: etree._Element) -> None:
    """Take it out with the white space before it; text between elements stays."""
    parent, before = child.getparent(), child.getprevious()
    if parent is None:
        return
    if before is not None:
        before.tail = child.tail
    elif len(parent) == 1 and not (parent.text or "").strip():
        parent.text = None
    elif len(parent) == 1:
        parent.text = (parent.text or "").rstrip() or None
    parent.remove(child)


def _remove_upwards(top: etree._Element, found: etree._Element, steps: tuple[_Step, ...]) -> None:
    for index in range(len(steps) - 1, -1, -1):
        parent = found.getparent()
        remove_child(found)
        if parent is None or parent is top or not _is_empty(parent, steps[index - 1]):
            return
        found = parent


def _find(element: etree._Element, steps: tuple[_Step, ...]) -> etree._Element | None:
    found: etree._Element | None = element
    for step in steps:
        if found is None:
            return None
        found = next((child for child in found.iterchildren(step.tag) if step.fits(child)), None)
    return found


def _is_empty(element: etree._Element, step: _Step) -> bool:
    """Nothing stands in it but what leads to it."""
    own = {step.name} if step.name else set()
    return not len(element) and not (element.text or "").strip() and set(element.attrib) <= own


def _made(step: _Step) -> etree._Element:
    return etree.Element(step.tag, {step.name: step.value or ""} if step.name else {})


def _step(part: str) -> _Step:
    matched = _STEP.fullmatch(part)
    if matched is None:
        raise AssertionError(f"“{part}” is no step of a field's path")
    return _Step(tag=matched["tag"], name=matched["name"], value=matched["value"])


def _indentation_before(element: etree._Element) -> str:
    """The line break and the spaces that stand before it."""
    previous, parent = element.getprevious(), element.getparent()
    text = previous.tail if previous is not None else parent.text if parent is not None else "\n"
    return text if text is not None and text.startswith("\n") and not text.strip() else "\n"


def _indentation_inside(parent: etree._Element) -> str:
    if len(parent) and parent.text and parent.text.startswith("\n") and not parent.text.strip():
        return parent.text
    return _indentation_before(parent) + "  "
