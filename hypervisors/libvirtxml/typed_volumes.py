"""A volume's XML as somebody wrote it, read strictly: libvirt is given what was understood, and nothing else.

libvirt takes whatever file a backing store names, and a directory for a volume. What is let through is what a volume
can be made of; https://libvirt.org/formatstorage.html#storage-volume-xml.
"""

import re
from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_at, child_at
from hypervisors.libvirtxml.storage_volumes import check_volume_name
from hypervisors.libvirtxml.typed_documents import MalformedXml, read_typed, written

FORMATS = ("qcow2", "raw")
# What each element may hold; of those that are not here nothing is looked at, as they hold text.
_PARTS = {
    "volume": frozenset({"name", "key", "capacity", "allocation", "physical", "target", "backingStore"}),
    "target": frozenset(
        {"path", "format", "permissions", "timestamps", "encryption", "compat", "nocow", "clusterSize", "features"}
    ),
    "backingStore": frozenset({"path", "format", "permissions", "timestamps"}),
    "permissions": frozenset({"mode", "owner", "group", "label"}),
    "timestamps": frozenset({"atime", "mtime", "ctime", "btime"}),
    "features": frozenset({"lazy_refcounts", "extended_l2"}),
    "encryption": frozenset({"secret", "cipher", "ivgen"}),
}
_TYPES = ("", "file", "block")
# libvirt's own, in whatever case: "k" and "KiB" are 1024, "KB" is 1000.
_UNITS = {"": 1, "b": 1, "byte": 1, "bytes": 1}
for _power, _letter in enumerate("kmgtpe", start=1):
    _UNITS |= {_letter: 1024**_power, f"{_letter}ib": 1024**_power, f"{_letter}b": 1000**_power}
# What of an encryption goes into options of qemu-img.
_PLAIN = re.compile(r"[A-Za-z0-9-]{0,30}")
_MOST_BYTES = 2**60


@dataclass(frozen=True, kw_only=True)
class TypedVolume:
    """`xml` is written anew, without what only people read. `allocation_bytes` None: libvirt takes the whole size."""

    xml: str
    name: str
    format: str
    capacity_bytes: int
    allocation_bytes: int | None = None
    # What it says where it lies; "": it leaves that to libvirt.
    path: str = ""
    backing_path: str = ""
    backing_format: str = ""
    # "luks" or "", and what names the secret.
    encryption: str = ""
    secret_uuid: str = ""
    secret_usage: str = ""

    @property
    def root(self) -> etree._Element:
        return read_typed(self.xml)

    @property
    def reserved_bytes(self) -> int:
        """What the storage has to have at once."""
        if self.format != "raw":
            return 0
        wanted = self.capacity_bytes if self.allocation_bytes is None else self.allocation_bytes
        return min(wanted, self.capacity_bytes)


def read_typed_volume(text: str) -> TypedVolume:
    """Raises: MalformedXml, fit for people."""
    root = read_typed(text, root="volume")
    etree.strip_tags(root, etree.Comment, etree.ProcessingInstruction)
    _check_element(root)
    if root.get("type", "") not in _TYPES:
        raise MalformedXml("A volume is made as a file, or where the storage pool keeps them: leave its type out.", 1)
    name = _text(root, "name")
    try:
        check_volume_name(name)
    except ValueError as error:
        raise _at(child_at(root, "name"), str(error)) from error
    capacity_bytes, allocation_bytes = _capacity(root), _size(root, "allocation")
    return TypedVolume(
        # Sizes are bytes in it by now.
        xml=written(root),
        name=name,
        format=_format(root),
        capacity_bytes=capacity_bytes,
        allocation_bytes=allocation_bytes,
        path=_text(root, "target/path"),
        **_backing(root),
        **_encryption(root),
    )


def comparable(xml: str) -> str:
    """Without what libvirt does and never shows. Raises: ValueError."""
    root = read_typed(xml)
    target = child_at(root, "target")
    if target is not None:
        for element in target.findall("nocow"):
            target.remove(element)
    return written(root)


def _check_element(element: etree._Element) -> None:
    """Raises: MalformedXml for what libvirt might understand otherwise than we do."""
    allowed, seen = _PARTS.get(str(element.tag), frozenset()), set()
    for child in element.iterchildren(etree.Element):
        tag = str(child.tag)
        if tag not in allowed:
            raise _at(child, f"<{tag[:60]}> has no place in <{element.tag}> of a volume that is to be made.")
        if tag in seen:
            raise _at(child, f"<{element.tag}> has more than one <{tag}>.")
        seen.add(tag)
        _check_element(child)


def _format(root: etree._Element) -> str:
    found = attribute_at(root, "target/format", "type")
    if found not in FORMATS:
        place = child_at(root, "target/format")
        raise _at(place, "Say its format, <target><format type='…'/></target>: qcow2 or raw is made here.")
    return found


def _capacity(root: etree._Element) -> int:
    found = _size(root, "capacity")
    if found is None:
        raise MalformedXml("Say its size: <capacity unit='GiB'>…</capacity>.", 1)
    return found


def _size(root: etree._Element, tag: str) -> int | None:
    element = child_at(root, tag)
    if element is None:
        return None
    unit, text = _UNITS.get(element.get("unit", "").lower()), (element.text or "").strip()
    if unit is None or not text.isdecimal() or not text.isascii():
        raise _at(element, f"<{tag}> is a whole number in one of libvirt's units, such as GiB.")
    found = int(text[:20]) * unit
    if len(text) > 20 or found > _MOST_BYTES:
        raise _at(element, f"<{tag}> is more than any storage holds.")
    element.text = str(found)
    element.set("unit", "bytes")
    return found


def _backing(root: etree._Element) -> dict[str, str]:
    element = child_at(root, "backingStore")
    if element is None:
        return {}
    path, format_ = _text(root, "backingStore/path"), attribute_at(root, "backingStore/format", "type")
    if not path:
        raise _at(element, "<backingStore> names no <path>: leave it out where it is on top of nothing.")
    if not format_:
        raise _at(element, "Say the format of what it is on top of: without it QEMU would take that for raw.")
    return {"backing_path": path, "backing_format": format_}


def _encryption(root: etree._Element) -> dict[str, str]:
    element = child_at(root, "target/encryption")
    if element is None:
        return {}
    secret = child_at(element, "secret")
    if element.get("format") != "luks" or secret is None or secret.get("type") != "passphrase":
        raise _at(element, "What is encrypted here is LUKS, with one <secret type='passphrase' uuid='…'/>.")
    for child in element.iterchildren("cipher", "ivgen"):
        if not all(_PLAIN.fullmatch(str(value)) for value in child.attrib.values()):
            raise _at(child, f"<{child.tag}> names algorithms by letters and digits.")
    return {
        "encryption": "luks",
        "secret_uuid": secret.get("uuid", "").lower(),
        "secret_usage": secret.get("usage", ""),
    }


def _text(root: etree._Element, path: str) -> str:
    """As it stands there, spaces and all: libvirt takes it so."""
    found = child_at(root, path)
    return "" if found is None else found.text or ""


def _at(element: etree._Element | None, text: str) -> MalformedXml:
    line = 1 if element is None else element.sourceline
    return MalformedXml(text, line if isinstance(line, int) else 1)
