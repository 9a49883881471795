"""A domain's XML as somebody pasted it: read safely, and given a UUID."""

from dataclasses import dataclass
from uuid import UUID

from lxml import etree

from hypervisors.libvirtxml.typed_documents import read_typed


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


def _root(xml: str) -> etree._Element:
    return read_typed(xml, root="domain")
