"""A storage pool's XML as frozen values, https://libvirt.org/formatstorage.html."""

from dataclasses import dataclass

from hypervisors.libvirtxml.documents import attribute_at, parse_document, text_at


@dataclass(frozen=True, kw_only=True)
class ParsedStoragePool:
    """What calls do not tell: its type and where its volumes are."""

    pool_type: str = ""
    target_path: str = ""


def parse_storage_pool(xml: str) -> ParsedStoragePool:
    """Raises: ValueError when it is not well-formed."""
    root = parse_document(xml)
    return ParsedStoragePool(pool_type=attribute_at(root, "", "type"), target_path=text_at(root, "target/path"))
