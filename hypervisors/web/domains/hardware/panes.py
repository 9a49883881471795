"""What stands on the right of the Hardware tab: the form of a section, of a device, or of one that is to be added."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.utils.translation import gettext as _

from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.devices import Device, parse_one_device
from hypervisors.libvirtxml.hardware.fields import Field, Value, Values
from hypervisors.libvirtxml.hardware.live_rules import LiveRule
from hypervisors.libvirtxml.hardware.sections import SECTIONS, section_values
from hypervisors.operations.engine.registry import find_operation_type
from hypervisors.web.domains.creation.fields import Option
from hypervisors.web.domains.hardware.boot_orders import BootOrder, boot_order
from hypervisors.web.domains.hardware.choices import (
    bridge_options,
    disk_choices,
    filter_options,
    media_choices,
    network_options,
)
from hypervisors.web.domains.hardware.controls import Control, Draft, controls
from hypervisors.web.domains.hardware.disk_sources import DiskSource, disk_source
from hypervisors.web.domains.hardware.disk_volumes import volume_of
from hypervisors.web.domains.hardware.entries import SECTION_ENTRIES, device_name
from hypervisors.web.domains.hardware.host_devices import CAPABILITIES, host_device_options, interface_options
from hypervisors.web.domains.hardware.host_limits import with_host_limits
from hypervisors.web.domains.hardware.layouts import FieldGroup, groups_of
from hypervisors.web.domains.hardware.machines import MachineHardware
from hypervisors.web.domains.hardware.processors import model_options
from hypervisors.web.domains.hardware.suggestions import new_values, suggested_plug
from hypervisors.web.domains.hardware.timing import (
    Timing,
    rule_to_add,
    rule_to_change,
    rule_to_change_section,
    timing_of,
)
from hypervisors.web.domains.hardware.type_words import TYPES, type_words

SECTION, DEVICE, ADD, CHOOSE, PENDING, GONE = "section", "device", "add", "choose", "pending", "gone"
WITHOUT_FORM = (CHOOSE, PENDING, GONE)
DETAILS, XML = "details", "xml"
DRIVES = ("cdrom", "floppy")


@dataclass(frozen=True, kw_only=True)
class Part:
    """What is meant by `show`: "section:memory", "add", "add:disk", or a device's identity."""

    show: str
    kind: str
    key: str = ""  # of the section or the device type
    fields: tuple[Field, ...] = ()
    values: Values = field(default_factory=dict)
    device: Device | None = None

    def after(self, draft: Draft | None) -> dict[str, Value]:
        """Its values with what was typed: of a new one all of that, else what the person has changed."""
        if draft is None:
            return dict(self.values)
        return {**self.values, **draft.values} if self.kind == ADD else draft.onto(self.values)

    @property
    def operation_kind(self) -> str:
        return {SECTION: "change_section", DEVICE: "change_device"}.get(self.kind, "add_device")


@dataclass(frozen=True, kw_only=True)
class Pane:
    """A part as its form shows it."""

    part: Part
    title: str
    icon: str
    tab: str = DETAILS
    groups: tuple[FieldGroup, ...] = ()
    source: DiskSource | None = None
    media: tuple[Option, ...] | None = None
    chosen_medium: str = ""
    # Devices of the host that a new one can be, and which was picked.
    host_devices: tuple[Option, ...] = ()
    picked: str = ""
    boot: BootOrder | None = None
    xml: str = ""
    timing: Timing = field(default_factory=Timing)
    # Why nothing can be changed now, and what was wrong with what was sent.
    reason: str = ""
    error: str = ""
    conflicts: Sequence[str] = ()
    is_typed: bool = False

    @property
    def show(self) -> str:
        return self.part.show

    @property
    def tabs(self) -> list[dict[str, Any]]:
        """Where both a form and XML are to be had."""
        words = {DETAILS: _("Details"), XML: _("XML")}
        return [{"key": key, "word": word, "is_chosen": key == self.tab} for key, word in words.items()]

    @property
    def has_xml_tab(self) -> bool:
        return self.part.kind in (DEVICE, ADD) and bool(self.part.fields)

    @property
    def medium(self) -> str:
        """What is in the drive, by the name of its file; "" for nothing."""
        names = ("source_file", "source_dev", "source_volume", "source_name")
        values = self.part.device.values if self.part.device else {}
        found = next((str(values[name]) for name in names if values.get(name)), "")
        return found.rpartition("/")[2] or found

    @property
    def is_new(self) -> bool:
        return self.part.kind == ADD


def part_of(hardware: MachineHardware, show: str) -> Part:
    """What is not there, or not any more, is told as such."""
    kind, _colon, key = show.partition(":")
    if show == "add":
        return Part(show=show, kind=CHOOSE)
    if show == "pending":
        return Part(show=show, kind=PENDING)
    if kind == "add" and key in DEVICE_TYPES:
        found = DEVICE_TYPES[key]
        return Part(show=show, kind=ADD, key=key, fields=found.fields, values=new_values(key, hardware.stored))
    if kind == "section" and key in SECTIONS:
        return Part(show=show, kind=SECTION, key=key, fields=SECTIONS[key].fields, values=_section(hardware, key))
    device = hardware.device(show)
    if device is None:
        return Part(show=show, kind=GONE)
    known = DEVICE_TYPES.get(device.type_key)
    fields = known.fields if known else ()
    return Part(show=show, kind=DEVICE, key=device.type_key, fields=fields, values=device.values, device=device)


