"""libvirt's names of devices in plain words; a name that is not known stays as it is."""

from django.utils.translation import gettext_lazy as _

# https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms, and `boot dev` of #bios-bootloader.
_DEVICES = {
    "disk": _("hard disk"),
    "hd": _("hard disk"),
    "cdrom": _("CD-ROM"),
    "floppy": _("floppy disk"),
    "fd": _("floppy disk"),
    "lun": _("hard disk, passed through"),
    "network": _("network"),
}
_BUSES = {"virtio": "VirtIO", "scsi": "SCSI", "sata": "SATA", "ide": "IDE", "usb": "USB", "fdc": "", "sd": "SD"}
_CONNECTIONS = {
    "network": _("network"),
    "bridge": _("bridge"),
    "direct": _("directly to"),
    "user": _("user-mode network"),
    "ethernet": _("host's interface"),
    "hostdev": _("host's network card"),
    "vhostuser": _("vhost-user socket"),
}


def device_word(device: str) -> str:
    """ "hard disk" for a disk's device or a boot device."""
    return str(_DEVICES.get(device, device))


def bus_word(bus: str) -> str:
    return _BUSES.get(bus, bus)


def connection_word(kind: str) -> str:
    """What a network card is plugged into."""
    return str(_CONNECTIONS.get(kind, kind))
