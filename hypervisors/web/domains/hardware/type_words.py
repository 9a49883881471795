"""What each type of device is called and drawn as, and in which group of "Add hardware" it stands."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from hypervisors.libvirtxml.hardware.devices import Device
from hypervisors.operations.domains.hardware.device_names import TYPE_NAMES

STORAGE, NETWORK, DISPLAY, INPUT, CONNECTIONS, HOST, SECURITY, SYSTEM = (
    _("Storage"),
    _("Network"),
    _("Display and sound"),
    _("Input"),
    _("Lines to the guest"),
    _("Devices of the host"),
    _("Safety"),
    _("Inside the machine"),
)
GROUPS = (STORAGE, NETWORK, DISPLAY, INPUT, CONNECTIONS, HOST, SECURITY, SYSTEM)


@dataclass(frozen=True, kw_only=True)
class TypeWords:
    """`tells`: names of fields whose values tell one from another of its type; the first that has one counts."""

    name: str | Promise
    icon: str
    group: str | Promise
    about: str | Promise = ""
    tells: tuple[str, ...] = ()

    def told_by(self, device: Device) -> str:
        return told_by(device.values, self.tells)


def told_by(values: Mapping[str, object], names: tuple[str, ...]) -> str:
    """The first of these values that is there."""
    return next((str(values[name]) for name in names if values.get(name) not in (None, "", False)), "")


TYPES: dict[str, TypeWords] = {
    "disk": TypeWords(
        name=TYPE_NAMES["disk"], icon="database", group=STORAGE, about=_("a hard disk"), tells=("target_dev",)
    ),
    "cdrom": TypeWords(
        name=TYPE_NAMES["cdrom"], icon="disc", group=STORAGE, about=_("for ISO images"), tells=("target_dev",)
    ),
    "floppy": TypeWords(
        name=TYPE_NAMES["floppy"],
        icon="device-floppy",
        group=STORAGE,
        about=_("for old systems"),
        tells=("target_dev",),
    ),
    "filesystem": TypeWords(
        name=TYPE_NAMES["filesystem"],
        icon="folder-share",
        group=STORAGE,
        about=_("a directory of the host, seen in the guest"),
        tells=("target",),
    ),
    "interface": TypeWords(
        name=TYPE_NAMES["interface"],
        icon="network",
        group=NETWORK,
        about=_("plugged into a network or bridge"),
        tells=("mac",),
    ),
    "graphics": TypeWords(
        name=TYPE_NAMES["graphics"],
        icon="screen-share",
        group=DISPLAY,
        about=_("VNC or SPICE: what the console shows"),
        tells=("type",),
    ),
    "video": TypeWords(name=TYPE_NAMES["video"], icon="device-desktop", group=DISPLAY, tells=("model",)),
    "sound": TypeWords(name=TYPE_NAMES["sound"], icon="volume", group=DISPLAY, tells=("model",)),
    "input": TypeWords(
        name=TYPE_NAMES["input"], icon="keyboard", group=INPUT, about=_("tablet, mouse or keyboard"), tells=("type",)
    ),
    "serial": TypeWords(
        name=TYPE_NAMES["serial"],
        icon="terminal-2",
        group=CONNECTIONS,
        about=_("a text console, or a log"),
        tells=("target_port",),
    ),
    "parallel": TypeWords(name=TYPE_NAMES["parallel"], icon="printer", group=CONNECTIONS, tells=("target_port",)),
    "console": TypeWords(name=TYPE_NAMES["console"], icon="terminal", group=CONNECTIONS, tells=("target_port",)),
    "channel": TypeWords(
        name=TYPE_NAMES["channel"],
        icon="arrows-left-right",
        group=CONNECTIONS,
        about=_("for the guest agent, and SPICE's agent"),
        tells=("target_name",),
    ),
    "vsock": TypeWords(
        name=TYPE_NAMES["vsock"], icon="plug-connected", group=CONNECTIONS, about=_("sockets between host and guest")
    ),
    "redirdev": TypeWords(
        name=TYPE_NAMES["redirdev"],
        icon="usb",
        group=CONNECTIONS,
        about=_("USB devices of who watches by SPICE"),
    ),
    "smartcard": TypeWords(name=TYPE_NAMES["smartcard"], icon="id", group=CONNECTIONS, tells=("mode",)),
    "hostdev_usb": TypeWords(
        name=TYPE_NAMES["hostdev_usb"], icon="usb", group=HOST, about=_("of the host"), tells=("product", "device")
    ),
    "hostdev_pci": TypeWords(
        name=TYPE_NAMES["hostdev_pci"],
        icon="device-sim",
        group=HOST,
        about=_("of the host, passed through"),
        tells=("bus",),
    ),
    "hostdev_mdev": TypeWords(
        name=TYPE_NAMES["hostdev_mdev"],
        icon="device-sim",
        group=HOST,
        about=_("a part of a card, such as a vGPU"),
        tells=("uuid",),
    ),
    "tpm": TypeWords(
        name=TYPE_NAMES["tpm"],
        icon="shield-lock",
        group=SECURITY,
        about=_("Windows 11 asks for one"),
        tells=("version",),
    ),
    "rng": TypeWords(name=TYPE_NAMES["rng"], icon="dice", group=SECURITY, about=_("the guest starts faster with them")),
    "watchdog": TypeWords(
        name=TYPE_NAMES["watchdog"], icon="eye", group=SECURITY, about=_("resets a guest that hangs"), tells=("model",)
    ),
    "panic": TypeWords(
        name=TYPE_NAMES["panic"], icon="alert-octagon", group=SECURITY, about=_("tells when the guest crashes")
    ),
    "memory": TypeWords(
        name=TYPE_NAMES["memory"],
        icon="cpu-2",
        group=SYSTEM,
        about=_("memory that is plugged in while it runs"),
        tells=("model",),
    ),
    "memballoon": TypeWords(
        name=TYPE_NAMES["memballoon"], icon="arrows-maximize", group=SYSTEM, about=_("gives memory back to the host")
    ),
    "shmem": TypeWords(name=TYPE_NAMES["shmem"], icon="stack-2", group=SYSTEM, tells=("name",)),
    "iommu": TypeWords(name=TYPE_NAMES["iommu"], icon="shield", group=SYSTEM, tells=("model",)),
    "lease": TypeWords(
        name=TYPE_NAMES["lease"],
        icon="lock",
        group=SYSTEM,
        about=_("a lock that keeps it from running twice"),
        tells=("lease_key",),
    ),
    "controller": TypeWords(
        name=TYPE_NAMES["controller"], icon="binary-tree", group=SYSTEM, about=_("SCSI, USB, serial …"), tells=("type",)
    ),
    "other": TypeWords(name=TYPE_NAMES["other"], icon="code", group=SYSTEM),
}


def type_words(key: str) -> TypeWords:
    return TYPES.get(key, TYPES["other"])
