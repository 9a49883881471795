"""Where a domain's XML names a file or a volume, whatever for: disks, kernels, firmware variables, shared directories.

https://libvirt.org/formatdomain.html
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape, unescape

from lxml import etree

from hypervisors.libvirtxml.documents import parse_document

# What is in every machine and no volume.
_NEVER_VOLUMES = re.compile(r"/dev/(pts|net|vfio)/|/dev/(urandom|random|hwrng|null|kvm)$|/dev/tpm")
_PROGRAM_TAGS = frozenset({"emulator", "binary"})
_BACKING_TAGS = frozenset({"backingStore", "mirror"})
_UNREADABLE = "?"
_TOLD_PATH = re.compile(r"""['">]\s*(/[^'"<>]+)""")


@dataclass(frozen=True, kw_only=True)
class FileReference:
    """Something outside that a domain names: by `path` (absolute; of network storage as its XML says), or by the
    names of its storage pool and volume.

    `role` is what it is to the domain: "disk", "cdrom", "floppy", "lun", "backing" (a file under a disk), else the
    name of the element ("kernel", "nvram"); "?" where the XML cannot be read. `target` is a disk's ("vda"), `format`
    the one that the domain takes it for ("raw"; empty where nothing is said).
    """

    role: str
    path: str = ""
    storage_pool: str = ""
    volume: str = ""
    target: str = ""
    format: str = ""

    @property
    def words(self) -> str:
        """ "vda" or "kernel", as people are told."""
        return self.target or self.role

    @property
    def name(self) -> str:
        """What the file or volume is called, without where it is."""
        return self.volume or posixpath.basename(self.path)


def find_references(xml: str) -> tuple[FileReference, ...]:
    """All that it names, each once. XML that cannot be read still tells paths: what cannot be ruled out counts."""
    try:
        root = parse_document(xml)
    except ValueError:
        return tuple(dict.fromkeys(_told_references(xml)))
    found = (one for element in root.iter(etree.Element) for one in _references_of(element))
    return tuple(dict.fromkeys(found))


def volume_references(xml: str, *, path: str, storage_pool: str, volume: str) -> list[str]:
    """What the volume is to the domain: the target of each disk ("vda"), else the element's name ("kernel").

    It is named by its path, or by its storage pool and its name. Raises: ValueError when the XML is not well-formed.
    """
    parse_document(xml)
    wanted = posixpath.normpath(path) if path else None
    named = (storage_pool, volume) if volume else None
    found = (one for one in find_references(xml) if one.path == wanted or (one.storage_pool, one.volume) == named)
    return list(dict.fromkeys(one.words for one in found))


def is_backed_by(backing_path: str, path: str) -> bool:
    """Whether a volume's backing path, as libvirt says it, is the file at `path`.

    QEMU's "json:{…}" may name it in many ways: any that has the file's name in it counts.
    """
    if backing_path.startswith("json:"):
        return posixpath.basename(path) in backing_path
    return bool(backing_path) and posixpath.normpath(backing_path) == posixpath.normpath(path)


def text_in_xml(text: str) -> str:
    """As libvirt writes it into XML: what does not contain this does not name it."""
    return escape(text, {"'": "&apos;", '"': "&quot;"})


def _references_of(element: etree._Element) -> Iterator[FileReference]:
    if element.tag in _PROGRAM_TAGS:
        return
    role, target, format_ = _place(element)
    if element.get("pool") and element.get("volume"):
        names = {"storage_pool": element.get("pool", ""), "volume": element.get("volume", "")}
        yield FileReference(role=role, target=target, format=format_, **names)
    if element.get("protocol") and element.get("name"):
        yield FileReference(role=role, target=target, format=format_, path=element.get("name", ""))
    for path in _paths_of(element):
        if not _NEVER_VOLUMES.match(path):
            yield FileReference(role=role, target=target, format=format_, path=path)


def _paths_of(element: etree._Element) -> Iterator[str]:
    """As they are once links upwards are followed: "/dev/net/../sda" is no device of the network."""
    if element.tag == "source" and any(True for _disk in element.iterancestors("disk")):
        # QEMU runs in "/": there a disk's relative path begins.
        yield from (_absolute(path) for name in ("file", "dev", "dir") if (path := element.get(name, "").strip()))
        return
    for value in (element.text or "", *(str(value) for value in element.attrib.values())):
        if value.strip().startswith("/"):
            yield _absolute(value.strip())


def _absolute(path: str) -> str:
    """normpath() leaves two slashes at the beginning as they are."""
    return "/" + posixpath.normpath(path).lstrip("/")


def _place(element: etree._Element) -> tuple[str, str, str]:
    """Role, target and format of what this element names."""
    disk = element if element.tag == "disk" else next(element.iterancestors("disk"), None)
    if disk is None:
        return str(element.tag), "", ""
    target = disk.find("target")
    name = "disk" if target is None else target.get("dev", "disk")
    under = next((one for one in element.iterancestors() if one.tag in _BACKING_TAGS), None)
    if under is None:
        return disk.get("device", "disk"), name, _format(disk.find("driver"))
    return "backing", name, _format(under.find("format"))


def _format(element: etree._Element | None) -> str:
    return "" if element is None else element.get("type", "")


def _told_references(xml: str) -> Iterator[FileReference]:
    for told in _TOLD_PATH.findall(xml):
        path = _absolute(unescape(told.strip(), {"&apos;": "'", "&quot;": '"'}))
        if not _NEVER_VOLUMES.match(path):
            yield FileReference(role=_UNREADABLE, path=path)
