"""A storage pool's XML as frozen values, https://libvirt.org/formatstorage.html."""

from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_at, child_at, parse_document, text_at

# Volumes that prove whether storage is shared, and live for seconds; nobody is shown them.
PROBE_PREFIX = ".vmportal-probe-"


def is_probe(volume_name: str) -> bool:
    return volume_name.startswith(PROBE_PREFIX)


@dataclass(frozen=True, kw_only=True)
class ParsedStoragePool:
    """What calls do not tell: its type, where its volumes are, and where they come from."""

    pool_type: str = ""
    target_path: str = ""
    # One line, the same for the same source on every host: "nas1:/export", "mon1,mon2:images", "/dev/sdb1", "vg0".
    source: str = ""


def parse_storage_pool(xml: str) -> ParsedStoragePool:
    """Raises: ValueError when it is not well-formed."""
    root = parse_document(xml)
    return ParsedStoragePool(
        pool_type=attribute_at(root, "", "type"),
        target_path=text_at(root, "target/path"),
        source=_source(child_at(root, "source")),
    )


def _source(source: etree._Element | None) -> str:
    if source is None:
        return ""
    hosts = ",".join(sorted(filter(None, (_host(host) for host in source.iterchildren("host")))))
    devices = ",".join(sorted(filter(None, (device.get("path", "") for device in source.iterchildren("device")))))
    directory = attribute_at(source, "dir", "path")
    # Gluster has a volume's name and a directory in it.
    place = "/".join(filter(None, (text_at(source, "name"), directory.lstrip("/"))))
    if not text_at(source, "name"):
        place = directory
    what = place or devices or attribute_at(source, "adapter", "name")
    return f"{hosts}:{what}" if hosts else what


def _host(host: etree._Element) -> str:
    port = host.get("port", "")
    return f"{host.get('name', '')}:{port}" if port else host.get("name", "")
