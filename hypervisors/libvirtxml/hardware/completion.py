"""What a device needs and was not given, chosen before libvirt sees it: so that it is one device, live and stored."""

from collections.abc import Collection
from secrets import token_bytes

from lxml import etree

from hypervisors.libvirtxml.hardware.paths import read_at, write_at
from hypervisors.libvirtxml.hardware.targets import free_target

# QEMU's own prefix.
_MAC_PREFIX = (0x52, 0x54, 0x00)


def complete(element: etree._Element, others: Collection[etree._Element]) -> None:
    """Give it the names it lacks, that none of the others has. Raises: ValueError when one that it has is taken."""
    if element.tag == "disk":
        _complete_target(element, [other for other in others if other.tag == "disk"])
    elif element.tag == "interface":
        _complete_mac(element)


def _complete_target(disk: etree._Element, others: Collection[etree._Element]) -> None:
    taken = {read_at(other, "target/@dev") or "" for other in others}
    target = read_at(disk, "target/@dev")
    if not target:
        write_at(disk, "target/@dev", free_target(read_at(disk, "target/@bus") or "virtio", taken))
    elif target in taken:
        raise ValueError(f"Another disk is called {target} already.")


def _complete_mac(interface: etree._Element) -> None:
    if not read_at(interface, "mac/@address"):
        address = (*_MAC_PREFIX, *token_bytes(3))
        write_at(interface, "mac/@address", ":".join(f"{byte:02x}" for byte in address))
