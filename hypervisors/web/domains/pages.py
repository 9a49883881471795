"""One virtual machine's page: its head, and the tabs, each with a URL of its own."""

import time
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from hypervisors.access import can, permitted
from hypervisors.libvirtxml.domains import ParsedDomain, parsed_from_json
from hypervisors.models import Domain, DomainDefinition, Hypervisor, Installation, Operation
from hypervisors.models.usage import domain_key, read_usage
from hypervisors.privileges import Privilege
from hypervisors.web.answers import leads_on
from hypervisors.web.boosting import wants_part
from hypervisors.web.domains.actions import FORCE_OFF_ENDS, domain_actions, force_off_action
from hypervisors.web.domains.addresses import leased_addresses, merged_addresses
from hypervisors.web.domains.deletion import leftovers_context
from hypervisors.web.domains.device_words import device_word
from hypervisors.web.domains.guests import guest_context
from hypervisors.web.domains.hardware.pending import pending_context
from hypervisors.web.domains.roles import roles_context
from hypervisors.web.domains.screen_pictures import last_screen
from hypervisors.web.domains.snapshots.problems import schedule_problems
from hypervisors.web.frames import has_inventory
from hypervisors.web.operations.pages import history_page
from hypervisors.web.sequences import note_sequence, noted_sequence

# A guest that has not listened for so long is offered to be forced off.
_LATE_SECONDS = 15


