"""RNG, TPM, watchdog, panic device, vsock, shared directories and leases, https://libvirt.org/formatdomain.html#devices."""

from lxml import etree

from hypervisors.libvirtxml.hardware.fields import Field, Values, when
from hypervisors.libvirtxml.hardware.paths import remove_at, write_at
from hypervisors.libvirtxml.hardware.types.device_type import DeviceType, no_address
from hypervisors.libvirtxml.hardware.types.words import ON_OFF, UUID, VIRTIO_MODELS

_RNG_FIELDS = (
    Field("model", "@model", "choice", choices=VIRTIO_MODELS, default="virtio", required=True),
    Field("backend", "backend/@model", "choice", choices=("random", "builtin"), default="random", required=True),
    Field("backend_path", "backend", "path", only_if=when(backend="random")),
    Field("rate_bytes", "rate/@bytes", "number", minimum=1, maximum=2**32 - 1),
    Field("rate_period_milliseconds", "rate/@period", "number", minimum=1, maximum=2**32 - 1),
)

_TPM_FIELDS = (
    Field("model", "@model", "choice", choices=("tpm-crb", "tpm-tis", "tpm-spapr", "spapr-tpm-proxy"), required=True),
    Field("backend", "backend/@type", "choice", choices=("emulator", "passthrough", "external"), required=True),
    Field("version", "backend/@version", "choice", choices=("2.0", "1.2"), only_if=when(backend="emulator")),
    Field("persistent_state", "backend/@persistent_state", "flag", only_if=when(backend="emulator")),
    Field("encryption_secret", "backend/encryption/@secret", pattern=UUID, only_if=when(backend="emulator")),
    Field("device_path", "backend/device/@path", "path", only_if=when(backend="passthrough"), required=True),
    Field("socket_path", "backend/source/@path", "path", only_if=when(backend="external"), required=True),
)

_WATCHDOG_FIELDS = (
    Field("model", "@model", "choice", choices=("i6300esb", "ib700", "itco", "diag288"), required=True),
    Field(
        "action",
        "@action",
        "choice",
        choices=("reset", "shutdown", "poweroff", "pause", "none", "dump", "inject-nmi"),
        default="reset",
    ),
)

_PANIC_MODELS = ("isa", "hyperv", "pvpanic", "pseries", "s390")

_VSOCK_FIELDS = (
    Field("model", "@model", "choice", choices=VIRTIO_MODELS, default="virtio", required=True),
    Field("cid_auto", "cid/@auto", "flag"),
    Field("cid", "cid/@address", "number", minimum=3, maximum=2**32 - 1, only_if=when(cid_auto=False)),
)

_VIRTIOFS = when(driver="virtiofs")
_FILESYSTEM_FIELDS = (
    Field("type", "@type", "choice", choices=("mount",), default="mount", required=True),
    Field("driver", "driver/@type", "choice", choices=("virtiofs", "path"), default="path", required=True),
    Field(
        "accessmode",
        "@accessmode",
        "choice",
        choices=("passthrough", "mapped", "squash"),
        default="passthrough",
        required=True,
    ),
    Field("source_dir", "source/@dir", "path"),
    Field("socket_path", "source/@socket", "path", only_if=_VIRTIOFS),
    Field("target", "target/@dir", pattern=r"[^,]{1,255}", required=True),
    Field("readonly", "readonly", "presence", only_if=when(driver="path")),
    Field("multiple_devices", "@multidevs", "choice", choices=("remap", "forbid", "warn"), only_if=when(driver="path")),
    Field("write_policy", "driver/@wrpolicy", "choice", choices=("immediate",), only_if=when(driver="path")),
    Field("queue", "driver/@queue", "number", minimum=1, maximum=1024, only_if=_VIRTIOFS),
    Field("binary_path", "binary/@path", "path", only_if=_VIRTIOFS),
    Field("extended_attributes", "binary/@xattr", "flag", choices=ON_OFF, only_if=_VIRTIOFS),
    Field("cache", "binary/cache/@mode", "choice", choices=("none", "always"), only_if=_VIRTIOFS),
    Field("sandbox", "binary/sandbox/@mode", "choice", choices=("namespace", "chroot"), only_if=_VIRTIOFS),
    Field("thread_pool_size", "binary/thread_pool/@size", "number", maximum=1024, only_if=_VIRTIOFS),
)

_LEASE_FIELDS = (
    Field("lockspace", "lockspace", pattern=r"[^/]{1,200}", required=True),
    Field("lease_key", "key", pattern=r"[^/]{1,200}", required=True),
    Field("target_path", "target/@path", "path", required=True),
    Field("target_offset_bytes", "target/@offset", "number"),
)


def _check_rng(values: Values) -> None:
    if values.get("rate_period_milliseconds") and not values.get("rate_bytes"):
        raise ValueError("A period belongs to a rate: say how many bytes.")


def _check_vsock(values: Values) -> None:
    if values.get("cid_auto") is False and not values.get("cid"):
        raise ValueError("A vsock has a number, or the host chooses one.")


def _settle_vsock(element: etree._Element, before: Values, after: Values) -> None:
    """The number that the host had chosen is not the person's choice."""
    cid = element.find("cid")
    if before and before.get("cid_auto") is False and after.get("cid_auto") and cid is not None:
        cid.attrib.pop("address", "")


def _settle_tpm(element: etree._Element, before: Values, after: Values) -> None:
    no_address("model")(element, before, after)
    if after["backend"] == "external":
        for name, word in (("type", "unix"), ("mode", "connect")):
            write_at(element, f"backend/source/@{name}", word)
    elif before.get("backend") == "external":
        remove_at(element, "backend/source")


def _check_filesystem(values: Values) -> None:
    if values["driver"] == "virtiofs" and values["accessmode"] != "passthrough":
        raise ValueError("virtiofs knows no other access mode than passthrough.")
    if not values.get("source_dir") and not values.get("socket_path"):
        raise ValueError("A shared directory has a directory of the host.")
    ours = ("source_dir", "binary_path", "extended_attributes", "cache", "sandbox", "thread_pool_size")
    if values.get("socket_path") and any(values.get(name) for name in ours):
        raise ValueError("Behind a socket a virtiofsd of the host's own serves its own directory in its own way.")


def _single(key: str, fields: tuple[Field, ...], most: int | None = 1) -> DeviceType:
    checks = {"vsock": _check_vsock, "rng": _check_rng}
    return DeviceType(
        key=key,
        tag=key,
        fields=fields,
        is_counted=key != "rng",
        most=most,
        check=checks.get(key),
        settle={"vsock": _settle_vsock, "tpm": _settle_tpm}.get(key, no_address("model")),
        summary=("model", "backend", "backend_path", "version", "action", "cid"),
    )


SMALL_DEVICES = (
    _single("rng", _RNG_FIELDS, most=None),
    _single("tpm", _TPM_FIELDS, most=2),
    _single("watchdog", _WATCHDOG_FIELDS, most=None),
    _single("panic", (Field("model", "@model", "choice", choices=_PANIC_MODELS),), most=None),
    _single("vsock", _VSOCK_FIELDS),
    DeviceType(
        key="filesystem",
        tag="filesystem",
        fields=_FILESYSTEM_FIELDS,
        identity=(("target/@dir",),),
        defaults=(("driver", "virtiofs"),),
        check=_check_filesystem,
        settle=no_address("driver"),
        summary=("driver", "source_dir", "target"),
    ),
    DeviceType(
        key="lease",
        tag="lease",
        fields=_LEASE_FIELDS,
        identity=(("lockspace", "key"),),
        summary=("lockspace", "lease_key", "target_path"),
    ),
)
