"""Words and forms that several devices share."""

from hypervisors.libvirtxml.hardware.fields import Field

ON_OFF = ("on", "off")
VIRTIO_MODELS = ("virtio", "virtio-transitional", "virtio-non-transitional")
# Where a PCI device is: domain, bus, slot and function.
PCI_DOMAIN = r"0x[0-9a-fA-F]{1,4}|0|[1-9][0-9]{0,3}"
PCI_BUS = r"0x[0-9a-fA-F]{1,2}|0|[1-9][0-9]?"
PCI_SLOT = r"0x[01]?[0-9a-fA-F]|[12]?[0-9]"
PCI_FUNCTION = r"(0x)?[0-7]"
UUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

BOOT_ORDER = Field("boot_order", "boot/@order", "number", minimum=1, maximum=255)