def pane_of(
    hardware: MachineHardware,
    part: Part,
    user: User | AnonymousUser,
    *,
    tab: str = DETAILS,
    draft: Draft | None = None,
    posted: Mapping[str, str] | None = None,
    **said: Any,
) -> Pane:
    """`draft` and `posted`: what was typed, which stays; `said`: further fields of Pane."""
    pane = Pane(
        part=part,
        title=title_of(part),
        icon=_icon(part),
        tab=tab if part.fields and part.kind != SECTION else (DETAILS if part.fields else XML),
        reason=_reason(hardware, part),
        timing=timing(hardware, part, draft, wished=(posted or {}).get("when", ""), xml=(posted or {}).get("xml", "")),
        is_typed=posted is not None,
        **said,
    )
    if part.kind in WITHOUT_FORM:
        return pane
    if pane.tab == XML and part.kind != SECTION:
        return replace(pane, xml=(posted or {}).get("xml") or (part.device.xml if part.device else ""))
    return _with_fields(hardware, pane, user, draft, posted or {})


def timing(hardware: MachineHardware, part: Part, draft: Draft | None, *, wished: str = "", xml: str = "") -> Timing:
    """When what was typed would apply; of a form that nobody has touched, as far as can be told."""
    after = part.after(draft) if not xml else _values_of_xml(part, xml)
    if part.kind != ADD and hardware.is_active and after == part.values:
        return replace(timing_of(hardware, LiveRule(is_live=True), wished=wished), is_untouched=True)
    if part.kind == SECTION:
        before = _live_section(hardware, part) if hardware.is_active else part.values
        # What libvirt filled in when it started, and what waits already, is nothing that was changed here.
        changes = {name: value for name, value in after.items() if value != part.values.get(name)}
        return timing_of(hardware, rule_to_change_section(part.key, before, {**before, **changes}), wished=wished)
    if part.device is not None:
        return timing_of(hardware, rule_to_change(hardware, part.device, after), wished=wished)
    if part.kind == ADD:
        return timing_of(hardware, rule_to_add(hardware, part.key, after), wished=wished)
    return Timing()


def _values_of_xml(part: Part, xml: str) -> dict[str, Value]:
    """What the device says that somebody types; as it was while that cannot be read."""
    try:
        return parse_one_device(xml).values
    except ValueError:
        return dict(part.values)


def _with_fields(
    hardware: MachineHardware, pane: Pane, user: User | AnonymousUser, draft: Draft | None, posted: Mapping[str, str]
) -> Pane:
    part, domain = pane.part, hardware.domain
    options = _options(hardware, part.key, user)
    values = part.values
    if pane.is_new and part.key == "interface":
        values = {**values, **suggested_plug(hardware.stored, options["source_network"])}
    made: dict[str, Control] = controls(part.key, part.fields, values, draft=draft, options=options)
    if part.kind == SECTION:
        made = with_host_limits(made, domain, user)
    source, media = None, None
    if part.key == "disk":
        kept = volume_of(domain, part.device, user) if part.device else None
        source = disk_source(part, disk_choices(domain, user), posted, kept_volume=kept)
    elif part.key in DRIVES:
        media = media_choices(domain, user)
    return replace(
        pane,
        groups=groups_of(part.key, made, without=("order",) if part.show == "section:boot" else ()),
        source=source,
        media=media,
        chosen_medium=posted.get("disk-volume", ""),
        host_devices=host_device_options(domain, part.key, user) if pane.is_new and part.key in CAPABILITIES else (),
        picked=posted.get("host-device", ""),
        boot=boot_order(hardware, made["order"]) if part.show == "section:boot" else None,
    )


def _options(hardware: MachineHardware, key: str, user: User | AnonymousUser) -> dict[str, tuple[Option, ...]]:
    if key == "interface":
        domain = hardware.domain
        filters = filter_options(domain, user)
        networks = {
            "source_network": network_options(domain, user),
            "source_bridge": bridge_options(domain, user),
            "source_dev": interface_options(domain, user),
        }
        # Where none is known, a name can still be typed.
        return networks | ({"filter": filters} if filters else {})
    if key == "processor":
        return {"model": model_options(hardware, user)}
    return {}


def _section(hardware: MachineHardware, key: str) -> dict[str, Value]:
    return _values(hardware.stored_xml, key)


def _live_section(hardware: MachineHardware, part: Part) -> dict[str, Value]:
    return _values(hardware.live_xml, part.key)


def _values(xml: str, key: str) -> dict[str, Value]:
    try:
        return section_values(xml, key) if xml else {}
    except ValueError:
        return {}


def title_of(part: Part) -> str:
    if part.kind == CHOOSE:
        return _("Add hardware")
    if part.kind == PENDING:
        return _("What waits for the next start")
    if part.kind == SECTION:
        return str(SECTION_ENTRIES[part.key][1])
    if part.device is not None:
        return device_name(part.device)
    if part.kind == ADD:
        return _("Add: %(kind)s") % {"kind": type_words(part.key).name}
    return _("It is not there any more")


def _icon(part: Part) -> str:
    if part.kind == SECTION:
        return SECTION_ENTRIES[part.key][0]
    return (
        type_words(part.key).icon
        if part.key in TYPES
        else {CHOOSE: "plus", PENDING: "clock-pause", GONE: "ghost"}.get(part.kind, "code")
    )


def _reason(hardware: MachineHardware, part: Part) -> str:
    if part.kind in WITHOUT_FORM:
        return ""
    found = find_operation_type(part.operation_kind)
    return str(found.why_not(hardware.domain)) if found else ""
