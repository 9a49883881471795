"""The list on the left of the Hardware tab: the machine's sections and devices, and what of them waits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.libvirtxml.hardware.devices import Device
from hypervisors.templatetags.units import size
from hypervisors.web.domains.hardware.disk_volumes import DISKS, image_name
from hypervisors.web.domains.hardware.type_words import TYPES, TypeWords, type_words

# How it differs from what runs: it comes, it changes or it goes at the next start, or the guest has not let go of it.
COMES, CHANGES, GOES, LEAVES = "comes", "changes", "goes", "leaves"
MARKS = {
    COMES: gettext_lazy("at next start"),
    CHANGES: gettext_lazy("at next start"),
    GOES: gettext_lazy("gone at next start"),
    LEAVES: gettext_lazy("waiting for the guest"),
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line. `show` names it in URLs: "section:processor" or a device's identity."""

    show: str
    icon: str
    name: str
    detail: str = ""
    mark: str = ""
    # Of these a machine has many, and seldom does anybody look at one.
    is_minor: bool = False

    @property
    def query(self) -> str:
        """Of the addresses that show it."""
        return f"?{urlencode({'show': self.show})}"

    @property
    def mark_word(self) -> str:
        return str(MARKS.get(self.mark, ""))


SECTION_ENTRIES = {
    "general": ("id", gettext_lazy("General")),
    "processor": ("cpu", gettext_lazy("Processor")),
    "memory": ("cpu-2", gettext_lazy("Memory")),
    "numa": ("layout-grid", gettext_lazy("NUMA")),
    "system": ("settings-cog", gettext_lazy("Firmware and machine")),
    "boot": ("list-numbers", gettext_lazy("Boot order")),
    "kernel": ("terminal", gettext_lazy("Direct kernel boot")),
    "features": ("toggle-right", gettext_lazy("Features")),
    "clock": ("clock", gettext_lazy("Clock")),
    "tuning": ("adjustments", gettext_lazy("Tuning")),
    "iothreads": ("arrows-split-2", gettext_lazy("I/O threads")),
    "lifecycle": ("refresh-dot", gettext_lazy("Lifecycle")),
}


def section_entries(changed: Iterable[str], details: Mapping[str, str]) -> list[Entry]:
    """`changed`: keys of those that differ from what runs; `details`: a few words on each."""
    waiting = set(changed)
    return [
        Entry(
            show=f"section:{key}",
            icon=icon,
            name=str(name),
            detail=details.get(key, ""),
            mark=CHANGES if key in waiting else "",
        )
        for key, (icon, name) in SECTION_ENTRIES.items()
    ]


def device_entries(
    live: Sequence[Device] | None,
    stored: Sequence[Device],
    *,
    changed: Iterable[str] = (),
    leaving: Iterable[str] = (),
    capacities: Mapping[str, int] | None = None,
) -> list[Entry]:
    """What runs and what is stored, each device once. `live`: None for a machine that is off.

    `changed`: identities of those that differ; `leaving`: those that the guest was asked to let go of;
    `capacities`: of disks, in bytes, by identity.
    """
    now = {device.id: device for device in live or ()}
    then = {device.id: device for device in stored}
    waiting, going = set(changed), set(leaving)
    made = []
    for device_id in dict.fromkeys([*then, *now]):
        device = then.get(device_id) or now[device_id]
        mark = ""
        if live is not None:
            mark = _mark(device_id, is_now=device_id in now, is_then=device_id in then)
            mark = mark or (CHANGES if device_id in waiting else "")
        if device_id in going and device_id in now:
            mark = LEAVES
        made.append((device.type_key, _entry(device, mark, (capacities or {}).get(device_id))))
    order = {key: number for number, key in enumerate(TYPES)}
    # What is of one type stays in the order of its XML.
    return [entry for _key, entry in sorted(made, key=lambda one: order.get(one[0], len(order)))]


def _mark(device_id: str, *, is_now: bool, is_then: bool) -> str:
    if is_now == is_then:
        return ""
    return COMES if is_then else GOES


def _entry(device: Device, mark: str, capacity_bytes: int | None) -> Entry:
    words = type_words(device.type_key)
    detail = device_detail(device)
    return Entry(
        show=device.id,
        icon=words.icon,
        name=device_name(device, words),
        detail=detail if capacity_bytes is None else f"{detail} · {size(capacity_bytes)}",
        mark=mark,
        is_minor=device.type_key in ("controller", "other") and not mark,
    )


def device_detail(device: Device) -> str:
    """What its name does not say yet; of an image the file's name, which tells two of one directory apart."""
    if device.type_key in DISKS:
        return image_name(device.values)
    told = type_words(device.type_key).told_by(device)
    return " · ".join(part for part in device.summary.split(" · ") if part != told)


def device_name(device: Device, words: TypeWords | None = None) -> str:
    """ "Disk vda": what kind of thing it is, with what tells it from others of its kind."""
    words = words or type_words(device.type_key)
    tells = words.told_by(device)
    if device.type_key == "graphics":
        tells = tells.upper()
    return _("%(kind)s %(which)s") % {"kind": words.name, "which": tells} if tells else str(words.name)
