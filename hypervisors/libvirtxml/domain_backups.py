"""The XML of a backup job: what is on some disks at one moment, as new files, https://libvirt.org/formatbackup.html."""

from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree


@dataclass(frozen=True, kw_only=True)
class BackupTarget:
    """A disk ("vda"), and the file that is made of it."""

    disk: str
    path: str
    format: str = "qcow2"


def build_backup(targets: Sequence[BackupTarget], *, others: Sequence[str] = ()) -> str:
    """A push job; `others` are the domain's other disks, which it leaves out."""
    root = etree.Element("domainbackup", mode="push")
    disks = etree.SubElement(root, "disks")
    for target in targets:
        disk = etree.SubElement(disks, "disk", name=target.disk, backup="yes", type="file")
        etree.SubElement(disk, "target", file=target.path)
        etree.SubElement(disk, "driver", type=target.format)
    for name in others:
        etree.SubElement(disks, "disk", name=name, backup="no")
    return etree.tostring(root, encoding="unicode")
