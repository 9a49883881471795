"""What of a network's XML reaches into its host: options that dnsmasq is run with, folders that it serves.

https://libvirt.org/formatnetwork.html#network-namespaces: by dnsmasq's options root's programs can be run on the host.
"""

import re

from lxml import etree

from hypervisors.libvirtxml.network_reader import network_root

_FOLDERS = frozenset({"tftp", "bootp"})
# What libvirt keeps and nobody reads.
_FREE_TEXT = frozenset({"metadata", "title", "description"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def reaches_into_host(xml: str, *, before: str = "") -> bool:
    """Whether there is such a thing in it that the XML `before` does not have. Raises: ValueError."""
    known = _parts(before) if before else set()
    return bool(_parts(xml) - known)


def check_lines(xml: str) -> None:
    """Raises: ValueError when a value in it is more than one line.

    libvirt writes a name or a text record into dnsmasq's configuration as it stands: the next line is another option.
    """
    for element in network_root(xml).iter(etree.Element):
        if any(parent.tag in _FREE_TEXT for parent in (element, *element.iterancestors())):
            continue
        values = [*element.attrib.values(), (element.text or "").strip()]
        if any(_CONTROL.search(str(value)) for value in values):
            raise ValueError(f"What <{etree.QName(element).localname}> says is one line, without control characters.")


def _parts(xml: str) -> set[str]:
    return {
        _shape(element)
        for element in network_root(xml).iter(etree.Element)
        if element.tag in _FOLDERS or str(element.tag).startswith("{http://libvirt.org/schemas/network/dnsmasq/")
    }


def _shape(element: etree._Element) -> str:
    """The same whatever the spaces and prefixes."""
    return repr((element.tag, sorted(element.attrib.items()), (element.text or "").strip(), list(map(_shape, element))))
