"""What a disk's image is on top of, stated in its XML, https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms.

Where the XML says nothing, libvirt believes what the image's header says, and whoever writes the bytes writes that.
"""

from collections.abc import Sequence

from lxml import etree

from hypervisors.libvirtxml.device_specs import BackingSpec
from hypervisors.libvirtxml.documents import parse_document
from hypervisors.libvirtxml.domain_disks_builder import add_backing

# They belong to the image that was in it before.
_OF_THE_IMAGE = ("backingStore", "mirror")


def with_chain(disk_xml: str, chain: Sequence[BackingSpec]) -> str:
    """The disk, saying which images are below its own, and that there are no more. Raises: ValueError."""
    disk = parse_document(disk_xml)
    for tag in _OF_THE_IMAGE:
        for element in disk.findall(tag):
            disk.remove(element)
    add_backing(disk, tuple(chain))
    return etree.tostring(disk, encoding="unicode")
