"""Screens, video cards and sound, https://libvirt.org/formatdomain.html#graphical-framebuffers."""

from lxml import etree

from hypervisors.libvirtxml.hardware.fields import Field, Value, Values, when
from hypervisors.libvirtxml.hardware.paths import remove_at
from hypervisors.libvirtxml.hardware.types.device_type import DeviceType, no_address
from hypervisors.libvirtxml.hardware.types.words import ON_OFF

_SERVED = when(type=("vnc", "spice"))
_SPICE = when(type="spice")
_VNC = when(type="vnc")
_SPICE_CHANNELS = ("main", "display", "inputs", "cursor", "playback", "record", "smartcard", "usbredir")
_CHANNEL_COLUMNS = (
    Field("name", "@name", "choice", choices=_SPICE_CHANNELS, required=True),
    Field("mode", "@mode", "choice", choices=("any", "secure", "insecure"), required=True),
)
_COMPRESSIONS = ("auto_glz", "auto_lz", "quic", "glz", "lz", "off")

_GRAPHICS_FIELDS = (
    Field("type", "@type", "choice", choices=("vnc", "spice", "egl-headless", "dbus", "sdl"), required=True),
    Field(
        "listen_type",
        "listen/@type",
        "choice",
        choices=("address", "network", "socket", "none"),
        default="address",
        only_if=_SERVED,
        required=True,
    ),
    Field("listen_address", "listen/@address", pattern=r"[0-9A-Za-z.:_%-]{1,253}", only_if=when(listen_type="address")),
    Field("listen_network", "listen/@network", only_if=when(listen_type="network"), required=True),
    Field("listen_socket", "listen/@socket", "path", only_if=when(listen_type="socket")),
    Field(
        "autoport", "@autoport", "flag", default=True, only_if=when(listen_type=("address", "network")), required=True
    ),
    Field("port", "@port", "number", minimum=-1, maximum=65535, only_if=when(autoport=False)),
    Field("tls_port", "@tlsPort", "number", minimum=-1, maximum=65535, only_if=when(autoport=False, type="spice")),
    Field("websocket_port", "@websocket", "number", minimum=-1, maximum=65535, only_if=_VNC),
    Field("password", "@passwd", "password", is_secret=True, maximum=60, only_if=_SERVED),
    Field(
        "password_valid_to",
        "@passwdValidTo",
        pattern=r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9])T([01][0-9]|2[0-3])(:[0-5][0-9]){2}",
        only_if=_SERVED,
    ),
    Field("connected", "@connected", "choice", choices=("keep", "disconnect", "fail"), only_if=_SERVED),
    Field("keymap", "@keymap", pattern=r"[A-Za-z0-9-]{1,20}", only_if=_SERVED),
    Field(
        "share_policy", "@sharePolicy", "choice", choices=("allow-exclusive", "force-shared", "ignore"), only_if=_VNC
    ),
    Field("default_mode", "@defaultMode", "choice", choices=("any", "secure", "insecure"), only_if=_SPICE),
    Field("channel_modes", "channel", "lines", columns=_CHANNEL_COLUMNS, only_if=_SPICE),
    Field("image_compression", "image/@compression", "choice", choices=_COMPRESSIONS, only_if=_SPICE),
    Field("jpeg_compression", "jpeg/@compression", "choice", choices=("auto", "never", "always"), only_if=_SPICE),
    Field("zlib_compression", "zlib/@compression", "choice", choices=("auto", "never", "always"), only_if=_SPICE),
    Field("playback_compression", "playback/@compression", "flag", choices=ON_OFF, default=True, only_if=_SPICE),
    Field("streaming", "streaming/@mode", "choice", choices=("filter", "all", "off"), only_if=_SPICE),
    Field("clipboard", "clipboard/@copypaste", "flag", default=True, only_if=_SPICE),
    Field("file_transfer", "filetransfer/@enable", "flag", default=True, only_if=_SPICE),
    Field("mouse", "mouse/@mode", "choice", choices=("server", "client"), only_if=_SPICE),
    Field("gl", "gl/@enable", "flag", only_if=when(type=("spice", "sdl", "dbus"))),
    Field("render_node", "gl/@rendernode", "path", only_if=when(type=("spice", "egl-headless", "dbus"))),
)

