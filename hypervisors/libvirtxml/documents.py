"""Reading libvirt's XML safely: no network, no entities, no DTD; and small readers of attributes and sizes."""

import threading

from lxml import etree

# https://libvirt.org/formatdomain.html#memory-allocation: the units of <memory unit="…">, in bytes.
_BYTES_PER_UNIT = {
    "b": 1,
    "bytes": 1,
    "KB": 10**3,
    "k": 2**10,
    "KiB": 2**10,
    "MB": 10**6,
    "M": 2**20,
    "MiB": 2**20,
    "GB": 10**9,
    "G": 2**30,
    "GiB": 2**30,
    "TB": 10**12,
    "T": 2**40,
    "TiB": 2**40,
}


class _Parsers(threading.local):
    """A parser for each thread: making one costs as much as parsing a domain."""

    def __init__(self) -> None:
        self.parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
        )


_parsers = _Parsers()


def parse_document(xml: str) -> etree._Element:
    """The root element. Raises: ValueError when it is not well-formed, or declares a document type."""
    try:
        root = etree.fromstring(xml.encode(), _parsers.parser)
    except (etree.XMLSyntaxError, UnicodeEncodeError) as error:
        raise ValueError(f"This XML cannot be read: {error}") from error
    # libvirt's parser reads what such a type declares, and ours does not: they must not see two different things.
    if "<!DOCTYPE" in xml and root.getroottree().docinfo.internalDTD is not None:
        raise ValueError("XML for libvirt has no document type and no entities.")
    return root


def child_at(element: etree._Element | None, path: str) -> etree._Element | None:
    """The first element at "a/b"; itself for the empty path. Faster than lxml's find()."""
    for tag in path.split("/") if path else ():
        if element is None:
            return None
        element = next(element.iterchildren(tag), None)
    return element


def text_at(element: etree._Element | None, path: str) -> str:
    """The text of the first element at `path`, stripped; empty when there is none."""
    found = child_at(element, path)
    return "" if found is None else (found.text or "").strip()


def attribute_at(element: etree._Element | None, path: str, name: str) -> str:
    """The attribute of the first element at `path` (empty path: of the element itself); empty when there is none."""
    found = child_at(element, path)
    return "" if found is None else found.get(name, "")


def children_of(element: etree._Element | None) -> dict[str, etree._Element]:
    """The first child of each name: cheaper than a search for each, where several are asked for."""
    if element is None:
        return {}
    return {str(child.tag): child for child in element.iterchildren(reversed=True)}


def attribute_of(element: etree._Element | None, name: str) -> str:
    """The attribute; empty when it or the element is missing."""
    return "" if element is None else element.get(name, "")


def text_of(element: etree._Element | None) -> str:
    """The text, stripped; empty when there is none."""
    return "" if element is None else (element.text or "").strip()


def number(text: str) -> int | None:
    """A decimal or 0x number; None for anything else."""
    try:
        return int(text.strip(), 0)
    except ValueError:
        return None


def size_kib(element: etree._Element | None) -> int:
    """The size that an element like <memory unit='MiB'>512</memory> states, in KiB; 0 when it states none."""
    if element is None:
        return 0
    return (size_bytes(element.text or "", element.get("unit", "KiB")) or 0) // 1024


def size_bytes(amount: str, unit: str) -> int | None:
    """What an amount in one of libvirt's units is; KiB where the unit is none of them. None where it is no number."""
    count = number(amount)
    return None if count is None else count * _BYTES_PER_UNIT.get(unit, 1024)
