"""Words and forms that several devices share."""

from hypervisors.libvirtxml.hardware.fields import Field

ON_OFF = ("on", "off")
VIRTIO_MODELS = ("virtio", "virtio-transitional", "virtio-non-transitional")
HEX = r"(0x)?[0-9a-fA-F]{1,4}"
UUID = r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}"
NODES = r"[0-9,^-]{1,255}"  # "0-3,^2": numbers of CPUs or NUMA nodes

BOOT_ORDER = Field("boot_order", "boot/@order", "number", minimum=1, maximum=255)
