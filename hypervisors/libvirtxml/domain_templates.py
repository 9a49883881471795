"""A domain's XML made into that of a template, and back: our marker, and disks that cannot be written to."""

from dataclasses import replace

from lxml import etree

from hypervisors.libvirtxml.documents import parse_document
from hypervisors.libvirtxml.template_marker import (
    TEMPLATE_TAG,
    TemplateMarker,
    build_template_marker,
    find_template_marker,
)

# Those whose hard disks libvirt lets be read-only.
_BUSES = ("virtio", "scsi")


def freeze_domain(xml: str, marker: TemplateMarker) -> str:
    """Inactive XML with the marker; its hard disks are read-only from now on. Raises: ValueError."""
    root = parse_document(xml)
    frozen = []
    for disk in root.iterfind("devices/disk"):
        target = disk.find("target")
        is_data = disk.get("device", "disk") == "disk" and disk.find("source") is not None
        if not is_data or target is None or target.get("bus") not in _BUSES:
            continue
        if disk.find("readonly") is None:
            etree.SubElement(disk, "readonly")
            frozen.append(target.get("dev", ""))
    metadata = root.find("metadata")
    if metadata is None:
        metadata = etree.Element("metadata")
        root.insert(2, metadata)
    for former in metadata.findall(TEMPLATE_TAG):
        metadata.remove(former)
    metadata.append(build_template_marker(replace(marker, frozen=tuple(frozen))))
    return etree.tostring(root, encoding="unicode")


def thaw_domain(xml: str) -> str:
    """The same without the marker, and with disks that can be written to again. Raises: ValueError."""
    root = parse_document(xml)
    metadata = root.find("metadata")
    marker = find_template_marker(metadata)
    for disk in root.iterfind("devices/disk"):
        target = disk.find("target")
        if marker is not None and target is not None and target.get("dev") in marker.frozen:
            for readonly in disk.findall("readonly"):
                disk.remove(readonly)
    if metadata is not None:
        for former in metadata.findall(TEMPLATE_TAG):
            metadata.remove(former)
    return etree.tostring(root, encoding="unicode")
