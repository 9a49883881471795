"""When a change would apply: at once, or at the next start and why; from rows and the rules, never by asking a host."""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from hypervisors.libvirtxml.hardware.devices import Device
from hypervisors.libvirtxml.hardware.fields import Values
from hypervisors.libvirtxml.hardware.live_rules import (
    LiveRule,
    rule_for_adding,
    rule_for_changing,
    rule_for_removing,
    rule_for_section,
)
from hypervisors.web.domains.hardware.machines import MachineHardware
from hypervisors.web.domains.hardware.words import field_label

NOW, NEXT_START = "now", "next_start"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """`why` says why it waits; `when` is what the form sends. A choice there is only where both are possible.

    `is_untouched`: nobody has changed anything yet.
    """

    is_untouched: bool = False
    is_off: bool = False
    can_be_now: bool = True
    why: str = ""
    when: str = NOW

    @property
    def has_choice(self) -> bool:
        return self.can_be_now and not self.is_off


def timing_of(hardware: MachineHardware, rule: LiveRule, *, wished: str = "") -> Timing:
    """`wished`: what the person chose before, where there was a choice."""
    if not hardware.is_active:
        return Timing(is_off=True, when=NEXT_START)
    if not hardware.domain.persistent:
        return Timing(can_be_now=rule.is_live, why=rule.why, when=NOW)
    if not rule.is_live:
        return Timing(can_be_now=False, why=rule.why, when=NEXT_START)
    return Timing(when=NEXT_START if wished == NEXT_START else NOW)


def rule_to_add(hardware: MachineHardware, type_key: str, values: Values) -> LiveRule:
    return _told(lambda: rule_for_adding(type_key, values, hardware.live_xml))


def rule_to_change(hardware: MachineHardware, device: Device, after: Values) -> LiveRule:
    """Against what runs: what waits already and is taken back needs no start."""
    running = hardware.live_device(device.id)
    if hardware.is_active and running is None:
        return LiveRule(is_live=False, why=_("It is not there yet: it comes at the next start."))
    name_of = _quoted_labels(device.type_key)
    return _told(lambda: rule_for_changing(device.type_key, (running or device).values, after, name_of=name_of))


def rule_to_remove(hardware: MachineHardware, device: Device) -> LiveRule:
    running = hardware.live_device(device.id)
    if hardware.is_active and running is None:
        return LiveRule(is_live=False, why=_("It is not there yet: it comes at the next start."))
    return _told(lambda: rule_for_removing(device.type_key, (running or device).xml))


def rule_to_change_section(section_key: str, before: Values, after: Values) -> LiveRule:
    return _told(lambda: rule_for_section(section_key, before, after, name_of=_quoted_labels(section_key)))


def _quoted_labels(key: str) -> Callable[[str], str]:
    """A field as its form calls it."""
    return lambda name: f"“{field_label(key, name)}”"


def _told(rule: Callable[[], LiveRule]) -> LiveRule:
    """What cannot be told is tried."""
    try:
        return rule()
    except ValueError:
        return LiveRule(is_live=True)
