"""Which fields of a form stand on top, and which wait below under a word until somebody needs them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from hypervisors.web.domains.hardware.controls import Control

_FEW = 9
_DISK_TOP = ("bus", "cache", "discard", "serial", "readonly", "shareable")
_DRIVE_TOP = ("bus",)
_SOURCE = (
    "type", "source_file", "source_dev", "source_pool", "source_volume", "source_protocol", "source_name",
    "source_hosts", "auth_user", "auth_secret_type", "auth_secret_uuid", "format",
)  # fmt: skip
# Fields that stand on top, by type or section; of those that are not here all do, when they are few.
TOP: dict[str, tuple[str, ...]] = {
    "disk": _DISK_TOP,
    "cdrom": _DRIVE_TOP,
    "floppy": _DRIVE_TOP,
    "interface": (
        "type", "source_network", "portgroup", "source_bridge", "source_dev", "source_mode", "pci_domain", "pci_bus",
        "pci_slot", "pci_function", "socket_path", "socket_mode", "model", "mac", "link",
    ),
    "graphics": ("type", "listen_type", "listen_address", "listen_network", "autoport", "port", "password"),
    "serial": ("type", "mode", "socket_path", "source_path", "host", "service", "target_type"),
    "console": ("type", "mode", "socket_path", "source_path", "host", "service", "target_type"),
    "parallel": ("type", "mode", "socket_path", "source_path", "host", "service"),
    "channel": (
        "type", "mode", "socket_path", "source_path", "host", "service", "target_type", "target_name",
        "forward_address", "forward_port",
    ),
    "controller": ("type", "pci_model", "usb_model", "scsi_model", "serial_model", "index", "ports"),
    "filesystem": ("driver", "source_dev", "source_dir", "target", "readonly"),
    "memory": (
        "model", "size_kib", "node", "requested_kib", "block_kib",
        "current_memory_kib", "memory_kib", "max_memory_kib", "slots", "hugepages", "hugepage_kib", "access",
    ),
    "processor": (
        "vcpus_current", "vcpus_max", "mode", "model", "sockets", "dies", "cores", "threads",
    ),
    "numa": ("cells", "memory_mode", "memory_host_nodes", "cell_memory", "memory_placement"),
    "system": ("firmware", "machine", "secure_boot", "enrolled_keys"),
    "features": ("acpi", "apic", "smm", "hyperv_mode", "kvm_hidden"),
    "clock": ("offset", "timezone", "adjustment_seconds", "basis"),
    "tuning": (
        "shares", "period_microseconds", "quota_microseconds", "vcpu_pins", "emulator_pin", "hard_limit_kib",
        "io_weight",
    ),
}  # fmt: skip
_WORDS: dict[str, str | Promise] = {
    "source": _("Where its bytes are"),
    "limits": _("Limits"),
    "traffic": _("Traffic"),
    "hyperv": _("Hyper-V features"),
    "more": _("More"),
}


@dataclass(frozen=True, kw_only=True)
class FieldGroup:
    """`title` is empty for what stands on top. `is_open`: something in it is set, or wrong."""

    key: str = ""
    title: str = ""
    controls: tuple[Control, ...] = ()
    is_open: bool = False


def groups_of(key: str, controls: Mapping[str, Control], *, without: Sequence[str] = ()) -> tuple[FieldGroup, ...]:
    """`without`: names of fields that the page shows in another way."""
    left = {name: control for name, control in controls.items() if name not in without}
    top = TOP.get(key, tuple(left) if len(left) <= _FEW else tuple(left)[:_FEW])
    first = FieldGroup(controls=_checks_last(left.pop(name) for name in top if name in left))
    below: dict[str, list[Control]] = {}
    for name, control in left.items():
        below.setdefault(_group(name), []).append(control)
    order = [word for word in _WORDS if word in below]
    return (first, *(_folded(word, below[word]) for word in order))


def _group(name: str) -> str:
    if name in _SOURCE:
        return "source"
    if "_sec" in name or name in ("size_iops_sec", "limit_group"):
        return "limits"
    if name.startswith("hyperv_"):
        return "hyperv"
    return "traffic" if name.startswith(("inbound_", "outbound_")) else "more"


def _folded(key: str, controls: Sequence[Control]) -> FieldGroup:
    is_open = any(one.error for one in controls)
    return FieldGroup(key=key, title=str(_WORDS[key]), controls=_checks_last(controls), is_open=is_open)


def _checks_last(controls: Iterable[Control]) -> tuple[Control, ...]:
    return tuple(sorted(controls, key=lambda one: one.kind == "check"))
