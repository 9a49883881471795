"""The page of a new virtual machine as a whole: from what was sent to what is shown and what would be asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.contrib.auth.models import User
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from hypervisors.access import can
from hypervisors.libvirtxml.domain_spec import DomainSpec
from hypervisors.models import Hypervisor, StoragePool
from hypervisors.operations.domains.creation.parameters import Method
from hypervisors.osinfo.install_scripts import script_profiles
from hypervisors.privileges import Privilege
from hypervisors.templatetags.units import memory
from hypervisors.web.domains.creation.choices import Choices, choices_for
from hypervisors.web.domains.creation.controls import card_controls, controls, disk_controls
from hypervisors.web.domains.creation.drafts import Draft, draft_of, settled
from hypervisors.web.domains.creation.fields import Field
from hypervisors.web.domains.creation.places import NOWHERE, HostRow, Place, chosen_row, find_place, needs_of
from hypervisors.web.domains.creation.plans import (
    Findings,
    PlannedDisk,
    answers_for_installer,
    check_identity,
    cloud_init,
    names_of,
    planned_disks,
    planned_interfaces,
    sized_spec,
)
from hypervisors.web.domains.creation.requests import check_given, given_of
from hypervisors.web.domains.creation.sources import check_source
from hypervisors.web.domains.creation.suggestions import Suggestions, first_texts, suggest
from hypervisors.web.domains.creation.summaries import Fact, Space, facts_of, space_of, warnings_of

# What is made elsewhere: the page leads on to that.
APPLIANCE, XML = "appliance", "xml"
APPLIANCE_PATH = "/appliances/new/"
_ANSWERED = frozenset({Method.ISO, Method.URL_TREE})
_LED_ON = frozenset({APPLIANCE, Method.TEMPLATE})


@dataclass(frozen=True, kw_only=True)
class Creation:
    """All that the page shows. `is_complete`: it was sent to be made; only then is what is missing an error."""

    draft: Draft
    values: Mapping[str, str]
    choices: Choices
    suggestions: Suggestions
    token: str = ""
    is_complete: bool = False
    machine: DomainSpec
    errors: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    hosts: list[HostRow] = field(default_factory=list)
    placement: Place = NOWHERE
    host: Hypervisor | None = None
    planned: list[PlannedDisk] = field(default_factory=list)
    # What would be asked for: the fields of create_domain.
    given: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Field] = field(default_factory=dict)
    disks: list[dict[str, Any]] = field(default_factory=list)
    interfaces: list[dict[str, Any]] = field(default_factory=list)
    may_upload: bool = False
    # XML reaches every file and device of a host: it is for who manages that.
    may_paste: bool = False

    @property
    def can_be_made(self) -> bool:
        return bool(self.given) and not self.errors and not self.missing

    @property
    def wrong_count(self) -> int:
        return len([name for name in self.errors if name != "form"])

    @property
    def names(self) -> list[str]:
        return names_of(self.draft) if self.draft.name else []

    @property
    def names_text(self) -> str:
        names = self.names
        return "" if len(names) < 2 else ", ".join([*names[:3], *(["…"] if len(names) > 4 else []), *names[3:][-1:]])

    @property
    def upload_storage(self) -> StoragePool | None:
        """Where an upload goes: to the storage pool on the host that it will be on, else wherever that storage is."""
        best = self.choices.best_storage
        if best is None:
            return None
        return best.by_host.get(self.host.pk if self.host else 0) or next(iter(best.by_host.values()))

    @property
    def methods(self) -> list[dict[str, str]]:
        return [card for card in method_cards() if self.may_paste or card["value"] != XML]

    @property
    def needs_text(self) -> str:
        return needs_text(self.suggestions)

    @property
    def is_advanced_changed(self) -> bool:
        names = ("firmware", "tpm", "machine", "cpu", "graphics", "video")
        return any(self.fields[name].is_changed or self.fields[name].error for name in names)

    @property
    def advanced_text(self) -> str:
        fields = (self.fields[name] for name in ("firmware", "machine", "graphics", "video"))
        return " · ".join(_chosen_text(one) for one in fields if one.value)

    @property
    def headline(self) -> str:
        names = self.names
        if len(names) > 1:
            return _("%(count)d virtual machines") % {"count": len(names)}
        return names[0] if names else _("New virtual machine")

    @property
    def short_text(self) -> str:
        return " · ".join(fact.lines[0] for fact in self.summary if fact.is_short and fact.lines)

    @property
    def summary(self) -> list[Fact]:
        return facts_of(self)

    @property
    def space(self) -> list[Space]:
        return space_of(self.choices, self.planned, len(self.names) or 1)

    @property
    def profiles(self) -> tuple[str, ...]:
        """What can be installed of the system unattended; empty where nothing can."""
        return script_profiles(self.suggestions.system)

    @property
    def is_answered(self) -> bool:
        return bool(self.draft.answered and self.draft.method in _ANSWERED and self.profiles)

    @property
    def is_login_asked(self) -> bool:
        return self.is_answered or self.draft.method == Method.CLOUD_IMAGE

    @property
    def is_led_on(self) -> bool:
        return self.draft.method in _LED_ON

    @property
    def next_url(self) -> str:
        """The page or the dialog that goes on with it; "" while nothing is chosen."""
        if self.draft.method == Method.TEMPLATE:
            template = self.choices.template(self.draft.template)
            return f"{template.domain.get_absolute_url()}clone/" if template else ""
        image = self.choices.image(self.draft.appliance)
        return f"{APPLIANCE_PATH}?{urlencode({'volume': image.key})}" if image else ""


def creation_of(user: User, values: dict[str, str], *, token: str, is_complete: bool = False) -> Creation:
    """The page for what was sent."""
    draft = draft_of(values)
    choices = choices_for(user, draft.pool, host_key=draft.host, image_key=draft.iso or draft.image)
    values = settled(values | {"pool": str(choices.pool.pk) if choices.pool else ""}, first_texts(draft, choices))
    suggestions = suggest(values, choices, user)
    values = settled(values, suggestions.texts)
    draft = draft_of(values)
    found = Findings()
    machine = sized_spec(draft, values, suggestions, found)
    creation = Creation(
        draft=draft, values=values, choices=choices, suggestions=suggestions, token=token, machine=machine
    )
    return _filled(creation, user, found, is_complete=is_complete)


def _filled(creation: Creation, user: User, found: Findings, *, is_complete: bool) -> Creation:
    draft, choices = creation.draft, creation.choices
    check_source(draft, choices, found)
    planned, cards, seed = [], [], None
    if draft.method not in (APPLIANCE, XML, Method.TEMPLATE):
        check_identity(draft, choices, found)
        planned = planned_disks(draft, creation.values, choices, found)
        cards = planned_interfaces(draft, choices, found)
        seed = answers_for_installer(draft, found) if creation.is_answered else cloud_init(draft, found)
    needs = needs_of(creation.machine, cards, (disk.storage_key for disk in planned), choices)
    hosts, placement = find_place(choices, needs, draft.host)
    host = choices.host(draft.host) if draft.host else placement.host
    _check_host(hosts, host, placement, draft, found)
    may_paste = any(can(user, Privilege.HYPERVISOR_MANAGE, row) for row in ([host] if host else choices.hosts[:1]))
    if draft.method == XML and not may_paste:
        found.wrong("form", _("XML reaches everything of its host: only who manages that may paste it."))
    machine = replace(creation.machine, disks=(), interfaces=tuple(cards))
    creation = replace(creation, machine=machine, planned=planned, hosts=hosts, placement=placement, host=host)
    given: dict[str, Any] = {}
    if host is not None and not found.errors and not found.missing and not creation.is_led_on:
        given = {"xml": draft.xml} if draft.method == XML else given_of(creation, seed)
        check_given(creation, given, found)
    if is_complete:
        found.errors |= {name: _("This is needed.") for name in found.missing if name not in found.errors}
    errors = found.errors
    return replace(
        creation,
        given=given,
        is_complete=is_complete,
        errors=errors,
        missing=list(dict.fromkeys(found.missing.values())),
        warnings=warnings_of(creation),
        fields=controls(creation, errors),
        disks=disk_controls(creation, errors),
        interfaces=card_controls(creation, errors),
        may_paste=may_paste,
        may_upload=any(can(user, Privilege.STORAGE_MANAGE, row) for row in choices.hosts[:1]),
    )


def _check_host(rows: list[HostRow], host: Hypervisor | None, placement: Place, draft: Draft, found: Findings) -> None:
    chosen = chosen_row(rows, host)
    if chosen is None:
        found.wrong("host", placement.reason)
    elif chosen.reason:
        found.wrong("host", f"{chosen.host.name}: {chosen.reason}")


def needs_text(suggestions: Suggestions) -> str:
    """What the system asks for, "Debian 12 wants 1 GiB of memory, better 2 GiB"."""
    system = suggestions.system
    least, better = system.minimum.memory_kib, system.recommended.memory_kib
    if least and better and better > least:
        return _("%(name)s needs %(least)s of memory, better %(better)s") % {
            "name": system.name,
            "least": memory(least),
            "better": memory(better),
        }
    if least or better:
        return _("%(name)s needs %(least)s of memory") % {"name": system.name, "least": memory(least or better)}
    return ""


def method_cards() -> list[dict[str, str]]:
    cards = (
        (Method.ISO, "disc", _("Install from ISO"), _("a CD image from the library, or one that you upload")),
        (Method.CLOUD_IMAGE, "cloud", _("Cloud image"), _("ready to run in seconds; user and keys by cloud-init")),
        (Method.TEMPLATE, "template", _("Template"), _("linked to a template of yours, or a copy of it")),
        (Method.IMPORT, "database-import", _("Import disk"), _("a disk image that has a system already")),
        (Method.PXE, "network", _("Network (PXE)"), _("what the network's boot server gives")),
        (Method.URL_TREE, "world-download", _("Install tree"), _("kernel and installer from a URL")),
        (APPLIANCE, "package-import", _("Appliance"), _("OVA or VMDK from VMware or VirtualBox")),
        (XML, "code", _("XML"), _("libvirt's own description, pasted")),
    )
    return [{"value": str(value), "icon": icon, "text": text, "note": note} for value, icon, text, note in cards]


def _chosen_text(field: Field) -> str:
    return next((option.text for option in field.options if option.value == field.value), field.value)
