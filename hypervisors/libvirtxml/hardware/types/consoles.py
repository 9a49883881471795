"""Serial and parallel ports, consoles and channels.

https://libvirt.org/formatdomain.html#consoles-serial-parallel-channel-devices
"""

from hypervisors.libvirtxml.hardware.fields import Field, Values, when
from hypervisors.libvirtxml.hardware.types.device_type import DeviceType, no_address
from hypervisors.libvirtxml.hardware.types.words import ON_OFF

_TYPES = ("pty", "unix", "tcp", "udp", "file", "dev", "pipe", "null", "stdio", "vc", "spiceport", "nmdm")
_CHANNEL_TYPES = (
    "unix",
    "spicevmc",
    "qemu-vdagent",
    "pty",
    "tcp",
    "udp",
    "file",
    "dev",
    "pipe",
    "null",
    "spiceport",
    "dbus",
)
_SERVICE = r"[A-Za-z0-9_-]{1,32}"
_HOST = r"[0-9A-Za-z.:_%-]{1,253}"
_LISTENS = when(type=("unix", "tcp"))


def _source(types: tuple[str, ...], first: str) -> tuple[Field, ...]:
    """Where its bytes come from and go to."""
    return (
        Field("type", "@type", "choice", choices=types, default=first, required=True),
        Field("mode", "source/@mode", "choice", choices=("bind", "connect"), only_if=_LISTENS),
        Field("socket_path", "source/@path", "path", only_if=when(type="unix")),
        Field("source_path", "source/@path", "path", only_if=when(type=("file", "dev", "pipe")), required=True),
        Field("append", "source/@append", "flag", choices=ON_OFF, only_if=when(type="file")),
        Field("host", "source/@host", pattern=_HOST, only_if=when(type="tcp"), required=True),
        Field("service", "source/@service", pattern=_SERVICE, only_if=when(type="tcp"), required=True),
        Field("tls", "source/@tls", "flag", only_if=when(type="tcp")),
        Field(
            "protocol",
            "protocol/@type",
            "choice",
            choices=("raw", "telnet", "telnets", "tls"),
            only_if=when(type="tcp"),
        ),
        Field("udp_host", "source[@mode='connect']/@host", pattern=_HOST, only_if=when(type="udp"), required=True),
        Field(
            "udp_service", "source[@mode='connect']/@service", pattern=_SERVICE, only_if=when(type="udp"), required=True
        ),
        Field("udp_bind_host", "source[@mode='bind']/@host", pattern=_HOST, only_if=when(type="udp")),
        Field("udp_bind_service", "source[@mode='bind']/@service", pattern=_SERVICE, only_if=when(type="udp")),
        Field(
            "spice_channel",
            "source/@channel",
            pattern=r"[A-Za-z0-9._-]{1,100}",
            only_if=when(type="spiceport"),
            required=True,
        ),
        Field("master", "source/@master", "path", only_if=when(type="nmdm"), required=True),
        Field("slave", "source/@slave", "path", only_if=when(type="nmdm"), required=True),
        Field("reconnects", "source/reconnect/@enabled", "flag", only_if=_LISTENS),
        Field(
            "reconnect_seconds",
            "source/reconnect/@timeout",
            "number",
            minimum=1,
            maximum=86400,
            only_if=when(reconnects=True),
        ),
        Field("log_file", "log/@file", "path"),
        Field("log_append", "log/@append", "flag", choices=ON_OFF),
    )


_SERIAL_TARGETS = (
    "isa-serial",
    "usb-serial",
    "pci-serial",
    "system-serial",
    "spapr-vio-serial",
    "sclp-serial",
    "isa-debug",
)
_CONSOLE_TARGETS = ("serial", "virtio", "sclp", "sclplm")

_SERIAL_FIELDS = (
    *_source(_TYPES, "pty"),
    Field("target_type", "target/@type", "choice", choices=_SERIAL_TARGETS),
    Field("target_port", "target/@port", "number", maximum=255),
)
_PARALLEL_FIELDS = (*_source(_TYPES, "pty"), Field("target_port", "target/@port", "number", maximum=255))
_CONSOLE_FIELDS = (
    *_source(_TYPES, "pty"),
    Field("target_type", "target/@type", "choice", choices=_CONSOLE_TARGETS),
    Field("target_port", "target/@port", "number", maximum=255),
)
_CHANNEL_FIELDS = (
    *_source(_CHANNEL_TYPES, "unix"),
    Field("target_type", "target/@type", "choice", choices=("virtio", "guestfwd"), default="virtio", required=True),
    Field("target_name", "target/@name", pattern=r"[A-Za-z0-9._:-]{1,100}", only_if=when(target_type="virtio")),
    Field(
        "forward_address",
        "target/@address",
        pattern=r"[0-9A-Fa-f.:]{3,45}",
        only_if=when(target_type="guestfwd"),
        required=True,
    ),
    Field(
        "forward_port",
        "target/@port",
        "number",
        minimum=1,
        maximum=65535,
        only_if=when(target_type="guestfwd"),
        required=True,
    ),
    Field("clipboard", "source/clipboard/@copypaste", "flag", only_if=when(type="qemu-vdagent")),
    Field("mouse", "source/mouse/@mode", "choice", choices=("server", "client"), only_if=when(type="qemu-vdagent")),
)


def _check(values: Values) -> None:
    if values.get("type") == "unix" and values.get("mode") == "connect" and not values.get("socket_path"):
        raise ValueError("To connect to a socket, give its path.")
    if values.get("type") == "unix" and "target_name" not in values and not values.get("socket_path"):
        raise ValueError("The socket needs a path.")
    if values.get("reconnects") and not values.get("reconnect_seconds"):
        raise ValueError("Say after how many seconds it connects again.")
    if values.get("log_append") and not values.get("log_file"):
        raise ValueError("A log that is appended to has a file.")


CONSOLES = (
    DeviceType(
        key="serial",
        tag="serial",
        fields=_SERIAL_FIELDS,
        identity=(("target/@port",),),
        check=_check,
        settle=no_address("target_type"),
        summary=("type", "socket_path", "source_path", "host", "service"),
    ),
    DeviceType(
        key="parallel",
        tag="parallel",
        fields=_PARALLEL_FIELDS,
        identity=(("target/@port",),),
        check=_check,
        summary=("type", "socket_path", "source_path", "host", "service"),
    ),
    DeviceType(
        key="console",
        tag="console",
        fields=_CONSOLE_FIELDS,
        check=_check,
        settle=no_address("target_type"),
        summary=("type", "target_type", "socket_path", "source_path"),
    ),
    DeviceType(
        key="channel",
        tag="channel",
        fields=_CHANNEL_FIELDS,
        identity=(("target/@name",), ("target/@address", "target/@port")),
        check=_check,
        settle=no_address("target_type"),
        summary=("type", "target_name", "socket_path"),
    ),
)
