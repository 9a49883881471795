"""Where a domain's XML names a file or a volume, whatever for: disks, kernels, firmware variables, shared directories.

https://libvirt.org/formatdomain.html
"""

import posixpath
from xml.sax.saxutils import escape

from lxml import etree

from hypervisors.libvirtxml.documents import parse_document


def volume_references(xml: str, *, path: str, storage_pool: str, volume: str) -> list[str]:
    """What the volume is to the domain: the target of each disk ("vda"), else the element's name ("kernel").

    It is named by its path, or by its storage pool and its name. Raises: ValueError when the XML is not well-formed.
    """
    found: dict[str, None] = {}
    for element in parse_document(xml).iter(etree.Element):
        if _names_path(element, path) or _names_volume(element, storage_pool, volume):
            found[_role(element)] = None
    return list(found)


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


def _names_path(element: etree._Element, path: str) -> bool:
    if not path:
        return False
    wanted = posixpath.normpath(path)
    values = [element.text or "", *(str(value) for value in element.attrib.values())]
    return any(value.strip().startswith("/") and posixpath.normpath(value.strip()) == wanted for value in values)


def _names_volume(element: etree._Element, storage_pool: str, volume: str) -> bool:
    return element.get("pool") == storage_pool and element.get("volume") == volume


def _role(element: etree._Element) -> str:
    disk = element if element.tag == "disk" else next(element.iterancestors("disk"), None)
    target = None if disk is None else disk.find("target")
    return str(element.tag) if target is None else target.get("dev", "disk")
