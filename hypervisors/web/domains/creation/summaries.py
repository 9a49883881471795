"""What will be made, in a few lines: the column that is always in sight, the room it takes, and what to think of."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hypervisors.libvirtxml.domain_spec import InterfaceSpec
from hypervisors.operations.domains.creation.parameters import DiskAction, Method
from hypervisors.templatetags.units import memory, size
from hypervisors.web.domains.creation.choices import Choices
from hypervisors.web.domains.creation.plans import PlannedDisk

if TYPE_CHECKING:
    from hypervisors.web.domains.creation.forms import Creation


@dataclass(frozen=True, kw_only=True)
class Fact:
    name: str
    lines: Sequence[str]
    # Whether it is said also where there is room for one line only.
    is_short: bool = False


@dataclass(frozen=True, kw_only=True)
class Space:
    """What it can take of one storage."""

    name: str
    needed_bytes: int
    free_bytes: int

    @property
    def high_bytes(self) -> int:
        return int(self.free_bytes * 0.9)


def facts_of(creation: "Creation") -> list[Fact]:
    draft, machine = creation.draft, creation.machine
    host = Fact(name=_("Host"), lines=_host_lines(creation), is_short=True)
    if draft.method == "xml":
        return [host]
    if creation.is_led_on:
        return []
    cpu = ngettext("%(count)d vCPU", "%(count)d vCPUs", machine.vcpus) % {"count": machine.vcpus}
    facts = [
        Fact(name=_("Names"), lines=[creation.names_text] if creation.names_text else []),
        Fact(name=_("System"), lines=[creation.suggestions.system.name, *_source_lines(creation)]),
        Fact(name=_("CPU and memory"), lines=[f"{cpu}, {memory(machine.memory_kib)}"], is_short=True),
        Fact(name=_("Disks"), lines=[_disk_line(disk, creation.choices) for disk in creation.planned]),
        Fact(name=_("Networks"), lines=[_card_line(card) for card in machine.interfaces]),
        host,
    ]
    return [fact for fact in facts if fact.lines]


def _card_line(card: InterfaceSpec) -> str:
    return f"{card.source or _('NAT of QEMU itself')} · {card.model}"


def _source_lines(creation: "Creation") -> list[str]:
    draft, choices = creation.draft, creation.choices
    keys = {Method.ISO: draft.iso, Method.CLOUD_IMAGE: draft.image, Method.IMPORT: draft.imported}
    image = choices.image(keys.get(draft.method, ""))  # type: ignore[call-overload]
    return [_("from %(image)s") % {"image": image.volume.name}] if image else []


def _host_lines(creation: "Creation") -> list[str]:
    if creation.host is None:
        return [_("none can take it")]
    return [creation.host.name, *([creation.placement.reason] if not creation.draft.host else [])]


def _disk_line(disk: PlannedDisk, choices: Choices) -> str:
    storage = choices.storage(disk.storage_key)
    name = storage.name if storage else ""
    source = choices.image(str(disk.plan.get("source_volume_id") or ""))
    if disk.plan["action"] == DiskAction.EXISTING:
        return source.volume.name if source else ""
    on_top = _(" on top of %(image)s") if disk.plan["action"] == DiskAction.OVERLAY else _(" copied from %(image)s")
    made_of = on_top % {"image": source.volume.name} if source else ""
    return f"{size(disk.new_bytes)} {disk.plan['format']}{made_of} · {name}"


def space_of(choices: Choices, planned: Sequence[PlannedDisk], count: int) -> list[Space]:
    """What all of them can grow to, by storage."""
    needed: dict[str, int] = defaultdict(int)
    for disk in planned:
        if disk.new_bytes:
            needed[disk.storage_key] += disk.new_bytes * count
    found = ((choices.storage(key), count_bytes) for key, count_bytes in needed.items())
    return [
        Space(name=storage.name, needed_bytes=count_bytes, free_bytes=storage.free_bytes)
        for storage, count_bytes in found
        if storage is not None
    ]


def is_beyond_free(creation: "Creation") -> bool:
    return any(space.needed_bytes > space.free_bytes for space in creation.space)


def warnings_of(creation: "Creation") -> list[str]:
    """What is worth a thought, and hinders nobody."""
    found = [*_size_warnings(creation), *_place_warnings(creation), *_login_warnings(creation)]
    return [text for text in found if text]


def _size_warnings(creation: "Creation") -> list[str]:
    system, machine = creation.suggestions.system, creation.machine
    least_memory, least_disk = system.minimum.memory_kib or 0, system.minimum.disk_bytes or 0
    texts = []
    if machine.memory_kib < least_memory:
        texts.append(_("%(name)s needs %(least)s of memory.") % {"name": system.name, "least": memory(least_memory)})
    first = creation.planned[0] if creation.planned else None
    if first is not None and first.new_bytes and first.new_bytes < least_disk:
        texts.append(_("%(name)s needs a disk of %(least)s.") % {"name": system.name, "least": size(least_disk)})
    if is_beyond_free(creation):
        texts.append(
            _("The disks can grow beyond what is free: when the storage is full, what writes to it is paused.")
        )
    return texts


def _place_warnings(creation: "Creation") -> list[str]:
    texts = []
    used = (creation.choices.storage(disk.storage_key) for disk in creation.planned)
    local = {storage.name for storage in used if storage is not None and storage.only_host}
    if len(creation.choices.hosts) > 1:
        text = _("“%(name)s” is on one host only: the virtual machine cannot move while it runs.")
        texts += [text % {"name": name} for name in sorted(local)]
    if creation.host is not None and creation.host.kvm_available is False:
        texts.append(_("%(host)s has no hardware acceleration (KVM): it will be slow.") % {"host": creation.host.name})
    return texts


def _login_warnings(creation: "Creation") -> list[str]:
    draft = creation.draft
    if draft.method != Method.CLOUD_IMAGE or draft.ssh_keys.strip() or draft.password or draft.user_data.strip():
        return []
    return [_("Without a key or a password nobody can sign in to a cloud image.")]
