"""The calls that change a section of a running machine: by section, for the fields that somebody changed.

A field without a call waits for the next start, whatever else is asked for.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains import live_settings
from hypervisors.libvirtxml.hardware.fields import Value

Values = Mapping[str, Value]
_Make = Callable[[Values, Values, frozenset[str]], Iterator["LiveCall"]]

# As libvirt names them: https://libvirt.org/html/libvirt-libvirt-domain.html#VIR_DOMAIN_SCHEDULER_CPU_SHARES
_SCHEDULING = {
    "shares": "cpu_shares",
    **{
        f"{name}_microseconds": f"vcpu_{name}" if name in ("period", "quota") else name
        for name in (
            *("period", "quota", "global_period", "global_quota"),
            *("emulator_period", "emulator_quota", "iothread_period", "iothread_quota"),
        )
    },
}
_MEMORY_LIMITS = {f"{name}_kib": name for name in ("hard_limit", "soft_limit", "swap_hard_limit")}
# VIR_DOMAIN_MEMORY_PARAM_UNLIMITED
_UNLIMITED_KIB = 9007199254740991


@dataclass(frozen=True, kw_only=True)
class LiveCall:
    """One call; `fields` are those that it sets. Taking it back is the same call with the values from before."""

    fields: frozenset[str]
    call: Callable[[Connection, UUID], None]


def live_calls(section: str, before: Values, after: Values, changed: frozenset[str]) -> list[LiveCall]:
    """What makes the running machine as `after` says. Raises: ValueError when a value cannot be understood."""
    make = _SECTIONS.get(section)
    return [] if make is None or not changed else list(make(before, after, changed))


def without_call(section: str, before: Values, after: Values, changed: frozenset[str]) -> frozenset[str]:
    """The fields among them that no call sets. Raises: ValueError."""
    return changed - {field for one in live_calls(section, before, after, changed) for field in one.fields}


def _general(before: Values, after: Values, changed: frozenset[str]) -> Iterator[LiveCall]:
    texts = {name: str(after.get(name, "")) for name in ("title", "description") if name in changed}
    if texts:
        yield LiveCall(
            fields=frozenset(texts), call=lambda connection, uuid: live_settings.set_text(connection, uuid, **texts)
        )


def _processor(before: Values, after: Values, changed: frozenset[str]) -> Iterator[LiveCall]:
    if "vcpus_current" not in changed:
        return
    count, is_more = _number(after, "vcpus_current"), _number(after, "vcpus_current") > _number(before, "vcpus_current")
    call = live_settings.plug_vcpus if is_more else live_settings.unplug_vcpus
    yield LiveCall(fields=frozenset({"vcpus_current"}), call=lambda connection, uuid: call(connection, uuid, count))


def _memory(before: Values, after: Values, changed: frozenset[str]) -> Iterator[LiveCall]:
    if "current_memory_kib" in changed:
        memory_kib = _number(after, "current_memory_kib")
        yield LiveCall(
            fields=frozenset({"current_memory_kib"}),
            call=lambda connection, uuid: live_settings.set_memory(connection, uuid, memory_kib),
        )


def _tuning(before: Values, after: Values, changed: frozenset[str]) -> Iterator[LiveCall]:
    # What is taken away has a default that differs by host: the next start knows it.
    scheduling = {name: after[name] for name in _SCHEDULING if name in changed and _is_number(after.get(name))}
    if scheduling:
        numbers = {_SCHEDULING[name]: int(value) for name, value in scheduling.items()}
        yield _call(frozenset(scheduling), live_settings.set_scheduling, numbers)
    limits = [name for name in _MEMORY_LIMITS if name in changed]
    if limits:
        numbers = {_MEMORY_LIMITS[name]: _number(after, name, otherwise=_UNLIMITED_KIB) for name in limits}
        yield _call(frozenset(limits), live_settings.set_memory_limits, numbers)
    if "io_weight" in changed and _is_number(after.get("io_weight")):
        yield _call(frozenset({"io_weight"}), live_settings.set_disk_weight, _number(after, "io_weight"))
    yield from _pins(before, after, changed)


def _pins(before: Values, after: Values, changed: frozenset[str]) -> Iterator[LiveCall]:
    if "emulator_pin" in changed:
        cpus = cpu_set(str(after.get("emulator_pin", "")))
        yield _call(frozenset({"emulator_pin"}), live_settings.pin_emulator, cpus)
    if "vcpu_pins" in changed:
        was, becomes = _pinned(before), _pinned(after)
        for vcpu in sorted({*was, *becomes}):
            if was.get(vcpu) != becomes.get(vcpu):
                pin = partial(live_settings.pin_vcpu, vcpu=vcpu, cpus=becomes.get(vcpu))
                yield LiveCall(fields=frozenset({"vcpu_pins"}), call=pin)


def _lifecycle(before: Values, after: Values, changed: frozenset[str]) -> Iterator[LiveCall]:
    for event in ("on_poweroff", "on_reboot", "on_crash"):
        if event in changed:
            set_action = partial(live_settings.set_lifecycle_action, event=event, action=str(after[event]))
            yield LiveCall(fields=frozenset({event}), call=set_action)


def _iothreads(before: Values, after: Values, changed: frozenset[str]) -> Iterator[LiveCall]:
    if changed == {"count"}:
        was, becomes = _number(before, "count"), _number(after, "count")
        change = partial(live_settings.set_io_threads, before=was, after=becomes)
        yield LiveCall(fields=frozenset({"count"}), call=change)


_SECTIONS: dict[str, _Make] = {
    "general": _general,
    "processor": _processor,
    "memory": _memory,
    "tuning": _tuning,
    "lifecycle": _lifecycle,
    "iothreads": _iothreads,
}


def cpu_set(text: str) -> frozenset[int] | None:
    """ "0-3,^2,8" as numbers; None for nothing at all. Raises: ValueError."""
    if not text.strip():
        return None
    chosen: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().removeprefix("^").partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 12:
            raise ValueError(_("“%(text)s” is no list of processors such as 0-3,8.") % {"text": text[:60]})
        numbers = range(int(first), min(int(last or first), 4095) + 1)
        chosen = chosen - set(numbers) if part.strip().startswith("^") else chosen | set(numbers)
    return frozenset(chosen)


def _pinned(values: Values) -> dict[int, frozenset[int] | None]:
    """By vCPU. Raises: ValueError."""
    lines = [line.split() for line in str(values.get("vcpu_pins", "")).splitlines()]
    return {int(words[0]): cpu_set(words[1]) for words in lines if len(words) == 2 and words[0].isdecimal()}


def _call(fields: frozenset[str], call: Callable[[Connection, UUID, Any], None], value: Any) -> LiveCall:
    return LiveCall(fields=fields, call=lambda connection, uuid: call(connection, uuid, value))


def _is_number(value: Value | None) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(values: Values, name: str, *, otherwise: int = 0) -> int:
    value = values.get(name)
    return value if isinstance(value, int) else otherwise
