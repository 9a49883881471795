"""Whether a change can be made while the machine runs, known before it is tried (libvirt 9, QEMU 7.2).

What is said to be possible is tried, and may still be refused by the host or the guest; the rest is not tried.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.hardware.definitions import parse_definition, parse_device
from hypervisors.libvirtxml.hardware.device_types import device_type_of
from hypervisors.libvirtxml.hardware.fields import Values
from hypervisors.libvirtxml.hardware.live_changes import plain_name, waiting_of_device, waiting_of_section
from hypervisors.libvirtxml.hardware.live_room import missing_room
from hypervisors.libvirtxml.hardware.values import read_values


@dataclass(frozen=True, kw_only=True)
class LiveRule:
    """`why` says why it waits for the next start; empty where it is tried at once."""

    is_live: bool
    why: str = ""


_LIVE = LiveRule(is_live=True)

# Neither plugged in nor taken out while QEMU runs, whatever their values are.
_FIXED = {
    "cdrom": "a drive for discs",
    "floppy": "a floppy drive",
    "graphics": "a screen",
    "video": "a video card",
    "sound": "a sound card",
    "serial": "a serial port",
    "parallel": "a parallel port",
    "smartcard": "a smart card reader",
    "tpm": "a TPM",
    "panic": "a panic device",
    "memballoon": "a memory balloon",
    "iommu": "an IOMMU",
}


def rule_for_adding(type_key: str, values: Values, live_xml: str) -> LiveRule:
    """`live_xml` is the running domain's; "" where it is not known. Raises: ValueError when it cannot be read."""
    why = _never_added(type_key, values)
    if not why and live_xml:
        why = missing_room(type_key, values, parse_definition(live_xml))
    return _rule(why)


def rule_for_changing(
    type_key: str, before: Values, after: Values, *, name_of: Callable[[str], str] = plain_name
) -> LiveRule:
    """`before` are the values of the running machine's device; `name_of` says what a field is called."""
    return _rule(waiting_of_device(type_key, before, after, name_of=name_of))


def rule_for_removing(type_key: str, live_xml: str) -> LiveRule:
    """`live_xml` is the device's. Raises: ValueError when it cannot be read."""
    element = parse_device(live_xml)
    return _rule(_never_removed(type_key, read_values(element, device_type_of(element).fields), element))


def rule_for_section(
    section_key: str, before: Values, after: Values, *, name_of: Callable[[str], str] = plain_name
) -> LiveRule:
    """`before` are the values of the running machine; `name_of` says what a field is called."""
    return _rule(waiting_of_section(section_key, before, after, name_of=name_of))


def _never_added(type_key: str, values: Values) -> str:
    why = _fixed(type_key, values, "QEMU cannot plug in {what} while it runs.")
    if not why and type_key == "watchdog" and values.get("model") != "i6300esb":
        return f"QEMU cannot plug in a watchdog of the model {values.get('model')} while it runs; i6300esb it can."
    return why


def _never_removed(type_key: str, values: Values, element: etree._Element) -> str:
    if type_key == "memory" and values.get("model") == "virtio-mem":
        return "A virtio-mem device stays as long as it runs; what is requested of it can be made 0."
    if type_key == "memory" and values.get("model") in ("nvdimm", "virtio-pmem"):
        return "Persistent memory cannot be unplugged while it runs."
    if type_key == "watchdog" and values.get("model") != "i6300esb":
        return f"A watchdog of the model {values.get('model')} cannot be unplugged while it runs."
    if type_key == "other":
        return f"Whether QEMU can unplug a device of the kind “{element.tag}” while it runs is not known."
    return _fixed(type_key, values, "QEMU cannot unplug {what} while it runs.")


def _fixed(type_key: str, values: Values, sentence: str) -> str:
    what = _FIXED.get(type_key) or _fixed_by_values(type_key, values)
    return sentence.format(what=what) if what else ""


def _fixed_by_values(type_key: str, values: Values) -> str:
    """What it is called, where some of its kind can be plugged in and this one cannot."""
    find = _BY_VALUES.get(type_key)
    return "" if find is None else find(values)


def _disk(values: Values) -> str:
    bus = str(values.get("bus", ""))
    return f"a disk on {bus.upper()}" if bus in ("sata", "ide", "fdc") else ""


def _controller(values: Values) -> str:
    return "" if values.get("type") == "scsi" else f"a controller of the type {values.get('type')}"


def _input(values: Values) -> str:
    if values.get("bus") in ("usb", "virtio") or values.get("type") == "evdev":
        return ""
    return "an input device on PS/2" if values.get("bus") == "ps2" else "an input device on this bus"


def _console(values: Values) -> str:
    return "" if values.get("target_type") == "virtio" else "a console that is a serial port"


def _channel(values: Values) -> str:
    return "a channel that forwards a network port" if values.get("target_type") == "guestfwd" else ""


def _filesystem(values: Values) -> str:
    return "" if values.get("driver") == "virtiofs" else "a directory that is shared by 9p"


_BY_VALUES = {
    "disk": _disk,
    "controller": _controller,
    "input": _input,
    "console": _console,
    "channel": _channel,
    "filesystem": _filesystem,
}


def _rule(why: str) -> LiveRule:
    return LiveRule(is_live=False, why=why) if why else _LIVE