_SIZED = when(model=("qxl", "vga", "cirrus", "vmvga", "bochs"))
_ACCELERATED = when(model=("virtio", "vmvga"))


def _pixels(name: str, path: str) -> Field:
    models = ("virtio", "qxl", "vga", "bochs")
    return Field(name, path, "number", minimum=1, maximum=16384, only_if=when(model=models))


_VIDEO_FIELDS = (
    Field(
        "model",
        "model/@type",
        "choice",
        choices=("virtio", "qxl", "vga", "bochs", "cirrus", "ramfb", "vmvga", "none"),
        required=True,
    ),
    Field("vram_kib", "model/@vram", "number", minimum=1024, maximum=2**22, only_if=_SIZED),
    Field("ram_kib", "model/@ram", "number", minimum=1024, maximum=2**22, only_if=when(model="qxl")),
    Field("vgamem_kib", "model/@vgamem", "number", minimum=1024, maximum=2**22, only_if=when(model="qxl")),
    Field("vram64_kib", "model/@vram64", "number", maximum=2**22, only_if=when(model="qxl")),
    Field(
        "heads", "model/@heads", "number", minimum=1, maximum=16, only_if=when(model=("virtio", "qxl", "vga", "bochs"))
    ),
    Field("primary", "model/@primary", "flag"),
    Field("blob", "model/@blob", "flag", choices=ON_OFF, only_if=when(model="virtio")),
    Field("accel3d", "model/acceleration/@accel3d", "flag", only_if=_ACCELERATED),
    _pixels("resolution_x", "model/resolution/@x"),
    _pixels("resolution_y", "model/resolution/@y"),
)

_SOUND_FIELDS = (
    Field(
        "model",
        "@model",
        "choice",
        choices=("ich9", "ich6", "ich7", "ac97", "es1370", "sb16", "pcspk", "usb"),
        required=True,
    ),
    Field(
        "codecs",
        "codec",
        "lines",
        columns=(Field("type", "@type", "choice", choices=("duplex", "micro", "output"), required=True),),
        only_if=when(model=("ich6", "ich9")),
    ),
    Field("multichannel", "@multichannel", "flag", only_if=when(model="usb")),
    Field("audio_id", "audio/@id", "number", minimum=1, maximum=255),
)


def _check_graphics(values: Values) -> None:
    if values.get("autoport") is False and not _is_port(values.get("port")) and not _is_port(values.get("tls_port")):
        raise ValueError("A screen has a port of its own, or one that the host chooses.")
    if values.get("port") and _is_port(values.get("port")) and int(values["port"]) < 5900 and values["type"] == "vnc":
        raise ValueError("A VNC port is 5900 or higher.")
    if values.get("render_node") and values.get("gl") is False:
        raise ValueError("A render node is used with OpenGL, which is off.")


def _is_port(value: Value | None) -> bool:
    return isinstance(value, int) and value > 0


def _settle_graphics(element: etree._Element, before: Values, after: Values) -> None:
    """The address stands in an attribute too, where libvirt wrote it; both must say the same."""
    if any(before.get(name) != after.get(name) for name in ("listen_type", "listen_address", "listen_network")):
        remove_at(element, "@listen")
    if before.get("listen_type") != after.get("listen_type"):
        remove_at(element, "@socket")


def _check_video(values: Values) -> None:
    if bool(values.get("resolution_x")) != bool(values.get("resolution_y")):
        raise ValueError("A resolution has a width and a height.")


DISPLAYS = (
    DeviceType(
        key="graphics",
        tag="graphics",
        fields=_GRAPHICS_FIELDS,
        identity=(("@type",),),
        is_counted=True,
        defaults=(("type", "vnc"),),
        check=_check_graphics,
        settle=_settle_graphics,
        summary=("type", "listen_address", "listen_socket", "port"),
    ),
    DeviceType(
        key="video",
        tag="video",
        fields=_VIDEO_FIELDS,
        is_counted=True,
        defaults=(("model", "virtio"),),
        check=_check_video,
        settle=no_address("model"),
        summary=("model",),
    ),
    DeviceType(
        key="sound",
        tag="sound",
        fields=_SOUND_FIELDS,
        is_counted=True,
        defaults=(("model", "ich9"),),
        settle=no_address("model"),
        summary=("model",),
    ),
)
