"""Disks and drives, https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms."""

from lxml import etree

from hypervisors.libvirtxml.hardware.fields import Field, Values, when
from hypervisors.libvirtxml.hardware.paths import read_at, remove_at
from hypervisors.libvirtxml.hardware.targets import fits_bus
from hypervisors.libvirtxml.hardware.types.device_type import DeviceType, no_address
from hypervisors.libvirtxml.hardware.types.words import BOOT_ORDER, ON_OFF, UUID

_SOURCE_TYPES = ("file", "block", "volume", "network")
_PROTOCOLS = ("rbd", "iscsi", "nbd", "gluster", "http", "https", "ftp", "ftps", "tftp", "nfs")
_WITH_USERS = when(source_protocol=("rbd", "iscsi", "http", "https", "ftp", "ftps"))

_SECRETS = ("ceph", "iscsi")
_HOSTS = (
    Field("name", "@name", pattern=r"[A-Za-z0-9.:_%-]{1,253}", required=True),
    Field("port", "@port", "number", minimum=1, maximum=65535),
)


def _source(*, is_required: bool) -> tuple[Field, ...]:
    return (
        Field("type", "@type", "choice", choices=_SOURCE_TYPES, default="file", required=True),
        Field("source_file", "source/@file", "path", only_if=when(type="file"), required=is_required),
        Field("source_dev", "source/@dev", "path", only_if=when(type="block"), required=is_required),
        Field("source_pool", "source/@pool", only_if=when(type="volume"), required=is_required),
        Field("source_volume", "source/@volume", only_if=when(type="volume"), required=is_required),
        Field(
            "source_protocol",
            "source/@protocol",
            "choice",
            choices=_PROTOCOLS,
            only_if=when(type="network"),
            required=True,
        ),
        Field("source_name", "source/@name", only_if=when(type="network")),
        Field("source_hosts", "source/host", "lines", columns=_HOSTS, only_if=when(type="network")),
        Field("auth_user", "source/auth/@username", only_if=_WITH_USERS),
        Field("auth_secret_type", "source/auth/secret/@type", "choice", choices=_SECRETS, only_if=_WITH_USERS),
        Field("auth_secret_uuid", "source/auth/secret/@uuid", pattern=UUID, only_if=_WITH_USERS),
    )


_STARTUP = Field("startup_policy", "source/@startupPolicy", "choice", choices=("mandatory", "requisite", "optional"))
_FORMAT = Field("format", "driver/@type", "choice", choices=("qcow2", "raw", "qed", "vmdk", "vdi", "vpc"))
_CACHE = Field(
    "cache",
    "driver/@cache",
    "choice",
    choices=("none", "writeback", "writethrough", "directsync", "unsafe"),
)
_IO = Field("io", "driver/@io", "choice", choices=("native", "threads", "io_uring"))
_ERROR = Field("error_policy", "driver/@error_policy", "choice", choices=("stop", "report", "ignore", "enospace"))
_READ_ERROR = Field("read_error_policy", "driver/@rerror_policy", "choice", choices=("stop", "report", "ignore"))
_SERIAL = Field("serial", "serial", pattern=r"[A-Za-z0-9_. +-]{1,247}")

_RATES = tuple(
    f"{what}_{unit}_sec{burst}"
    for burst in ("", "_max")
    for unit in ("bytes", "iops")
    for what in ("total", "read", "write")
)
_LIMITS = (
    *(Field(name, f"iotune/{name}", "number", minimum=1) for name in _RATES),
    *(Field(f"{name}_max_length", f"iotune/{name}_max_length", "number", minimum=1) for name in _RATES[:6]),
    Field("size_iops_sec", "iotune/size_iops_sec", "number", minimum=1),
    Field("limit_group", "iotune/group_name", pattern=r"[A-Za-z0-9_.-]{1,63}"),
)

_DISK_FIELDS = (
    Field("device", "@device", "choice", choices=("disk", "lun"), default="disk"),
    *_source(is_required=True),
    Field("bus", "target/@bus", "choice", choices=("virtio", "scsi", "sata", "ide", "usb"), required=True),
    Field("target_dev", "target/@dev", pattern=r"(vd|sd|hd)[a-z]{1,3}"),
    _FORMAT,
    _CACHE,
    _IO,
    Field("discard", "driver/@discard", "choice", choices=("unmap", "ignore")),
    Field("detect_zeroes", "driver/@detect_zeroes", "choice", choices=("off", "on", "unmap")),
    _ERROR,
    _READ_ERROR,
    Field("copy_on_read", "driver/@copy_on_read", "flag", choices=ON_OFF),
    Field("iothread", "driver/@iothread", "number", minimum=1, only_if=when(bus="virtio")),
    Field("queues", "driver/@queues", "number", minimum=1, maximum=256, only_if=when(bus="virtio")),
    Field("readonly", "readonly", "presence"),
    Field("shareable", "shareable", "presence"),
    Field("removable", "target/@removable", "flag", choices=ON_OFF, only_if=when(bus="usb")),
    Field(
        "rotation_rate",
        "target/@rotation_rate",
        "number",
        minimum=1,
        maximum=65534,
        only_if=when(bus=("scsi", "sata", "ide")),
    ),
    _SERIAL,
    Field("wwn", "wwn", pattern=r"[0-9a-fA-F]{16}", only_if=when(bus=("scsi", "sata", "ide"))),
    Field("vendor", "vendor", pattern=r"[!-~]([ -~]{0,6}[!-~])?", only_if=when(bus="scsi")),
    Field("product", "product", pattern=r"[!-~]([ -~]{0,14}[!-~])?", only_if=when(bus="scsi")),
    BOOT_ORDER,
    Field(
        "startup_policy",
        "source/@startupPolicy",
        "choice",
        choices=("mandatory", "optional"),
        only_if=when(type=("file", "block", "volume")),
    ),
    Field("logical_block_bytes", "blockio/@logical_block_size", "number", minimum=512, maximum=2**21),
    Field("physical_block_bytes", "blockio/@physical_block_size", "number", minimum=512, maximum=2**21),
    *_LIMITS,
)

