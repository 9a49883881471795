"""Whether a change can be made while the machine runs, known before it is tried (libvirt 9, QEMU 7.2)."""

from dataclasses import dataclass

from hypervisors.libvirtxml.hardware.fields import Values


@dataclass(frozen=True, kw_only=True)
class LiveRule:
    """`why` says why it waits for the next start; empty where it is tried at once."""

    is_live: bool
    why: str = ""


_LIVE = LiveRule(is_live=True)


def rule_for_adding(type_key: str, values: Values, live_xml: str) -> LiveRule:
    return _LIVE


def rule_for_changing(type_key: str, before: Values, after: Values) -> LiveRule:
    return _LIVE


def rule_for_removing(type_key: str, live_xml: str) -> LiveRule:
    """`live_xml` is that of the device."""
    return _LIVE


def rule_for_section(section_key: str, before: Values, after: Values) -> LiveRule:
    return _LIVE
