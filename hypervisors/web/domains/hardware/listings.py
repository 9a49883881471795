"""The list of a machine's hardware, and what of it waits, for the templates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.libvirtxml.hardware.differences import Difference
from hypervisors.templatetags.units import memory
from hypervisors.web.domains.hardware.entries import (
    SECTION_ENTRIES,
    Entry,
    device_entries,
    device_name,
    section_entries,
)
from hypervisors.web.domains.hardware.machines import MachineHardware
from hypervisors.web.domains.hardware.type_words import TYPES

# Elements of a domain that a section's form is about.
SECTION_OF = {
    "title": "general", "description": "general", "metadata": "general",
    "vcpu": "processor", "vcpus": "processor", "cpu": "processor",
    "memory": "memory", "currentMemory": "memory", "maxMemory": "memory", "memoryBacking": "memory",
    "numatune": "numa", "numa": "numa",
    "os": "system", "iothreads": "iothreads", "iothreadids": "iothreads",
    "features": "features", "clock": "clock", "cputune": "tuning", "memtune": "tuning", "blkiotune": "tuning",
    "on_poweroff": "lifecycle", "on_reboot": "lifecycle", "on_crash": "lifecycle", "pm": "lifecycle",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The lines, and what the page compares to know whether a form is of an older state."""

    sections: tuple[Entry, ...]
    devices: tuple[Entry, ...]
    sha256: str
    is_active: bool


@dataclass(frozen=True, kw_only=True)
class PendingLine:
    """One difference between what runs and what starts next."""

    what: str
    name: str
    now: str
    then: str


def listing_of(hardware: MachineHardware) -> Listing:
    changed = [one for one in hardware.differences if one.device_id]
    sections = [section_of(one) for one in hardware.differences if not one.device_id]
    live = hardware.live if hardware.is_active and hardware.domain.persistent else None
    return Listing(
        sections=tuple(section_entries(sections, _details(hardware))),
        devices=tuple(
            device_entries(live, hardware.stored, changed=[one.device_id for one in changed], leaving=hardware.leaving)
        ),
        sha256=hardware.base_sha256,
        is_active=hardware.is_active,
    )


def pending_lines(hardware: MachineHardware) -> list[PendingLine]:
    """What waits for the next start, in words."""
    return [
        PendingLine(what=_what(hardware, one), name=one.name, now=one.now, then=one.then)
        for one in hardware.differences
    ]


def section_of(difference: Difference) -> str:
    """The section's key; "" for what no form is about."""
    return SECTION_OF.get(
        difference.part.partition("/")[0], difference.part if difference.part in SECTION_ENTRIES else ""
    )


def _what(hardware: MachineHardware, difference: Difference) -> str:
    device = hardware.device(difference.device_id) if difference.device_id else None
    if device is not None:
        return device_name(device)
    section = section_of(difference)
    if section:
        return str(SECTION_ENTRIES[section][1])
    return str(TYPES[difference.part].name) if difference.part in TYPES else difference.part


def _details(hardware: MachineHardware) -> Mapping[str, str]:
    """A few words on some sections, from the machine's row."""
    domain: Any = hardware.domain
    return {
        "processor": _("%(count)d vCPU") % {"count": domain.vcpu_count},
        "memory": memory(domain.memory_kib),
    }
