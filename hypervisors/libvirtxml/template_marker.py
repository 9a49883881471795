"""What makes a domain a template: an element of ours in its metadata, which outlives our database.

It is `<vmportal:template xmlns:vmportal="urn:vmportal:template:1" name="debian" version="2">`, with `<vmportal:frozen
target="vda"/>` for each disk that became read-only with it, and is not any more once it is a machine again.
https://libvirt.org/formatdomain.html#general-metadata
"""

from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.documents import number

TEMPLATE_NAMESPACE = "urn:vmportal:template:1"
TEMPLATE_TAG = f"{{{TEMPLATE_NAMESPACE}}}template"
_FROZEN = f"{{{TEMPLATE_NAMESPACE}}}frozen"


@dataclass(frozen=True, kw_only=True)
class TemplateMarker:
    """`frozen`: the targets of its disks that are read-only only because it is a template."""

    name: str
    version: int = 1
    frozen: tuple[str, ...] = ()


def template_name(metadata: etree._Element | None) -> str:
    """The name of the template that it is; empty for a domain that is none."""
    marker = find_template_marker(metadata)
    return marker.name if marker else ""


def find_template_marker(metadata: etree._Element | None) -> TemplateMarker | None:
    """Of a domain's `<metadata>`. One without a name is called "?", so that it counts."""
    element = None if metadata is None else metadata.find(TEMPLATE_TAG)
    if element is None:
        return None
    frozen = tuple(one.get("target", "") for one in element.iterchildren(_FROZEN))
    version = number(element.get("version", "")) or 1
    return TemplateMarker(name=element.get("name") or "?", version=version, frozen=frozen)


def build_template_marker(marker: TemplateMarker) -> etree._Element:
    root = etree.Element(TEMPLATE_TAG, nsmap={"vmportal": TEMPLATE_NAMESPACE})
    root.set("name", marker.name)
    root.set("version", str(marker.version))
    for target in marker.frozen:
        etree.SubElement(root, _FROZEN).set("target", target)
    return root
