"""A storage volume's XML, built from a spec and parsed, https://libvirt.org/formatstorage.html#storage-volume-xml."""

from dataclasses import dataclass
from typing import Literal, get_args

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_of, child_at, children_of, number, parse_document, text_of

# "vmdk" only on the way to what is exported.
VolumeFormat = Literal["qcow2", "raw", "vmdk"]
# What is taken on the storage when it is made: nothing; qcow2's tables, so that writing is faster; its whole size.
Preallocation = Literal["off", "metadata", "full"]

# What file systems take.
_MAX_NAME_BYTES = 255


@dataclass(frozen=True, kw_only=True)
class VolumeSpec:
    """A volume to create. Raises: ValueError, fit for an operator, when it cannot be one.

    Format and allocation are always stated: libvirt's own defaults are qcow2 0.10 and full allocation. An overlay
    (`backing_path`) needs the format of what it is on top of: without it QEMU would take that for raw. It grows as it
    is written to: nothing is reserved for one.
    """

    name: str
    format: VolumeFormat
    capacity_bytes: int
    # What is reserved on the storage at once; qcow2 grows by itself whatever is said here.
    allocation_bytes: int = 0
    backing_path: str = ""
    backing_format: str = ""
    preallocation: Preallocation = "off"

    def __post_init__(self) -> None:
        check_volume_name(self.name)
        if self.format not in get_args(VolumeFormat):
            raise ValueError(f"A volume is made as qcow2 or raw, not as {self.format}.")
        if self.capacity_bytes < 0 or not 0 <= self.allocation_bytes <= max(self.capacity_bytes, 0):
            raise ValueError("A volume's size is not negative, and no more is reserved than its size.")
        if bool(self.backing_path) != bool(self.backing_format):
            raise ValueError("An overlay needs both the path and the format of what it is on top of.")
        if self.backing_path and self.format != "qcow2":
            raise ValueError("Only a qcow2 volume can be on top of another.")
        self._check_preallocation()

    def _check_preallocation(self) -> None:
        if self.preallocation not in get_args(Preallocation):
            raise ValueError(f"A volume is reserved off, metadata or full, not {self.preallocation}.")
        if self.preallocation == "metadata" and self.format != "qcow2":
            raise ValueError("Only a qcow2 volume has tables that can be made in advance.")
        if self.preallocation != "off" and self.backing_path:
            raise ValueError("A volume on top of another grows as it is written to; nothing of it is reserved.")

    @property
    def reserved_bytes(self) -> int:
        """What the storage must have at once."""
        return self.capacity_bytes if self.preallocation == "full" else self.allocation_bytes


@dataclass(frozen=True, kw_only=True)
class ParsedVolume:
    """What the XML tells; sizes as libvirt says them, however large."""

    name: str = ""
    key: str = ""
    path: str = ""
    volume_type: str = ""  # "file", "block", "dir", "network", "netdir", "ploop"
    format: str = ""
    capacity_bytes: int = 0
    allocation_bytes: int = 0
    physical_bytes: int | None = None  # the file's length; absent for an empty file
    backing_path: str = ""
    backing_format: str = ""
    # "luks" or "qcow"; empty: not encrypted. libvirt names the secret only until it reads the storage pool again.
    encryption: str = ""
    encryption_secret: str = ""  # its UUID
    # When its file was last changed (ctime): seconds with nanoseconds, as the file system says; empty for other kinds.
    changed_at: str = ""


def check_volume_name(name: str) -> None:
    """Raises: ValueError, fit for an operator."""
    if not name or name in (".", ".."):
        raise ValueError("A volume needs a name.")
    if "/" in name:
        raise ValueError("A volume's name has no “/”.")
    if not name.isprintable():
        raise ValueError("A volume's name is one line of printable characters.")
    if name != name.strip():
        raise ValueError("A volume's name does not begin or end with a space.")
    if len(name.encode(errors="surrogatepass")) > _MAX_NAME_BYTES:
        raise ValueError(f"A volume's name has at most {_MAX_NAME_BYTES} bytes.")


def build_volume(spec: VolumeSpec) -> str:
    """The XML for virStorageVolCreateXML. What is preallocated of qcow2 takes a flag of that call too."""
    root = etree.Element("volume")
    _add(root, "name", spec.name)
    _add(root, "capacity", str(spec.capacity_bytes), unit="bytes")
    _add(root, "allocation", str(spec.reserved_bytes), unit="bytes")
    target = etree.SubElement(root, "target")
    etree.SubElement(target, "format", type=spec.format)
    if spec.format == "qcow2":
        # libvirt's default, 0.10, knows no checkpoints and no lazy reference counts.
        _add(target, "compat", "1.1")
        etree.SubElement(etree.SubElement(target, "features"), "lazy_refcounts")
    if spec.backing_path:
        backing = etree.SubElement(root, "backingStore")
        _add(backing, "path", spec.backing_path)
        etree.SubElement(backing, "format", type=spec.backing_format)
    return etree.tostring(root, encoding="unicode", pretty_print=True)


def parse_volume(xml: str) -> ParsedVolume:
    """Raises: ValueError when it is not well-formed."""
    root = parse_document(xml)
    parts = children_of(root)
    target, backing = parts.get("target"), parts.get("backingStore")
    physical = parts.get("physical")
    return ParsedVolume(
        name=text_of(parts.get("name")),
        key=text_of(parts.get("key")),
        path=text_of(child_at(target, "path")),
        volume_type=root.get("type", ""),
        format=attribute_of(child_at(target, "format"), "type"),
        # libvirt writes bytes.
        capacity_bytes=number(text_of(parts.get("capacity"))) or 0,
        allocation_bytes=number(text_of(parts.get("allocation"))) or 0,
        physical_bytes=None if physical is None else number(text_of(physical)),
        backing_path=text_of(child_at(backing, "path")),
        backing_format=attribute_of(child_at(backing, "format"), "type"),
        encryption=attribute_of(child_at(target, "encryption"), "format"),
        encryption_secret=attribute_of(child_at(target, "encryption/secret"), "uuid"),
        changed_at=text_of(child_at(target, "timestamps/ctime")),
    )


def _add(parent: etree._Element, tag: str, text: str, **attributes: str) -> None:
    etree.SubElement(parent, tag, attributes).text = text
