"""Devices of the host that a guest gets, https://libvirt.org/formatdomain.html#host-device-assignment.

And what is redirected to it from a person's own machine.
"""

from hypervisors.libvirtxml.hardware.fields import Field, Values, when
from hypervisors.libvirtxml.hardware.types.device_type import DeviceType
from hypervisors.libvirtxml.hardware.types.words import (
    BOOT_ORDER,
    ON_OFF,
    PCI_BUS,
    PCI_DOMAIN,
    PCI_FUNCTION,
    PCI_SLOT,
    UUID,
)

_USB_ID = r"0x(?!0000)[0-9a-fA-F]{4}"
_STARTUP = ("mandatory", "requisite", "optional")

_USB_FIELDS = (
    Field("vendor", "source/vendor/@id", pattern=_USB_ID),
    Field("product", "source/product/@id", pattern=_USB_ID),
    Field("bus", "source/address/@bus", "number", minimum=1, maximum=999),
    Field("device", "source/address/@device", "number", minimum=1, maximum=999),
    Field("startup_policy", "source/@startupPolicy", "choice", choices=_STARTUP),
    Field("guest_reset", "source/@guestReset", "choice", choices=("off", "uninitialized", "on")),
    Field("managed", "@managed", "flag"),
    BOOT_ORDER,
)

_PCI_FIELDS = (
    Field("domain", "source/address/@domain", pattern=PCI_DOMAIN, default="0x0000"),
    Field("bus", "source/address/@bus", pattern=PCI_BUS, required=True),
    Field("slot", "source/address/@slot", pattern=PCI_SLOT, required=True),
    Field("function", "source/address/@function", pattern=PCI_FUNCTION, required=True),
    Field("managed", "@managed", "flag"),
    Field("driver", "driver/@name", "choice", choices=("vfio", "kvm", "xen")),
    Field("rom_bar", "rom/@bar", "flag", choices=ON_OFF, default=True),
    Field("rom_file", "rom/@file", "path"),
    BOOT_ORDER,
)

_MDEV_FIELDS = (
    Field("model", "@model", "choice", choices=("vfio-pci", "vfio-ccw", "vfio-ap"), default="vfio-pci", required=True),
    Field("uuid", "source/address/@uuid", pattern=UUID, required=True),
    Field("display", "@display", "flag", choices=ON_OFF, only_if=when(model="vfio-pci")),
    Field("ramfb", "@ramfb", "flag", choices=ON_OFF, only_if=when(display=True)),
    BOOT_ORDER,
)

_REDIRECTION_FIELDS = (
    Field("bus", "@bus", "choice", choices=("usb",), default="usb", required=True),
    Field("type", "@type", "choice", choices=("spicevmc", "tcp", "unix"), default="spicevmc", required=True),
    Field("mode", "source/@mode", "choice", choices=("bind", "connect"), only_if=when(type=("tcp", "unix"))),
    Field("host", "source/@host", pattern=r"[0-9A-Za-z.:_%-]{1,253}", only_if=when(type="tcp"), required=True),
    Field("service", "source/@service", pattern=r"[A-Za-z0-9_-]{1,32}", only_if=when(type="tcp"), required=True),
    Field("socket_path", "source/@path", "path", only_if=when(type="unix"), required=True),
    BOOT_ORDER,
)

_SMARTCARD_FIELDS = (
    Field(
        "mode",
        "@mode",
        "choice",
        choices=("host", "host-certificates", "passthrough"),
        default="passthrough",
        required=True,
    ),
    Field(
        "type",
        "@type",
        "choice",
        choices=("spicevmc", "tcp", "unix"),
        default="spicevmc",
        only_if=when(mode="passthrough"),
        required=True,
    ),
    Field("source_mode", "source/@mode", "choice", choices=("bind", "connect"), only_if=when(type=("tcp", "unix"))),
    Field("host", "source/@host", pattern=r"[0-9A-Za-z.:_%-]{1,253}", only_if=when(type="tcp"), required=True),
    Field("service", "source/@service", pattern=r"[A-Za-z0-9_-]{1,32}", only_if=when(type="tcp"), required=True),
    Field("socket_path", "source/@path", "path", only_if=when(type="unix"), required=True),
    Field(
        "certificates",
        "certificate",
        "lines",
        columns=(Field("name", "", pattern=r"[^,]{1,255}", required=True),),
        only_if=when(mode="host-certificates"),
    ),
    Field("database", "database", "path", only_if=when(mode="host-certificates")),
)


def _check_usb(values: Values) -> None:
    by_product = bool(values.get("vendor")) and bool(values.get("product"))
    by_place = bool(values.get("bus")) and bool(values.get("device"))
    if not by_product and not by_place:
        raise ValueError("A USB device is told by vendor and product, or by its bus and device number.")
    if bool(values.get("vendor")) != bool(values.get("product")) or bool(values.get("bus")) != bool(
        values.get("device")
    ):
        raise ValueError("Vendor and product go together, and so do bus and device number.")


def _check_smartcard(values: Values) -> None:
    certificates = str(values.get("certificates", ""))
    if values["mode"] == "host-certificates" and len(certificates.splitlines()) != 3:
        raise ValueError("A smart card made of certificates has three of them, a line each.")


def _hostdev(key: str, kind: str, fields: tuple[Field, ...], identity: tuple[tuple[str, ...], ...]) -> DeviceType:
    return DeviceType(
        key=key,
        tag="hostdev",
        fields=fields,
        fixed=(("@mode", "subsystem"), ("@type", kind)),
        identity=tuple(("@type", *paths) for paths in identity),
        defaults=(("managed", True),) if kind != "mdev" else (),
        check=_check_usb if kind == "usb" else None,
        summary=("vendor", "product", "uuid", "domain", "bus", "device", "slot", "function"),
    )


_PLACE = tuple(f"source/address/@{name}" for name in ("bus", "slot", "function"))

HOST_DEVICES = (
    _hostdev(
        "hostdev_usb",
        "usb",
        _USB_FIELDS,
        (("source/vendor/@id", "source/product/@id"), ("source/address/@bus", "source/address/@device")),
    ),
    _hostdev("hostdev_pci", "pci", _PCI_FIELDS, (("source/address/@domain", *_PLACE), _PLACE)),
    _hostdev("hostdev_mdev", "mdev", _MDEV_FIELDS, (("source/address/@uuid",),)),
    DeviceType(
        key="redirdev",
        tag="redirdev",
        fields=_REDIRECTION_FIELDS,
        is_counted=True,
        summary=("bus", "type", "host", "service"),
    ),
    DeviceType(
        key="smartcard",
        tag="smartcard",
        fields=_SMARTCARD_FIELDS,
        is_counted=True,
        most=1,
        check=_check_smartcard,
        summary=("mode", "type"),
    ),
)
