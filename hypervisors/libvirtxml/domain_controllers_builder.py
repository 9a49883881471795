"""The controllers of a new domain, https://libvirt.org/pci-hotplug.html: free ports for what is plugged in later."""

from lxml import etree

from hypervisors.libvirtxml.domain_spec import DomainSpec
from hypervisors.libvirtxml.elements import add


def add_controllers(devices: etree._Element, spec: DomainSpec) -> None:
    if spec.usb:
        _add_usb(devices, spec.usb)
    if spec.scsi_controller or any(disk.bus == "scsi" for disk in spec.disks):
        add(devices, "controller", type="scsi", model="virtio-scsi")
    if spec.agent_channel:
        add(devices, "controller", type="virtio-serial")
    if spec.is_pci_express:
        _add_ports(devices, spec)


def _add_usb(devices: etree._Element, model: str) -> None:
    add(devices, "controller", type="usb", index=0, model=model, ports=15 if model == "qemu-xhci" else None)
    if model == "ich9-ehci1":
        # USB 2 alone: slow devices, such as a tablet, are its companions'.
        for number, port in enumerate((0, 2, 4), start=1):
            companion = add(devices, "controller", type="usb", index=0, model=f"ich9-uhci{number}")
            add(companion, "master", startport=port)


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
