"""An element as a mapping from paths to texts, to compare two of them without regard to order of attributes."""

import re
from collections import Counter

from lxml import etree

_IN_BRACKETS = re.compile(r"\[[^\]]*\]")


def flattened(element: etree._Element, *, without: frozenset[str] = frozenset()) -> dict[str, str]:
    """ "driver/@cache" → "none"; an element that is there → "". The second of a name is "host[2]".

    Children that `without` names are left out. libxml2 has bounded the depth, so this recursion is too.
    """
    found: dict[str, str] = {}
    _flatten(element, "", found, without)
    return found


def plain_path(path: str) -> str:
    """The path without what stands in brackets, as a field's table has it."""
    return _IN_BRACKETS.sub("", path)


def _flatten(element: etree._Element, prefix: str, found: dict[str, str], without: frozenset[str]) -> None:
    for name, value in element.attrib.items():
        found[f"{prefix}@{name!s}"] = str(value)
    seen: Counter[str] = Counter()
    for child in element.iterchildren(etree.Element):
        tag = str(child.tag)
        if tag in without:
            continue
        seen[tag] += 1
        path = f"{prefix}{tag}" if seen[tag] == 1 else f"{prefix}{tag}[{seen[tag]}]"
        found[path] = (child.text or "").strip()
        _flatten(child, f"{path}/", found, frozenset())