@require_safe
def domain(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The overview: what it is made of, and what it used in the last hour."""
    machine = visible_domain(request, uuid)
    parsed = parsed_from_json(_parsed(machine))
    if wants_part(request):
        return render(
            request,
            "domains/overview.html#facts",
            {"domain": machine, "parsed": parsed, "facts": _facts(machine, parsed), **_others(request, machine)},
        )
    context = {"parsed": parsed, "facts": _facts(machine, parsed), "last_screen": last_screen(machine)}
    return page_of(request, machine, "overview", **context, **_others(request, machine))


@require_safe
def domain_screen(request: HttpRequest, uuid: UUID) -> HttpResponse:
    return page_of(request, visible_domain(request, uuid), "screen")


@require_safe
def domain_history(request: HttpRequest, uuid: UUID) -> HttpResponse:
    machine = visible_domain(request, uuid)
    page = history_page(machine, request.GET.get("page"))
    if wants_part(request):
        return render(request, "domains/history.html#rows", {"domain": machine, "page": page})
    return page_of(request, machine, "history", page=page)


@require_safe
def domain_access(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Who may use it; for those who may change that."""
    machine = visible_domain(request, uuid)
    may_operate = can(request.user, Privilege.DOMAIN_OPERATE, machine)
    return page_of(request, machine, "access", may_operate=may_operate, **roles_context(request, machine))


@require_safe
def domain_buttons(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The head's buttons, asked for again after each change.

    The whole page when the machine is gone, or with `?gone=1` (asked by a page that shows it so) when it is back.
    """
    machine = visible_domain(request, uuid)
    if bool(machine.vanished_at) != ("gone" in request.GET):
        return leads_on(machine.get_absolute_url())
    if machine.vanished_at:
        return HttpResponse(status=204)
    return render(request, "domains/buttons.html", _head(request, machine))


@require_safe
def domain_band(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """What runs on it now; of a request to the guest that takes long, the way to end it too."""
    return render(request, "domains/band.html", _band(request, visible_domain(request, uuid)))


@require_safe
def domain_installation(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """What its first boots still need; empty when they are over."""
    machine = visible_domain(request, uuid)
    return render(request, "domains/installation.html", {"domain": machine, "installation": _installation(machine)})


@require_safe
def domain_menu(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """All actions as entries of the list's menu."""
    machine = visible_domain(request, uuid)
    may_configure = can(request.user, Privilege.DOMAIN_CONFIGURE, machine)
    context = {"domain": machine, "actions": domain_actions(machine, request.user), "may_configure": may_configure}
    return render(request, "domains/menu.html", context)


@require_safe
def domain_usage(request: HttpRequest, uuid: UUID) -> JsonResponse:
    """The last hour in columns: seconds since 1970, then the measures of models.usage. `now` is the server's time."""
    machine = visible_domain(request, uuid)
    samples = read_usage(domain_key(machine.uuid))
    columns = [[_rounded(value) for value in column] for column in zip(*(s.values() for s in samples), strict=True)]
    at = [sample.epoch for sample in samples]
    return JsonResponse({"now": round(time.time(), 1), "at": at, "columns": columns or [[]] * 6})


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def page_of(request: HttpRequest, machine: Domain, tab: str, **context: Any) -> HttpResponse:
    """The machine's page with one of its tabs, `domains/<tab>.html`."""
    template = "domains/tombstone.html" if machine.vanished_at and tab == "overview" else f"domains/{tab}.html"
    if machine.vanished_at and tab == "overview":
        context["page"] = history_page(machine, request.GET.get("page"))
        context |= leftovers_context(request, machine)
    context |= {"tabs": _tabs(request, machine, tab), "tab": tab, "sequence": noted_sequence(request)}
    return render(request, template, _head(request, machine) | context)


def _head(request: HttpRequest, machine: Domain) -> dict[str, Any]:
    return {
        "domain": machine,
        "host": machine.hypervisor,
        # Its name is the machine's; reasons of its own, which name addresses and people, are for those who may see it.
        "may_see_host": can(request.user, Privilege.HYPERVISOR_VIEW, machine.hypervisor),
        "may_configure": can(request.user, Privilege.DOMAIN_CONFIGURE, machine),
        "actions": None if machine.vanished_at else domain_actions(machine, request.user),
        "installation": None if machine.vanished_at else _installation(machine),
        **pending_context(request.user, machine),
        "snapshot_problems": schedule_problems(machine),
    } | _band(request, machine)


def _band(request: HttpRequest, machine: Domain) -> dict[str, Any]:
    operation = (
        Operation.objects.unfinished()
        .filter(domain=machine)
        .select_related("requested_by", "target_hypervisor")
        .first()
    )
    context: dict[str, Any] = {"domain": machine, "operation": operation}
    if operation is not None and operation.kind in FORCE_OFF_ENDS:
        waited_seconds = (timezone.now() - operation.requested_at).total_seconds()
        context["force_off"] = force_off_action(machine, request.user)
        context["late_seconds"] = max(0, round(_LATE_SECONDS - waited_seconds))
    return context


def _installation(machine: Domain) -> Installation | None:
    """The one that is not over yet."""
    found = Installation.objects.of(machine)
    return found if found is not None and found.ended_at is None else None


def _tabs(request: HttpRequest, machine: Domain, chosen: str) -> list[dict[str, Any]]:
    """Its parts; who sees no host is spared what is of use to operators only."""
    tabs = {
        "overview": (_("Overview"), "domain"),
        "screen": (_("Console"), "domain_screen"),
        "hardware": (_("Hardware"), "domain_hardware"),
        "snapshots": (_("Snapshots"), "domain_snapshots"),
        "history": (_("History"), "domain_history"),
        "access": (_("Access"), "domain_access"),
        "xml": (_("XML"), "domain_xml"),
    }
    if machine.vanished_at:
        del tabs["screen"], tabs["hardware"], tabs["snapshots"]
    if not has_inventory(request.user):
        del tabs["xml"]
        tabs.pop("hardware", None)
        if not can(request.user, Privilege.DOMAIN_SNAPSHOT, machine):
            tabs.pop("snapshots", None)
        if not can(request.user, Privilege.DOMAIN_GRANT, machine):
            del tabs["access"]
    return [
        {"word": word, "url": reverse(view, args=[machine.uuid]), "is_chosen": name == chosen.partition("_")[0]}
        for name, (word, view) in tabs.items()
    ]


def _facts(machine: Domain, parsed: ParsedDomain) -> list[tuple[str, str]]:
    """Name and value of what is short enough for one line; empty values are left out."""
    kinds = {"kvm": _("KVM, hardware accelerated"), "qemu": _("QEMU, plain emulation (slow)")}
    vcpus = str(machine.vcpu_count)
    if parsed.max_vcpu_count > machine.vcpu_count:
        vcpus = _("%(now)s of %(most)s") % {"now": machine.vcpu_count, "most": parsed.max_vcpu_count}
    facts = {
        _("vCPU"): vcpus,
        _("Topology"): _topology(parsed.cpu_topology),
        _("CPU"): " · ".join(part for part in (parsed.cpu_mode, parsed.cpu_model) if part),
        _("Accelerator"): kinds.get(parsed.domain_type, parsed.domain_type),
        _("Machine"): " · ".join(part for part in (parsed.machine, parsed.architecture) if part),
        _("Firmware"): {"efi": "UEFI", "bios": "BIOS"}.get(parsed.firmware, parsed.firmware),
        _("System"): parsed.os_name,
        _("Boots from"): ", ".join(device_word(device) for device in parsed.boot_devices),
        _("Graphics"): ", ".join(g.kind.upper() + (f" :{g.port}" if g.port else "") for g in parsed.graphics),
        _("Video"): ", ".join(parsed.video_models),
        _("Serial"): ", ".join(serial.kind for serial in parsed.serials),
        _("TPM"): parsed.tpm,
        _("Watchdog"): parsed.watchdog,
        _("Guest agent"): _("channel present") if parsed.has_guest_agent_channel else "",
        _("Host devices"): ", ".join(parsed.host_devices),
        _("Deletion"): _("protected: nobody can delete it") if machine.delete_protected else "",
        _("Shared folders"): ", ".join(f"{f.source} → {f.target}" for f in parsed.filesystems),
    }
    return [(name, value) for name, value in facts.items() if value]


def _others(request: HttpRequest, machine: Domain) -> dict[str, Any]:
    """What other hosts of its pool have of it, and other pools' machines with its UUID, as far as one may see them."""
    hosts = permitted(request.user, Privilege.HYPERVISOR_VIEW, Hypervisor.objects.all()).order_by()
    same_uuid = Q(uuid=machine.libvirt_uuid) | Q(shared_uuid=machine.libvirt_uuid)
    twins = Domain.objects.visible_to(request.user).present().filter(same_uuid).exclude(pk=machine.pk)
    guest = guest_context(machine, request.user)
    return {
        "guest": guest,
        "addresses": merged_addresses(guest["addresses"], leased_addresses(machine.hypervisor_id)),
        "copies": machine.copies.filter(hypervisor__in=hosts.values("pk"))
        .select_related("hypervisor")
        .order_by("hypervisor__natural_name"),
        "twins": twins.select_related("hypervisor__hypervisor_pool"),
    }


def _topology(numbers: str) -> str:
    """ "1:2:2" as words; empty when libvirt chooses."""
    return f"{' × '.join(numbers.split(':'))} ({_('sockets × cores × threads')})" if numbers else ""


def _parsed(machine: Domain) -> dict[str, Any]:
    parses = DomainDefinition.objects.filter(domain=machine).only("live_parsed", "inactive_parsed").first()
    return parses.parsed if parses else {}


def visible_domain(request: HttpRequest, uuid: UUID) -> Domain:
    """Raises: Http404 for strangers."""
    if not wants_part(request):
        note_sequence(request)
    seen = Domain.objects.visible_to(request.user).select_related("hypervisor__hypervisor_pool")
    return get_object_or_404(seen, uuid=uuid)


urlpatterns = [
    path("vms/<uuid:uuid>/", domain, name="domain"),
    path("vms/<uuid:uuid>/screen/", domain_screen, name="domain_screen"),
    path("vms/<uuid:uuid>/history/", domain_history, name="domain_history"),
    path("vms/<uuid:uuid>/access/", domain_access, name="domain_access"),
    path("vms/<uuid:uuid>/buttons/", domain_buttons, name="domain_buttons"),
    path("vms/<uuid:uuid>/band/", domain_band, name="domain_band"),
    path("vms/<uuid:uuid>/installation/", domain_installation, name="domain_installation"),
    path("vms/<uuid:uuid>/menu/", domain_menu, name="domain_menu"),
    path("vms/<uuid:uuid>/usage.json", domain_usage, name="domain_usage"),
]
