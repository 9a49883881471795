"""What is under a domain's disk, what is being made of it, and its definition with another file.

https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms, there backingStore and mirror.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_of, child_at, parse_document

_MOST_LAYERS = 200
_SOURCE_NAMES = ("file", "dev", "dir", "name", "pool", "volume", "protocol", "mode", "startupPolicy", "index")


@dataclass(frozen=True, kw_only=True)
class DiskLayer:
    """One image of a disk's chain; `path` is empty for what is neither a file nor a device."""

    path: str
    format: str


@dataclass(frozen=True, kw_only=True)
class DiskMirror:
    """What a job makes of a running disk: "copy", or "active-commit" into a file under it."""

    job: str
    path: str
    is_ready: bool


def disk_layers(live_xml: str, target: str) -> tuple[DiskLayer, ...]:
    """The images of a running disk, the one that is written to first; none where there is no such disk.

    What is under it is told of running domains only. Raises: ValueError when the XML is not well-formed.
    """
    disk = _find_disk(parse_document(live_xml), target)
    return () if disk is None else tuple(_layers(disk))


def disk_mirror(live_xml: str, target: str) -> DiskMirror | None:
    """Raises: ValueError when the XML is not well-formed."""
    disk = _find_disk(parse_document(live_xml), target)
    mirror = child_at(disk, "mirror")
    if mirror is None:
        return None
    return DiskMirror(
        job=mirror.get("job", "copy"), path=_path_of(child_at(mirror, "source")), is_ready=mirror.get("ready") == "yes"
    )


def is_whole_image(xml: str, target: str) -> bool:
    """Whether the disk is one plain image: neither encrypted by QEMU nor a part of a file."""
    disk = _find_disk(parse_document(xml), target)
    source = child_at(disk, "source")
    if disk is None or source is None:
        return False
    hidden = [one for parent in (disk, source) for one in parent.iterchildren("encryption", "slices")]
    return not hidden


def build_copy_destination(path: str, format_: str, *, is_block: bool) -> str:
    """The XML for virDomainBlockCopy."""
    disk = etree.Element("disk", type="block" if is_block else "file")
    etree.SubElement(disk, "driver", type=format_)
    etree.SubElement(disk, "source", {"dev" if is_block else "file": path})
    return etree.tostring(disk, encoding="unicode")


def with_disk_source(xml: str, target: str, *, path: str, format_: str, is_block: bool) -> str:
    """The definition with that image as the disk's; all else stays. Raises: ValueError when there is no such disk."""
    root = parse_document(xml)
    disk = _find_disk(root, target)
    source = child_at(disk, "source")
    if disk is None or source is None:
        raise ValueError(f"There is no disk {target} any more.")
    disk.set("type", "block" if is_block else "file")
    for name in _SOURCE_NAMES:
        if name in source.attrib:
            del source.attrib[name]
    source.set("dev" if is_block else "file", path)
    driver = child_at(disk, "driver")
    if driver is None:
        driver = etree.Element("driver", name="qemu")
        disk.insert(0, driver)
    driver.set("type", format_)
    for under in disk.findall("backingStore"):
        disk.remove(under)
    return etree.tostring(root, encoding="unicode")


def _layers(disk: etree._Element) -> Iterator[DiskLayer]:
    yield DiskLayer(path=_path_of(child_at(disk, "source")), format=attribute_of(child_at(disk, "driver"), "type"))
    under = child_at(disk, "backingStore")
    # An empty one ends the chain.
    for _ in range(_MOST_LAYERS):
        if under is None or child_at(under, "source") is None:
            return
        yield DiskLayer(
            path=_path_of(child_at(under, "source")), format=attribute_of(child_at(under, "format"), "type")
        )
        under = child_at(under, "backingStore")


def _path_of(source: etree._Element | None) -> str:
    return "" if source is None else source.get("file") or source.get("dev") or ""


def _find_disk(root: etree._Element, target: str) -> etree._Element | None:
    disks = root.iterfind("devices/disk")
    return next((disk for disk in disks if attribute_of(child_at(disk, "target"), "dev") == target), None)
