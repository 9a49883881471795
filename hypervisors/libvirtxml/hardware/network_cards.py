"""A card on a network that is a bridge or a device of the host: libvirt writes it as on that while it runs.

<interface type='bridge'><source network='plain' bridge='br0'/>: given back to libvirt, it would leave its network.
"""

from copy import deepcopy

from lxml import etree

# What the running card got from its network.
_GOT = ("bridge", "dev", "mode", "portid")


def as_defined(device: etree._Element) -> etree._Element:
    """The card as its definition has it; any other device as it is."""
    source = device.find("source")
    if device.tag != "interface" or source is None or not source.get("network") or device.get("type") == "network":
        return device
    defined = deepcopy(device)
    defined.tail = None
    defined.set("type", "network")
    for source in defined.findall("source"):
        for name in _GOT:
            if name in source.attrib:
                del source.attrib[name]
    return defined
