"""A host's devices as libvirt lists them, https://libvirt.org/formatnode.html, and its interfaces, formatinterface."""

from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_at, child_at, number, parse_document, text_at


@dataclass(frozen=True, kw_only=True)
class ParsedNodeDevice:
    """One device. `host_device` is what domain_devices calls it where a guest has it: "pci 0000:03:00.0"."""

    name: str
    # "pci", "usb_device", "net", "scsi", "scsi_host", "storage", "mdev", …
    capability: str
    parent: str = ""
    vendor: str = ""
    product: str = ""
    driver: str = ""
    iommu_group: int | None = None
    host_device: str = ""
    # Of USB devices, by their models: guests may name them so.
    host_device_model: str = ""
    # Of network interfaces: its name, and what is known of its link.
    interface: str = ""
    mac: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def parse_node_device(xml: str) -> ParsedNodeDevice | None:
    """None for what is no device that people look for. Raises: ValueError when it is not well-formed."""
    root = parse_document(xml)
    capability = child_at(root, "capability")
    if capability is None or capability.get("type") not in _READERS:
        return None
    kind = capability.get("type", "")
    return ParsedNodeDevice(
        name=text_at(root, "name"),
        capability=kind,
        parent=text_at(root, "parent"),
        driver=text_at(root, "driver/name"),
        **_READERS[kind](capability),
    )


def parse_interface(xml: str) -> ParsedNodeDevice:
    """An interface of the host's own, as a device. Raises: ValueError."""
    root = parse_document(xml)
    name = root.get("name", "")
    members = root.findall("bridge/interface") + root.findall("bond/interface")
    details = {
        "kind": root.get("type", ""),
        "state": attribute_at(root, "link", "state"),
        "speed_mbit": number(attribute_at(root, "link", "speed")),
        "mtu": number(attribute_at(root, "mtu", "size")),
        "members": [one.get("name", "") for one in members],
    }
    return ParsedNodeDevice(
        name=f"interface_{name}",
        capability="net",
        interface=name,
        mac=attribute_at(root, "mac", "address"),
        details={key: value for key, value in details.items() if value},
    )


def _pci(capability: etree._Element) -> dict[str, Any]:
    parts = [number(text_at(capability, tag)) or 0 for tag in ("domain", "bus", "slot", "function")]
    types = [one.get("type", "") for one in capability.iterchildren("capability")]
    details: dict[str, Any] = {"functions": [name for name in types if name]}
    mdev = capability.findall("capability[@type='mdev_types']/type")
    details["mdev_types"] = [one.get("id", "") for one in mdev]
    group = attribute_at(capability, "iommuGroup", "number")
    return {
        **_names(capability),
        "host_device": "pci {:04x}:{:02x}:{:02x}.{:x}".format(*parts),
        "iommu_group": number(group) if group else None,
        "details": {key: value for key, value in details.items() if value},
    }


def _usb(capability: etree._Element) -> dict[str, Any]:
    bus, device = (number(text_at(capability, tag)) or 0 for tag in ("bus", "device"))
    model = [attribute_at(capability, tag, "id").removeprefix("0x") for tag in ("vendor", "product")]
    return {
        **_names(capability),
        "host_device": f"usb {bus:03}:{device:03}",
        "host_device_model": f"usb {model[0]}:{model[1]}",
    }


def _net(capability: etree._Element) -> dict[str, Any]:
    details = {
        "state": attribute_at(capability, "link", "state"),
        "speed_mbit": number(attribute_at(capability, "link", "speed")),
    }
    return {
        "interface": text_at(capability, "interface"),
        "mac": text_at(capability, "address"),
        "details": {key: value for key, value in details.items() if value},
    }


def _scsi(capability: etree._Element) -> dict[str, Any]:
    parts = [text_at(capability, tag) for tag in ("host", "bus", "target", "lun")]
    return {"product": text_at(capability, "type"), "details": {"address": ":".join(parts)}}


def _storage(capability: etree._Element) -> dict[str, Any]:
    details = {
        "block": text_at(capability, "block"),
        "size_bytes": number(text_at(capability, "size")),
        "serial": text_at(capability, "serial"),
    }
    return {
        "vendor": text_at(capability, "vendor"),
        "product": text_at(capability, "model") or text_at(capability, "drive_type"),
        "details": {key: value for key, value in details.items() if value},
    }


def _mdev(capability: etree._Element) -> dict[str, Any]:
    uuid, group = text_at(capability, "uuid"), attribute_at(capability, "iommuGroup", "number")
    return {
        "product": attribute_at(capability, "type", "id"),
        "host_device": f"mdev {uuid}" if uuid else "",
        "iommu_group": number(group) if group else None,
    }


def _scsi_host(capability: etree._Element) -> dict[str, Any]:
    return {"product": f"host{text_at(capability, 'host')}"}


def _names(capability: etree._Element) -> dict[str, Any]:
    """The makers' words, else their numbers."""
    return {tag: text_at(capability, tag) or attribute_at(capability, tag, "id") for tag in ("vendor", "product")}


_READERS: dict[str, Any] = {
    "pci": _pci,
    "usb_device": _usb,
    "net": _net,
    "scsi": _scsi,
    "scsi_host": _scsi_host,
    "storage": _storage,
    "mdev": _mdev,
}
