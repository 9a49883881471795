"""The drives of a domain's XML and the media in them, https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms."""

from collections.abc import Collection
from copy import deepcopy

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_at, child_at, parse_document

_DRIVES = ("cdrom", "floppy")
# Attributes of a source that say what is in the drive.
_NAMING = ("file", "dev", "dir", "volume", "name", "path")
# What goes with a medium: its format, and what it would be on top of.
_OF_THE_MEDIUM = ("source", "backingStore", "mirror")


def drives_with_media(domain_xml: str, targets: Collection[str]) -> list[etree._Element]:
    """Those of these targets that have one in. Raises: ValueError when the XML is not well-formed."""
    devices = child_at(parse_document(domain_xml), "devices")
    found = [] if devices is None else list(devices.iterchildren("disk"))
    return [
        disk
        for disk in found
        if disk.get("device") in _DRIVES
        and attribute_at(disk, "target", "dev") in targets
        and _has_medium(child_at(disk, "source"))
    ]


def _has_medium(source: etree._Element | None) -> bool:
    """libvirt leaves an element that names nothing in a running machine's empty drive."""
    return source is not None and any(name in source.attrib for name in _NAMING)


def without_medium(drive: etree._Element) -> str:
    """The drive's own XML, empty; all else of it stays."""
    empty = deepcopy(drive)
    for tag in _OF_THE_MEDIUM:
        for element in list(empty.iterchildren(tag)):
            empty.remove(element)
    return etree.tostring(empty, encoding="unicode")
