"""Which fields can change while the machine runs. All others wait, and are named."""

from collections.abc import Callable, Iterable

from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.fields import Value, Values

_LIMITS = tuple(field.name for field in DEVICE_TYPES["disk"].fields if field.path.startswith("iotune/"))
_MEDIUM = (
    *("type", "source_file", "source_dev", "source_pool", "source_volume", "source_protocol", "source_name"),
    *("source_hosts", "auth_user", "auth_secret_type", "auth_secret_uuid", "format", "startup_policy"),
)
_PLUG = ("type", "source_network", "source_bridge", "portgroup", "link", "filter", "filter_parameters")
_TRAFFIC = tuple(field.name for field in DEVICE_TYPES["interface"].fields if field.path.startswith("bandwidth/"))

_LIVE_FIELDS: dict[str, tuple[str, ...]] = {
    "disk": _LIMITS,
    "cdrom": _MEDIUM,
    "floppy": _MEDIUM,
    "interface": (*_PLUG, *_TRAFFIC, "vlan_tags", "vlan_trunk", "isolated", "trusts_guest_filters"),
    "graphics": ("password", "password_valid_to", "connected"),
    "memballoon": ("stats_period_seconds",),
    "memory": ("requested_kib",),
}
# Between these a card is moved while it runs; others are made anew.
_PLUG_TYPES = ("network", "bridge")

_LIVE_SETTINGS: dict[str, tuple[str, ...]] = {
    "general": ("title", "description"),
    "processor": ("vcpus_current",),
    "memory": ("current_memory_kib",),
    "tuning": (
        *("shares", "period_microseconds", "quota_microseconds"),
        *("global_period_microseconds", "global_quota_microseconds"),
        *("emulator_period_microseconds", "emulator_quota_microseconds"),
        *("iothread_period_microseconds", "iothread_quota_microseconds"),
        *("vcpu_pins", "emulator_pin", "hard_limit_kib", "soft_limit_kib", "swap_hard_limit_kib", "io_weight"),
    ),
    "lifecycle": ("on_poweroff", "on_reboot", "on_crash"),
    "iothreads": ("count",),
}
_SECTION_WORDS = {
    "system": "QEMU is started with its machine and firmware: they change at the next start.",
    "boot": "What is booted first is read when the machine starts.",
    "kernel": "The kernel is loaded when the machine starts.",
    "features": "The guest sees the features that QEMU was started with until the next start.",
    "clock": "The clock and its timers are set up when QEMU starts.",
    "numa": "NUMA nodes are laid out when QEMU starts.",
}


def plain_name(name: str) -> str:
    """A field's name for who has no labels."""
    return name.replace("_", " ")


def waiting_of_device(
    type_key: str, before: Values, after: Values, *, name_of: Callable[[str], str] = plain_name
) -> str:
    """Why a change of a device waits; empty where it is tried at once. `name_of` says what a field is called."""
    changed = changed_names(before, after)
    waiting = [name for name in changed if name not in _LIVE_FIELDS.get(type_key, ())]
    if type_key == "interface":
        return _waiting_card(before, after, waiting, name_of)
    whose = "a screen's" if type_key == "graphics" else "the"
    return f"QEMU cannot change {whose} {_listed(waiting, name_of)} while it runs." if waiting else ""


def waiting_of_section(
    section_key: str, before: Values, after: Values, *, name_of: Callable[[str], str] = plain_name
) -> str:
    """Why a change of a section waits; empty where it is tried at once. `name_of` says what a field is called."""
    changed = changed_names(before, after)
    waiting = [name for name in changed if name not in _LIVE_SETTINGS.get(section_key, ())]
    if waiting:
        return _SECTION_WORDS.get(section_key, f"QEMU cannot change the {_listed(waiting, name_of)} while it runs.")
    if section_key == "processor" and changed and _number(after, "vcpus_current") > _number(before, "vcpus_max"):
        return f"It was started with at most {before['vcpus_max']} virtual CPUs."
    if section_key == "memory" and changed and _number(after, "current_memory_kib") > _number(before, "memory_kib"):
        return "It was started with less memory than that at most."
    if section_key == "tuning" and any(after.get(name, "") == "" for name in changed if name not in _CLEARED):
        return "What limits it now is its host's default again after the next start."
    return ""


# What can be taken away while it runs: no limit is a limit too.
_CLEARED = ("vcpu_pins", "emulator_pin", "hard_limit_kib", "soft_limit_kib", "swap_hard_limit_kib")


def changed_names(before: Values, after: Values) -> list[str]:
    """The fields whose values are not the same, in the table's order; those that are not named afterwards stay."""
    return [name for name, value in after.items() if not _is_same(before.get(name, ""), value)]


def _waiting_card(before: Values, after: Values, waiting: list[str], name_of: Callable[[str], str]) -> str:
    if "mac" in waiting:
        return "A card is known by its MAC address: it gets another with the next start."
    kinds = (before.get("type", "network"), after.get("type", before.get("type", "network")))
    if kinds[0] != kinds[1] and not set(kinds) <= set(_PLUG_TYPES):
        return "Only between networks and bridges can a card be moved while it runs."
    return f"QEMU cannot change a card's {_listed(waiting, name_of)} while it runs." if waiting else ""


def _is_same(before: Value, after: Value) -> bool:
    # A switch that is off, and one that does not exist, are the same.
    return before == after or (before in ("", False) and after in ("", False))


def _number(values: Values, name: str) -> int:
    value = values.get(name)
    return value if isinstance(value, int) else 0


def _listed(names: Iterable[str], name_of: Callable[[str], str]) -> str:
    words = [name_of(name) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
