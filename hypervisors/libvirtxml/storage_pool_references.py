"""Whether a domain's XML names anything in a storage pool: by the pool's name, or by a path in it.

https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms
"""

import posixpath
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.documents import parse_document
from hypervisors.libvirtxml.domain_references import text_in_xml


@dataclass(frozen=True, kw_only=True)
class StoragePoolPlace:
    """What a hypervisor calls a storage pool, and where its volumes are."""

    name: str
    target_path: str = ""
    volume_paths: frozenset[str] = frozenset()

    @property
    def directory(self) -> str:
        """The folder that is the storage pool's alone; "" for device nodes, which several have in one."""
        return "" if self.target_path.startswith("/dev") else self.target_path


def names_storage_pool(xml: str, place: StoragePoolPlace) -> bool:
    """Raises: ValueError when the XML is not well-formed."""
    if not any(text_in_xml(word) in xml for word in _words(place)):
        return False
    root = parse_document(xml)
    if any(element.get("pool") == place.name for element in root.iter("source")):
        return True
    return any(_is_in(path, place) for path in _paths(root))


def _words(place: StoragePoolPlace) -> Iterator[str]:
    yield place.name
    if place.directory:
        yield place.directory
    else:
        yield from place.volume_paths


def _paths(root: etree._Element) -> Iterator[str]:
    for element in root.iter(etree.Element):
        for value in (element.text or "", *(str(value) for value in element.attrib.values())):
            if value.strip().startswith("/"):
                yield posixpath.normpath(value.strip())


def _is_in(path: str, place: StoragePoolPlace) -> bool:
    if path in place.volume_paths:
        return True
    return bool(place.directory) and path.startswith(posixpath.normpath(place.directory) + "/")


def is_any_named(xml: str, places: Collection[StoragePoolPlace]) -> bool:
    """Of XML that cannot be read: whether it mentions one at all."""
    try:
        return any(names_storage_pool(xml, place) for place in places)
    except ValueError:
        return any(text_in_xml(word) in xml for place in places for word in _words(place))
