"""Our marker in a domain's metadata: that its system is being installed, by what, and since when.

It is an element of its own namespace, so that libvirt's virDomainSetMetadata sets and removes it without touching
anything else, https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainSetMetadata.
"""

from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.documents import number, parse_document

INSTALL_NAMESPACE = "urn:vmportal:install"
# The prefix under which libvirt writes it.
INSTALL_KEY = "vmportal-install"
_TAG = "install"


@dataclass(frozen=True, kw_only=True)
class InstallMarker:
    """`phase`: "installing", or "seeded" for a guest that only still has its cloud-init seed.

    `media`: the targets of its drives ("sda") that are emptied when the phase ends. `started_at`: epoch seconds; None
    while it was never started. `direct_kernel`: the first run boots a kernel that later ones do not.
    `operation`: the id of the operation that made it.
    """

    phase: str
    media: tuple[str, ...] = ()
    started_at: int | None = None
    direct_kernel: bool = False
    operation: str = ""


def build_install_marker(marker: InstallMarker, *, with_namespace: bool = True) -> str:
    """The element, as it stands in a domain's XML; virDomainSetMetadata adds the namespace by itself."""
    element = etree.Element(f"{{{INSTALL_NAMESPACE}}}{_TAG}", nsmap={INSTALL_KEY: INSTALL_NAMESPACE})
    if not with_namespace:
        element = etree.Element(_TAG)
    element.set("phase", marker.phase)
    element.set("media", " ".join(marker.media))
    if marker.started_at is not None:
        element.set("started", str(marker.started_at))
    if marker.direct_kernel:
        element.set("kernel", "yes")
    if marker.operation:
        element.set("operation", marker.operation)
    return etree.tostring(element, encoding="unicode")


def find_install_marker(domain_xml: str) -> InstallMarker | None:
    """That of a domain's XML; None when it has none. Raises: ValueError when the XML is not well-formed."""
    if INSTALL_NAMESPACE not in domain_xml:
        return None
    return _marker(parse_document(domain_xml).find(f"metadata/{{{INSTALL_NAMESPACE}}}{_TAG}"))


def _marker(element: etree._Element | None) -> InstallMarker | None:
    if element is None:
        return None
    return InstallMarker(
        phase=element.get("phase", ""),
        media=tuple(element.get("media", "").split()),
        started_at=number(element.get("started", "")),
        direct_kernel=element.get("kernel") == "yes",
        operation=element.get("operation", ""),
    )
