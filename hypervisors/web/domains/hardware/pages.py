"""The Hardware tab: the list, the form of one part, when a change would apply, and what waits for the next start."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from hypervisors.access import can, require
from hypervisors.privileges import Privilege
from hypervisors.web.domains.hardware.choosers import type_choices
from hypervisors.web.domains.hardware.controls import draft_of
from hypervisors.web.domains.hardware.listings import listing_of, pending_lines
from hypervisors.web.domains.hardware.machines import MachineHardware, hardware_of
from hypervisors.web.domains.hardware.panes import CHOOSE, PENDING, Pane, pane_of, part_of, timing
from hypervisors.web.domains.hardware.pending import pending_context
from hypervisors.web.domains.pages import page_of, visible_domain
from hypervisors.web.methods import require_POST

_FIRST = "section:general"


@require_safe
def hardware(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The tab, with the form of what `show` names."""
    domain = visible_domain(request, uuid)
    machine = hardware_of(domain)
    pane = shown_pane(request, machine, show=request.GET.get("show", "") or _FIRST)
    return whole_page(request, machine, pane, is_chosen="show" in request.GET)


@require_safe
def hardware_list(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The list alone, asked for again after each change."""
    machine = hardware_of(visible_domain(request, uuid))
    context = {"domain": machine.domain, "listing": listing_of(machine)}
    return render(request, "domains/hardware/list.html", context)


@require_safe
def hardware_pane(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The form alone."""
    machine = hardware_of(visible_domain(request, uuid))
    pane = shown_pane(request, machine, show=request.GET.get("show", "") or _FIRST)
    return render(request, "domains/hardware/pane.html", pane_context(request, machine, pane))


@require_POST
def hardware_timing(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """When what is typed would apply. Changes nothing; a POST, since what is typed may be a password."""
    domain = visible_domain(request, uuid)
    require(request.user, Privilege.DOMAIN_CONFIGURE, domain, what="change_device")
    machine = hardware_of(domain)
    part = part_of(machine, request.POST.get("show", ""))
    draft = draft_of(part.fields, request.POST.dict())
    found = timing(machine, part, draft, wished=request.POST.get("when", ""), xml=request.POST.get("xml", ""))
    return render(request, "domains/hardware/timing.html", {"timing": found})


@require_safe
def hardware_pending(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The banner of what waits for the next start; empty when nothing does."""
    domain = visible_domain(request, uuid)
    return render(request, "domains/hardware/pending.html", pending_context(request.user, domain))


def shown_pane(request: HttpRequest, machine: MachineHardware, *, show: str) -> Pane:
    tab = "xml" if request.GET.get("tab") == "xml" else "details"
    return pane_of(machine, part_of(machine, show), request.user, tab=tab)


def whole_page(
    request: HttpRequest, machine: MachineHardware, pane: Pane, *, is_chosen: bool, status: int = 200
) -> HttpResponse:
    context = pane_context(request, machine, pane) | {"listing": listing_of(machine), "is_chosen": is_chosen}
    response = page_of(request, machine.domain, "hardware", **context)
    response.status_code = status
    return response


def pane_context(request: HttpRequest, machine: MachineHardware, pane: Pane) -> dict[str, Any]:
    may_configure = can(request.user, Privilege.DOMAIN_CONFIGURE, machine.domain)
    context = {
        "domain": machine.domain,
        "pane": pane,
        "base_sha256": machine.base_sha256,
        "is_active": machine.is_active,
        "may_configure": may_configure,
        "may_move": pane.part.device is not None
        and pane.part.key == "disk"
        and can(request.user, Privilege.STORAGE_MANAGE, machine.domain),
        "may_resize": _may_resize(request, pane),
        "is_locked": not may_configure or bool(pane.reason),
    }
    if pane.part.kind == CHOOSE:
        context["type_groups"] = type_choices(machine, request.user)
    if pane.part.kind == PENDING:
        context["lines"] = pending_lines(machine)
    return context


def _may_resize(request: HttpRequest, pane: Pane) -> bool:
    volume = pane.source.kept_volume if pane.source else None
    return volume is not None and can(request.user, Privilege.STORAGE_MANAGE, volume)


urlpatterns = [
    path("vms/<uuid:uuid>/hardware/", hardware, name="domain_hardware"),
    path("vms/<uuid:uuid>/hardware/list/", hardware_list, name="domain_hardware_list"),
    path("vms/<uuid:uuid>/hardware/part/", hardware_pane, name="domain_hardware_part"),
    path("vms/<uuid:uuid>/hardware/timing/", hardware_timing, name="domain_hardware_timing"),
    path("vms/<uuid:uuid>/hardware/pending/", hardware_pending, name="domain_hardware_pending"),
]
