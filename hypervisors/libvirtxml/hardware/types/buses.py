"""Controllers, inputs and the IOMMU, https://libvirt.org/formatdomain.html#controllers."""

from lxml import etree

from hypervisors.libvirtxml.hardware.fields import Field, Values, when
from hypervisors.libvirtxml.hardware.paths import remove_at
from hypervisors.libvirtxml.hardware.types.device_type import DeviceType, no_address
from hypervisors.libvirtxml.hardware.types.words import ON_OFF, VIRTIO_MODELS

_TYPES = ("scsi", "usb", "virtio-serial", "pci", "sata", "ide", "fdc", "ccid", "isa")
_PCI_MODELS = (
    "pcie-root", "pcie-root-port", "pcie-to-pci-bridge", "pcie-switch-upstream-port", "pcie-switch-downstream-port",
    "pcie-expander-bus", "dmi-to-pci-bridge", "pci-root", "pci-bridge", "pci-expander-bus",
)  # fmt: skip
_USB_MODELS = (
    "qemu-xhci", "nec-xhci", "ehci", "ich9-ehci1", "ich9-uhci1", "ich9-uhci2", "ich9-uhci3", "piix3-uhci", "piix4-uhci",
    "vt82c686b-uhci", "pci-ohci", "none",
)  # fmt: skip
_SCSI_MODELS = (
    "virtio-scsi", "virtio-transitional", "virtio-non-transitional", "lsilogic", "lsisas1068", "lsisas1078",
    "vmpvscsi", "ibmvscsi", "am53c974", "dc390",
)  # fmt: skip
_PORTS = {"usb": 15, "virtio-serial": 512}

_CONTROLLER_FIELDS = (
    Field("type", "@type", "choice", choices=_TYPES, required=True),
    Field("index", "@index", "number", maximum=255),
    Field("pci_model", "@model", "choice", choices=_PCI_MODELS, only_if=when(type="pci"), required=True),
    Field("usb_model", "@model", "choice", choices=_USB_MODELS, only_if=when(type="usb")),
    Field("scsi_model", "@model", "choice", choices=_SCSI_MODELS, only_if=when(type="scsi")),
    Field("serial_model", "@model", "choice", choices=VIRTIO_MODELS, only_if=when(type="virtio-serial")),
    Field("ports", "@ports", "number", minimum=1, maximum=512, only_if=when(type=("usb", "virtio-serial"))),
    Field("vectors", "@vectors", "number", maximum=2048, only_if=when(type="virtio-serial")),
    Field("queues", "driver/@queues", "number", minimum=1, maximum=256, only_if=when(type="scsi")),
    Field("commands_per_lun", "driver/@cmd_per_lun", "number", minimum=1, maximum=2**31 - 1, only_if=when(type="scsi")),
    Field("max_sectors", "driver/@max_sectors", "number", minimum=1, maximum=2**31 - 1, only_if=when(type="scsi")),
    Field("iothread", "driver/@iothread", "number", minimum=1, only_if=when(type="scsi")),
    Field("hotplug", "target/@hotplug", "flag", choices=ON_OFF, default=True, only_if=when(type="pci")),
)

_INPUT_FIELDS = (
    Field("type", "@type", "choice", choices=("tablet", "mouse", "keyboard", "passthrough", "evdev"), required=True),
    Field(
        "bus",
        "@bus",
        "choice",
        choices=("usb", "virtio", "ps2"),
        only_if=when(type=("tablet", "mouse", "keyboard", "passthrough")),
        required=True,
    ),
    Field("model", "@model", "choice", choices=VIRTIO_MODELS, only_if=when(bus="virtio")),
    Field("passed_device", "source/@evdev", "path", only_if=when(type="passthrough"), required=True),
    Field("event_device", "source/@dev", "path", only_if=when(type="evdev"), required=True),
    Field("grab", "source/@grab", "choice", choices=("all",), only_if=when(type="evdev")),
    Field("repeat", "source/@repeat", "flag", choices=ON_OFF, only_if=when(type="evdev")),
)

_IOMMU_FIELDS = (
    Field("model", "@model", "choice", choices=("intel", "virtio", "smmuv3"), required=True),
    Field("interrupt_remapping", "driver/@intremap", "flag", choices=ON_OFF, only_if=when(model="intel")),
    Field("caching_mode", "driver/@caching_mode", "flag", choices=ON_OFF, only_if=when(model="intel")),
    Field("extended_interrupts", "driver/@eim", "flag", choices=ON_OFF, only_if=when(model="intel")),
    Field("device_tlb", "driver/@iotlb", "flag", choices=ON_OFF, only_if=when(model="intel")),
    Field("address_bits", "driver/@aw_bits", "number", minimum=39, maximum=64, only_if=when(model="intel")),
)


def _check_controller(values: Values) -> None:
    most = _PORTS.get(str(values["type"]))
    if most and int(values.get("ports") or 0) > most:
        raise ValueError(f"A controller of this type has at most {most} ports.")


def _check_input(values: Values) -> None:
    if values.get("bus") == "ps2" and values["type"] == "tablet":
        raise ValueError("A tablet is on USB or virtio; PS/2 has a mouse and a keyboard.")
    if values["type"] == "passthrough" and values.get("bus") != "virtio":
        raise ValueError("An input of the host is passed through on virtio.")


def _check_iommu(values: Values) -> None:
    if values.get("extended_interrupts") and not values.get("interrupt_remapping"):
        raise ValueError("Extended interrupts need interrupt remapping.")


def _settle_controller(element: etree._Element, before: Values, after: Values) -> None:
    no_address("type", "pci_model", "usb_model", "scsi_model", "serial_model")(element, before, after)
    # What libvirt wrote of a PCI controller (its model's name, chassis, port) belongs to the model that it was.
    if before.get("pci_model") and before["pci_model"] != after.get("pci_model"):
        for written in ("model/@name", "target/@chassis", "target/@port", "target/@chassisNr", "target/@busNr"):
            remove_at(element, written)


BUSES = (
    DeviceType(
        key="controller",
        tag="controller",
        fields=_CONTROLLER_FIELDS,
        identity=(("@type", "@index"),),
        check=_check_controller,
        settle=_settle_controller,
        summary=("type", "pci_model", "usb_model", "scsi_model", "index"),
    ),
    DeviceType(
        key="input",
        tag="input",
        fields=_INPUT_FIELDS,
        identity=(("@bus", "@type"), ("@type",)),
        is_counted=True,
        check=_check_input,
        settle=no_address("bus", "type"),
        summary=("type", "bus"),
    ),
    DeviceType(
        key="iommu",
        tag="iommu",
        fields=_IOMMU_FIELDS,
        is_counted=True,
        most=1,
        check=_check_iommu,
        settle=no_address("model"),
        summary=("model",),
    ),
)
