"""Reading an OVF descriptor's XML safely, whichever of the namespaces of OVF 1.x and 2.x it uses."""

from collections.abc import Iterator

from lxml import etree

MOST_BYTES = 4 * 1024**2
# OVF 1.x and 2.x, and what VMware wrote before the standard.
_NAMESPACES = (
    "http://schemas.dmtf.org/ovf/envelope/1",
    "http://schemas.dmtf.org/ovf/envelope/2",
)
_MOST_ELEMENTS = 20_000


def parse_envelope(content: bytes) -> etree._Element:
    """The <Envelope>. Raises: ValueError, fit for people."""
    if len(content) > MOST_BYTES:
        raise ValueError("The descriptor (.ovf) is larger than 4 MiB.")
    # A descriptor has no use for entities, and every attack through XML has.
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content or "<!DOCTYPE".encode("utf-16-le") in content:
        raise ValueError("The descriptor (.ovf) has a document type or entities, which none needs: it is refused.")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ValueError(f"The descriptor (.ovf) cannot be read: {error}") from error
    if etree.tostring(root.getroottree(), encoding="unicode").lstrip().startswith("<!DOCTYPE"):
        raise ValueError("The descriptor (.ovf) has a document type, which none needs: it is refused.")
    if etree.QName(root).localname != "Envelope" or etree.QName(root).namespace not in _NAMESPACES:
        raise ValueError("The descriptor is none of OVF 1 or 2.")
    if sum(1 for _element in root.iter()) > _MOST_ELEMENTS:
        raise ValueError("The descriptor (.ovf) has too many elements.")
    return root


def named(element: etree._Element | None, name: str) -> Iterator[etree._Element]:
    """The children of this local name, whatever their namespace."""
    if element is not None:
        yield from (child for child in element if isinstance(child.tag, str) and etree.QName(child).localname == name)


def first(element: etree._Element | None, name: str) -> etree._Element | None:
    return next(named(element, name), None)


def text(element: etree._Element | None, name: str, *, most: int = 4000) -> str:
    """The text of the first such child on one line; "" when there is none."""
    found = first(element, name)
    return "" if found is None else one_line("".join(str(part) for part in found.itertext()), most=most)


def attribute(element: etree._Element | None, name: str) -> str:
    """The attribute of this local name, whatever its namespace; "" when there is none."""
    if element is None:
        return ""
    return next((str(value) for key, value in element.attrib.items() if etree.QName(key).localname == name), "")


def one_line(value: str, *, most: int) -> str:
    """Without what is no visible text, and cut."""
    return " ".join("".join(one if one.isprintable() else " " for one in value).split())[:most]


def number(value: str) -> int | None:
    """A plain decimal number; None for anything else."""
    plain = value.strip()
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) <= 19 else None
