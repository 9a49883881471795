"""XML that a person typed or pasted: read as data, never trusted, and where it breaks is said by its line."""

import re
from collections import Counter
from collections.abc import Iterator

from lxml import etree

from hypervisors.libvirtxml.documents import parse_document

MOST_BYTES = 512 * 1024
_DECLARED_ENCODING = re.compile(r"""\A\ufeff?\s*<\?xml\b[^>]*?\bencoding\s*=\s*["']([^"']*)["']""")
# What brings entities and other files in; refused before a parser sees it.
_DECLARATIONS = ("<!DOCTYPE", "<!ENTITY")


# What libvirt fills in, moves or renames by itself: that it differs says nothing.
_LIBVIRTS_OWN = frozenset({"address", "alias", "seclabel", "currentMemory", "uuid", "controller", "id"})
_OF_WHAT_RUNS = frozenset({"id", "connections"})


class MalformedXml(ValueError):
    """`line` is where, counted from one; 0 where it is about the whole. The text is fit for people."""

    def __init__(self, text: str, line: int = 0) -> None:
        super().__init__(text)
        self.line = line


def read_typed(xml: str, *, root: str = "") -> etree._Element:
    """The root element, which must be of that name. Raises: MalformedXml."""
    _check_text(xml)
    try:
        found = parse_document(xml)
    except ValueError as error:
        raise _as_malformed(error) from error
    if found.getroottree().docinfo.internalDTD is not None or next(found.iter(etree.Entity), None) is not None:
        raise MalformedXml("XML for libvirt has no document type and no entities.")
    if root and found.tag != root:
        raise MalformedXml(f"This is the XML of <{found.tag}>; what belongs here begins with <{root}>.", 1)
    return found


def written(root: etree._Element) -> str:
    """The element as text: nothing of the typed text's own syntax is left."""
    return etree.tostring(root, encoding="unicode", with_tail=False)


def dropped_by_libvirt(typed: str, kept: str) -> list[str]:
    """What is in the one and not in the other, as paths: "devices/disk/geometry", "features/hyperv/x@state"."""
    missing = Counter(_paths(read_typed(typed))) - Counter(_paths(parse_document(kept)))
    return sorted(missing)


def _check_text(xml: str) -> None:
    """What can be refused without a parser. Raises: MalformedXml."""
    if not xml.strip():
        raise MalformedXml("There is no XML.", 1)
    if len(xml.encode(errors="surrogatepass")) > MOST_BYTES:
        raise MalformedXml(f"The XML is longer than {MOST_BYTES // 1024} KiB.")
    for declaration in _DECLARATIONS:
        if declaration in xml:
            raise MalformedXml(
                "XML for libvirt has no document type and no entities.", xml[: xml.index(declaration)].count("\n") + 1
            )
    declared = _DECLARED_ENCODING.match(xml)
    # It is text by now: another encoding would only hide from us what the parser then reads.
    if declared is not None and declared[1].lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
        raise MalformedXml(f"It claims the encoding “{declared[1][:40]}”; UTF-8 is read.", 1)


def _as_malformed(error: ValueError) -> MalformedXml:
    cause = error.__cause__
    if isinstance(cause, etree.XMLSyntaxError) and cause.lineno:
        said = re.sub(r", line \d+, column \d+.*$", "", str(cause.msg or ""))
        return MalformedXml(f"This XML cannot be read: line {cause.lineno}: {said}.", cause.lineno)
    return MalformedXml(str(error))


def _paths(root: etree._Element) -> Iterator[str]:
    for element in root.iter(etree.Element):
        steps = [step for step in reversed([element, *element.iterancestors()]) if step is not root]
        tags = [etree.QName(step).localname for step in steps]
        if any(tag in _LIBVIRTS_OWN for tag in tags):
            continue
        path = "/".join(tags)
        if path:
            yield path
        yield from (
            f"{path}@{etree.QName(name).localname}" for name in element.attrib if str(name) not in _OF_WHAT_RUNS
        )
