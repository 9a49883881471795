"""The hardware of an OVF descriptor: its <Item>s, of the kinds that CIM_ResourceAllocationSettingData numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from hypervisors.imaging.ovf_documents import attribute, first, named, number, one_line
from hypervisors.imaging.ovf_units import unit_bytes

CPU, MEMORY, IDE, SCSI, NETWORK_CARD, FLOPPY, CD, DVD, DISK, OTHER_STORAGE = 3, 4, 5, 6, 10, 14, 15, 16, 17, 20
SERIAL, USB, DISPLAY, SOUND = 21, 23, 24, 35
# What every virtual machine gets here anyway, whatever is said of it.
ALWAYS_THERE = frozenset({IDE, SCSI, OTHER_STORAGE, USB, DISPLAY, SERIAL})
_ITEMS = ("Item", "StorageItem", "EthernetPortItem")
_MOST_ITEMS = 500


@dataclass(frozen=True, kw_only=True)
class Item:
    """One of them, as it stands there."""

    identifier: str
    name: str
    kind: int
    subtype: str
    quantity: int | None
    unit: str
    parent: str
    position: int
    host_resource: str
    connection: str
    address: str

    @property
    def quantity_bytes(self) -> int | None:
        """Of memory. None for what cannot be read."""
        unit = unit_bytes(self.unit or "byte * 2^20")
        return None if self.quantity is None or unit is None else self.quantity * unit


def hardware_items(hardware: etree._Element, *, configuration: str) -> list[Item]:
    """Those of this configuration, and those of all. Raises: ValueError for more than anybody has."""
    found = [item for name in _ITEMS for item in named(hardware, name)]
    if len(found) > _MOST_ITEMS:
        raise ValueError("The descriptor (.ovf) lists too many devices.")
    return [_item(item) for item in found if _belongs(item, configuration)]


def _belongs(item: etree._Element, configuration: str) -> bool:
    wanted = attribute(item, "configuration").split()
    # Bounds say what other values would do.
    return not attribute(item, "bound") and (not wanted or configuration in wanted)


def _item(item: etree._Element) -> Item:
    fields = {etree.QName(child).localname: _text(child) for child in _first_of_each(item)}
    return Item(
        identifier=fields.get("InstanceID", ""),
        name=fields.get("ElementName", "") or fields.get("Caption", ""),
        kind=number(fields.get("ResourceType", "")) or 0,
        subtype=fields.get("ResourceSubType", ""),
        quantity=number(fields.get("VirtualQuantity", "")),
        unit=fields.get("AllocationUnits", "") or fields.get("VirtualQuantityUnits", ""),
        parent=fields.get("Parent", ""),
        position=number(fields.get("AddressOnParent", "")) or 0,
        host_resource=fields.get("HostResource", ""),
        connection=fields.get("Connection", ""),
        address=fields.get("Address", ""),
    )


def _first_of_each(item: etree._Element) -> Iterator[etree._Element]:
    names = dict.fromkeys(etree.QName(child).localname for child in item if isinstance(child.tag, str))
    for name in names:
        found = first(item, name)
        if found is not None:
            yield found


def _text(element: etree._Element) -> str:
    return one_line(element.text or "", most=300)
