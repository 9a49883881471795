"""A network filter's XML, https://libvirt.org/formatnwfilter.html: which of a guest's packets pass."""

import re
from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.definitions import digest_of, indented, root_of
from hypervisors.libvirtxml.documents import text_at
from hypervisors.libvirtxml.elements import add

# What libvirt's schema says of a filter's name.
_NAME = re.compile(r"[A-Za-z0-9_.:\[\]-]+", re.ASCII)
_MOST_NAME_CHARACTERS = 200


@dataclass(frozen=True, kw_only=True)
class ParsedNetworkFilter:
    """What lists show of it. `references` are the names of filters that it takes in."""

    name: str = ""
    uuid: str = ""
    chain: str = "root"
    priority: str = ""
    rule_count: int = 0
    references: tuple[str, ...] = ()


def parse_network_filter(xml: str) -> ParsedNetworkFilter:
    """Raises: ValueError when it is not a filter's."""
    root = _filter(xml)
    references = (one.get("filter", "") for one in root.iterchildren("filterref"))
    return ParsedNetworkFilter(
        name=root.get("name", ""),
        uuid=text_at(root, "uuid"),
        chain=root.get("chain", "root"),
        priority=root.get("priority", ""),
        rule_count=sum(1 for _ in root.iterchildren("rule")),
        references=tuple(dict.fromkeys(filter(None, references))),
    )


def build_network_filter(name: str) -> str:
    """One to begin with: it lets everything pass that is not refused by a rule that somebody writes."""
    root = etree.Element("filter", name=name, chain="root")
    rule = add(root, "rule", action="drop", direction="in", priority="500")
    add(rule, "tcp", dstportstart="23")
    return indented(root)


def with_filter_uuid(xml: str, uuid: str) -> str:
    """The same filter under this UUID. Raises: ValueError."""
    root = _filter(xml)
    for old in list(root.iterchildren("uuid")):
        root.remove(old)
    element = etree.Element("uuid")
    element.text = uuid
    root.insert(0, element)
    return indented(root)


def filter_digest(xml: str) -> str:
    """The same for the same filter, whatever the spaces between its elements; SHA-256. Raises: ValueError."""
    return digest_of(_filter(xml))


def filter_name_problem(name: str) -> str:
    if _NAME.fullmatch(name) and len(name) <= _MOST_NAME_CHARACTERS:
        return ""
    return "A filter's name is made of letters, digits and _ . : [ ] -."


def _filter(xml: str) -> etree._Element:
    return root_of(xml, "filter", "network filter")
