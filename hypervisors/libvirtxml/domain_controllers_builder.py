"""The controllers of a new domain, https://libvirt.org/pci-hotplug.html: free ports for what is plugged in later."""

from lxml import etree

from hypervisors.libvirtxml.domain_spec import DomainSpec
from hypervisors.libvirtxml.elements import add


def add_controllers(devices: etree._Element, spec: DomainSpec) -> None:
    if spec.usb:
        add(devices, "controller", type="usb", model=spec.usb, ports=15 if spec.usb == "qemu-xhci" else None)
    if spec.scsi_controller or any(disk.bus == "scsi" for disk in spec.disks):
        add(devices, "controller", type="scsi", model="virtio-scsi")
    if spec.agent_channel:
        add(devices, "controller", type="virtio-serial")
    if spec.is_pci_express:
        _add_ports(devices, spec)


def _add_ports(devices: etree._Element, spec: DomainSpec) -> None:
    add(devices, "controller", type="pci", model="pcie-root")
    for _port in range(used_ports(spec) + spec.spare_root_ports):
        add(devices, "controller", type="pci", model="pcie-root-port")
    if spec.legacy_pci_bridge:
        add(devices, "controller", type="pci", model="pcie-to-pci-bridge")


def used_ports(spec: DomainSpec) -> int:
    """How many PCI Express root ports the devices take that the spec names."""
    is_arm = spec.arch == "aarch64"
    return sum((
        sum(disk.bus == "virtio" for disk in spec.disks),
        sum(interface.model in ("virtio", "e1000e", "vmxnet3", "igb") for interface in spec.interfaces),
        bool(spec.usb),
        spec.scsi_controller or any(disk.bus == "scsi" for disk in spec.disks),
        spec.agent_channel or any(graphics.kind == "spice" for graphics in spec.graphics),
        spec.balloon,
        spec.rng,
        spec.legacy_pci_bridge,
        # On x86 the screen is a device of the root complex.
        is_arm and bool(spec.graphics) and spec.video == "virtio",
    ))  # fmt: skip
