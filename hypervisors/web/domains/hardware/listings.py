"""The list of a machine's hardware, and what of it waits, for the templates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.differences import Difference
from hypervisors.libvirtxml.hardware.fields import Field
from hypervisors.libvirtxml.hardware.sections import SECTIONS
from hypervisors.templatetags.units import memory
from hypervisors.web.domains.hardware.controls import text_of_value
from hypervisors.web.domains.hardware.disk_volumes import volumes_of
from hypervisors.web.domains.hardware.entries import (
    SECTION_ENTRIES,
    Entry,
    device_entries,
    device_name,
    section_entries,
)
from hypervisors.web.domains.hardware.machines import MachineHardware
from hypervisors.web.domains.hardware.type_words import TYPES
from hypervisors.web.domains.hardware.words import choice_word, field_label

# Of what no form knows, the section that it is nearest to, by the domain's element.
_NEAREST = {"os": "boot", "vcpu": "processor", "vcpus": "processor", "cpu": "processor", "metadata": "general"}


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The lines, and what the page compares to know whether a form is of an older state."""

    sections: tuple[Entry, ...]
    devices: tuple[Entry, ...]
    sha256: str
    is_active: bool
    # Whose changes are changes of what the list says of disks.
    storage_pool_ids: tuple[int, ...] = ()

    @property
    def groups(self) -> list[dict[str, Any]]:
        """As the list shows them."""
        return [
            {"css": "vp-hardware-sections", "label": _("The machine"), "entries": self.sections},
            {"css": "vp-hardware-devices", "label": _("Devices"), "entries": self.devices},
        ]


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
    volumes = volumes_of(hardware.domain, (*hardware.stored, *hardware.live))
    live = hardware.live if hardware.is_active and hardware.domain.persistent else None
    return Listing(
        sections=tuple(section_entries(sections, _details(hardware))),
        devices=tuple(
            device_entries(
                live,
                hardware.stored,
                changed=[one.device_id for one in changed],
                leaving=hardware.leaving,
                capacities={device_id: volume.capacity_bytes for device_id, volume in volumes.items()},
            )
        ),
        sha256=hardware.base_sha256,
        is_active=hardware.is_active,
        storage_pool_ids=tuple(sorted({volume.storage_pool_id for volume in volumes.values()})),
    )


def pending_lines(hardware: MachineHardware) -> list[PendingLine]:
    """What waits for the next start, in words."""
    return [_line(hardware, one) for one in hardware.differences]


def section_of(difference: Difference) -> str:
    """The section's key; "" for what no form is about."""
    return difference.section or _NEAREST.get(difference.part, "")


def _line(hardware: MachineHardware, difference: Difference) -> PendingLine:
    key = difference.section or difference.part
    field = _field(key, difference.name)
    return PendingLine(
        what=_what(hardware, difference),
        name=_name(key, field, difference),
        now=_value_text(key, field, difference.now),
        then=_value_text(key, field, difference.then),
    )


def _name(key: str, field: Field | None, difference: Difference) -> str:
    """What of it differs; a whole device comes or goes."""
    if field is not None:
        return str(field_label(key, field.name))
    if difference.name:
        return _("Its place on the bus") if difference.name.startswith("address/") else difference.name
    return _("is added") if not difference.now else _("is removed") if not difference.then else ""


def _field(key: str, name: str) -> Field | None:
    fields = SECTIONS[key].fields if key in SECTIONS else DEVICE_TYPES[key].fields if key in DEVICE_TYPES else ()
    return next((field for field in fields if field.name == name), None)


def _value_text(key: str, field: Field | None, text: str) -> str:
    """A size with its unit, a choice in its words."""
    if field is None or text == "":
        return text
    if field.kind in ("size_kib", "size_bytes") and text.isdecimal():
        return text_of_value(field, int(text))
    return choice_word(key, field.name, text) if field.kind == "choice" else text


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
