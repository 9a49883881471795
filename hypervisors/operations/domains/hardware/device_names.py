"""What devices are called, for the titles of operations and for the pages."""

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

TYPE_NAMES: dict[str, str | Promise] = {
    "disk": _("Disk"),
    "cdrom": _("CD drive"),
    "floppy": _("Floppy drive"),
    "filesystem": _("Shared directory"),
    "interface": _("Network card"),
    "graphics": _("Screen"),
    "video": _("Video card"),
    "sound": _("Sound card"),
    "input": _("Input device"),
    "serial": _("Serial port"),
    "parallel": _("Parallel port"),
    "console": _("Text console"),
    "channel": _("Channel"),
    "vsock": _("Virtual socket"),
    "redirdev": _("USB redirection"),
    "smartcard": _("Smart card"),
    "hostdev_usb": _("USB device"),
    "hostdev_pci": _("PCI device"),
    "hostdev_mdev": _("Mediated device"),
    "tpm": _("TPM"),
    "rng": _("Random numbers"),
    "watchdog": _("Watchdog"),
    "panic": _("Panic notifier"),
    "memory": _("Memory module"),
    "memballoon": _("Memory balloon"),
    "shmem": _("Shared memory"),
    "iommu": _("IOMMU"),
    "lease": _("Lease"),
    "controller": _("Controller"),
    "other": _("Other"),
}
# An identity begins with the device's element; of these its second part is what people know one by.
_TOLD_BY_IDENTITY = ("disk", "interface")


def name_by_identity(device_id: str) -> str:
    """ "Disk vda", "Screen": of "disk:vda", "graphics:vnc:0"."""
    tag, _colon, rest = device_id.partition(":")
    kind = TYPE_NAMES.get("other" if tag == "hostdev" else tag, TYPE_NAMES["other"])
    if tag == "hostdev":
        return gettext("Device of the host")
    if tag not in _TOLD_BY_IDENTITY or not rest:
        return str(kind)
    return gettext("%(kind)s %(which)s") % {"kind": kind, "which": rest}
