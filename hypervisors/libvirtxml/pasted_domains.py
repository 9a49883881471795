"""A domain's XML as somebody pasted it: read safely, given a UUID, and compared with what libvirt has kept of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from lxml import etree

from hypervisors.libvirtxml.documents import parse_document
from hypervisors.libvirtxml.typed_documents import read_typed

# What libvirt fills in, moves or renames by itself: that it differs says nothing.
_LIBVIRTS_OWN = frozenset({"address", "alias", "seclabel", "currentMemory", "uuid", "controller", "id"})


@dataclass(frozen=True, kw_only=True)
class PastedDomain:
    """`uuid` None: it names none."""

    name: str
    uuid: UUID | None
    macs: tuple[str, ...]


def read_pasted_domain(xml: str) -> PastedDomain:
    """Raises: ValueError, fit for people."""
    root = _root(xml)
    name = (root.findtext("name") or "").strip()
    if not name:
        raise ValueError("The XML names no machine: it has no <name>.")
    text = (root.findtext("uuid") or "").strip()
    try:
        uuid = UUID(text) if text else None
    except ValueError:
        raise ValueError(f"“{text[:60]}” is no UUID.") from None
    macs = (mac.get("address", "").lower() for mac in root.iterfind("devices/interface/mac"))
    return PastedDomain(name=name, uuid=uuid, macs=tuple(mac for mac in macs if mac))


def with_uuid(xml: str, uuid: UUID) -> str:
    """The same machine with this UUID, written anew: nothing of the text's own syntax is left."""
    root = _root(xml)
    element = root.find("uuid")
    if element is None:
        element = etree.Element("uuid")
        root.insert(0, element)
    element.text = str(uuid)
    return etree.tostring(root, encoding="unicode")


def dropped_by_libvirt(pasted: str, kept: str) -> list[str]:
    """What is in the one and not in the other, as paths: "devices/disk/geometry", "features/hyperv/x@state"."""
    missing = Counter(_paths(_root(pasted))) - Counter(_paths(parse_document(kept)))
    return sorted(missing)


def _root(xml: str) -> etree._Element:
    return read_typed(xml, root="domain")


def _paths(root: etree._Element) -> Iterator[str]:
    for element in root.iter(etree.Element):
        steps = [step for step in reversed([element, *element.iterancestors()]) if step is not root]
        tags = [etree.QName(step).localname for step in steps]
        if any(tag in _LIBVIRTS_OWN for tag in tags):
            continue
        path = "/".join(tags)
        if path:
            yield path
        yield from (f"{path}@{etree.QName(name).localname}" for name in element.attrib if str(name) != "id")
