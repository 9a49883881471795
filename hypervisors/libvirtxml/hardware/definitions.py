"""Domain XML that is edited in place: comments, namespaces and white space stay. A DTD is refused, and so is excess."""

from copy import deepcopy
from threading import local

from lxml import etree

# libvirt's protocol carries strings of 4 MiB at most (REMOTE_STRING_MAX).
_MOST_CHARACTERS = 4 * 2**20


class _Parsers(local):
    """A parser for each thread, that keeps what documents.py's leaves out. Depth and entities are libxml2's limits."""

    def __init__(self) -> None:
        self.parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, strip_cdata=False)


_parsers = _Parsers()


def parse_definition(xml: str) -> etree._Element:
    """The <domain>. Raises: ValueError when it is none, or cannot be read."""
    root = _parse(xml)
    if root.tag != "domain":
        raise ValueError("This is no virtual machine: its XML begins with <domain>.")
    return root


def parse_device(xml: str) -> etree._Element:
    """One device's element. Raises: ValueError when it cannot be read."""
    return _parse(xml)


def serialised(element: etree._Element) -> str:
    """Its XML, without what follows it."""
    return etree.tostring(element, encoding="unicode", with_tail=False)


def serialised_device(element: etree._Element) -> str:
    """The XML of one device, without the namespaces that the domain declares and it does not use."""
    alone = deepcopy(element)
    etree.cleanup_namespaces(alone)
    return serialised(alone)


def devices_of(root: etree._Element) -> etree._Element:
    """<devices>, made where it is missing."""
    found = root.find("devices")
    return etree.SubElement(root, "devices") if found is None else found


def device_elements(root: etree._Element) -> list[etree._Element]:
    """All devices; the emulator's path is none."""
    devices = root.find("devices")
    if devices is None:
        return []
    return [element for element in devices.iterchildren(etree.Element) if element.tag != "emulator"]


def _parse(xml: str) -> etree._Element:
    if len(xml) > _MOST_CHARACTERS:
        raise ValueError("This XML is larger than libvirt takes, which is 4 MiB.")
    try:
        root = etree.fromstring(xml.encode(), _parsers.parser)
    except (etree.XMLSyntaxError, UnicodeEncodeError) as error:
        raise ValueError(f"This XML cannot be read: {error}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise ValueError("This XML declares a document type, which no virtual machine has.")
    return root