_CDROM_FIELDS = (
    *_source(is_required=False),
    Field("bus", "target/@bus", "choice", choices=("sata", "scsi", "ide", "usb"), required=True),
    Field("target_dev", "target/@dev", pattern=r"(sd|hd)[a-z]{1,3}"),
    _FORMAT,
    _CACHE,
    _IO,
    _ERROR,
    _READ_ERROR,
    _SERIAL,
    BOOT_ORDER,
    _STARTUP,
    *_LIMITS,
)

_FLOPPY_FIELDS = (
    *_source(is_required=False),
    Field("bus", "target/@bus", "choice", choices=("fdc",), default="fdc", required=True),
    Field("target_dev", "target/@dev", pattern=r"fd[ab]"),
    _FORMAT,
    _CACHE,
    Field("readonly", "readonly", "presence"),
    BOOT_ORDER,
    _STARTUP,
)


def _check(values: Values) -> None:
    _check_network(values)
    if values["type"] == "volume" and not (values["source_pool"] and values["source_volume"]):
        raise ValueError("A volume is given with its storage pool.")
    if values.get("device") == "lun" and values.get("type") not in ("block", "network", "volume"):
        raise ValueError("A LUN that is passed through is a block device, network storage or a volume.")
    if values.get("readonly") and values.get("bus") in ("sata", "ide") and "device" in values:
        raise ValueError("A hard disk on SATA or IDE cannot be read-only; virtio, SCSI and USB can.")
    _check_limits(values)


def _check_limits(values: Values) -> None:
    for unit, words in (("bytes", "bytes"), ("iops", "requests")):
        for suffix in ("", "_max", "_max_length"):
            parts = [values.get(f"{what}_{unit}_sec{suffix}") for what in ("read", "write")]
            if values.get(f"total_{unit}_sec{suffix}") and any(parts):
                raise ValueError(f"A limit of {words} holds for reading and writing together, or for each.")
    for rate in _RATES[:6]:
        if values.get(f"{rate}_max") and not values.get(rate):
            raise ValueError(f"A burst is above a limit: set the {rate.replace('_', ' ')} too.")
        if values.get(f"{rate}_max_length") and not values.get(f"{rate}_max"):
            raise ValueError(f"How long a burst lasts needs a burst: set the {rate.replace('_', ' ')} max too.")


def _check_network(values: Values) -> None:
    protocol, hosts = values.get("source_protocol"), str(values.get("source_hosts", "")).splitlines()
    if not protocol:
        return
    if protocol != "nbd" and not values.get("source_name"):
        raise ValueError("A disk on network storage needs the image's name.")
    # Ceph's own configuration on the host may name its monitors.
    if protocol != "rbd" and not hosts:
        raise ValueError(f"Storage that is reached by {protocol} needs its server's name.")
    if protocol not in ("rbd", "gluster") and len(hosts) > 1:
        raise ValueError(f"Storage that is reached by {protocol} has one server.")
    if protocol in ("rbd", "gluster") and "/" not in str(values["source_name"]):
        raise ValueError("An image there is named with its pool or volume before it: pool/image.")
    secret = [bool(values.get(name)) for name in ("auth_user", "auth_secret_type", "auth_secret_uuid")]
    if any(secret) and not all(secret):
        raise ValueError("Network storage that asks for a user asks for a secret of a type too.")


def _settle(element: etree._Element, before: Values, after: Values) -> None:
    """Another bus has other addresses and other names: they are chosen anew, when the device is put in its domain."""
    no_address("bus")(element, before, after)
    is_moved = bool(before) and before.get("bus") != after.get("bus") and before["target_dev"] == after["target_dev"]
    if is_moved and not fits_bus(_target(element), str(after.get("bus", ""))):
        remove_at(element, "target/@dev")
    driver = element.find("driver")
    if driver is not None and "name" not in driver.attrib:
        driver.set("name", "qemu")


def _target(element: etree._Element) -> str:
    return read_at(element, "target/@dev") or ""


def _drive(key: str, fields: tuple[Field, ...]) -> DeviceType:
    return DeviceType(
        key=key,
        tag="disk",
        fields=fields,
        fixed=() if key == "disk" else (("@device", key),),
        identity=(("target/@dev",),),
        check=_check,
        settle=_settle,
        most=2 if key == "floppy" else None,
        summary=("target_dev", "source_file", "source_dev", "source_volume", "source_name"),
    )


# A disk without the attribute is a hard disk: that type is asked last.
DISKS = (_drive("cdrom", _CDROM_FIELDS), _drive("floppy", _FLOPPY_FIELDS), _drive("disk", _DISK_FIELDS))
