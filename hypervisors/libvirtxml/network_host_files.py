"""What of a network's XML reaches into its host: options that dnsmasq is run with, folders that it serves.

https://libvirt.org/formatnetwork.html#network-namespaces: by dnsmasq's options root's programs can be run on the host.
"""

from lxml import etree

from hypervisors.libvirtxml.network_reader import network_root

_FOLDERS = frozenset({"tftp", "bootp"})


def reaches_into_host(xml: str, *, before: str = "") -> bool:
    """Whether there is such a thing in it that the XML `before` does not have. Raises: ValueError."""
    known = _parts(before) if before else set()
    return bool(_parts(xml) - known)


def _parts(xml: str) -> set[str]:
    return {
        _shape(element)
        for element in network_root(xml).iter(etree.Element)
        if element.tag in _FOLDERS or str(element.tag).startswith("{http://libvirt.org/schemas/network/dnsmasq/")
    }


def _shape(element: etree._Element) -> str:
    """The same whatever the spaces and prefixes."""
    return repr((element.tag, sorted(element.attrib.items()), (element.text or "").strip(), list(map(_shape, element))))
