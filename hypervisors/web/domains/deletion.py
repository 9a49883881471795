"""Deleting machines: the dialog of one with its disks, that of many, and the protection from all that."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from hypervisors.access import can, require
from hypervisors.administration.delete_protection import protect_from_deletion
from hypervisors.errors import Conflict, NotPermitted, NotPossible
from hypervisors.models import Domain
from hypervisors.operations.domains.deletion.outcomes import leftovers
from hypervisors.operations.domains.deletion.plan import DeletionPlan, deletion_plan
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.engine.requests import preflight, request_of_many, request_operation, why_not
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done
from hypervisors.web.boosting import wants_part
from hypervisors.web.domains.operations import asked_domains, why_not_these
from hypervisors.web.methods import require_POST
from hypervisors.web.permissions import person

_KIND = "delete_domain"
# The disks of more machines are not looked at before somebody has said yes.
_MOST_LOOKED_AT = 20


@require_http_methods(["GET", "HEAD", "POST"])
def delete_domain(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """GET: its disks, and what goes besides. POST `disk` repeated, `force_off`: delete it with those."""
    domain = _visible(request, uuid)
    require(request.user, Privilege.DOMAIN_DELETE, domain, what=_KIND)
    error = ""
    if request.method == "POST":
        parameters = {"disks": request.POST.getlist("disk"), "force_off": bool(request.POST.get("force_off"))}
        try:
            request_operation(user=person(request), subject=domain, kind=_KIND, parameters=parameters)
        except (Conflict, NotPossible, NotPermitted) as refusal:
            error = str(refusal)
        else:
            return done(request, _("Delete: %(name)s") % {"name": domain.name}, back=domain)
    context = {
        "domain": domain,
        "plan": deletion_plan(domain),
        "may_delete_files": can(request.user, Privilege.STORAGE_MANAGE, domain.hypervisor),
        "error": error,
        "reason": "" if error else why_not(domain, _KIND),
        "chosen": request.POST.getlist("disk") if request.method == "POST" else None,
    }
    return render(request, _dialog_or_page(request, "domains/delete.html"), context)


@dataclass(frozen=True, kw_only=True)
class _Doomed:
    """A machine that can be deleted, and what would go with it where that was looked at."""

    domain: Domain
    plan: DeletionPlan | None


@require_POST
def delete_domains(request: HttpRequest) -> HttpResponse:
    """What deleting the chosen machines would do; with `confirmed` does it, `disks` and `force_off` as said there."""
    asked = asked_domains(request)
    refusal = why_not_these(request, asked)
    if refusal is not None:
        return refusal
    domains = list(asked.select_related("hypervisor"))
    if not request.POST.get("confirmed"):
        return _preflight(request, domains)
    force_off = bool(request.POST.get("force_off"))
    bulk = request_of_many(
        user=person(request),
        kind=_KIND,
        subjects=[domain for domain in domains if force_off or not domain.is_active],
        parameters={"own_disks": bool(request.POST.get("disks")), "force_off": force_off},
    )
    count = len(bulk.accepted)
    text = ngettext("Delete: %(count)d machine", "Delete: %(count)d machines", count) % {"count": count}
    if not bulk.refusals and bulk.accepted:
        return done(request, text, back="domains", events={"vp:select-none": {}})
    context = {"text": text, "refusals": bulk.refusals, "accepted": count}
    return render(request, _dialog_or_page(request, "domains/refusals.html"), context)


@require_POST
def domain_delete_protection(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`protected`: whether nobody may delete it."""
    domain = _visible(request, uuid)
    protected = bool(request.POST.get("protected"))
    protect_from_deletion(person(request), domain, protected=protected)
    text = _("%(name)s is protected from deletion") if protected else _("%(name)s can be deleted")
    return done(request, text % {"name": domain.name}, back=domain)


@require_safe
def domain_leftovers(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """What the deletion of a machine that is gone has left."""
    domain = _visible(request, uuid)
    require(request.user, Privilege.DOMAIN_DELETE, domain, what="delete_leftovers")
    return render(request, "domains/leftovers.html", {"domain": domain} | leftovers_context(request, domain))


def leftovers_context(request: HttpRequest, domain: Domain) -> dict[str, Any]:
    """Nothing for who may not delete it, and while it is there."""
    if domain.vanished_at is None or not can(request.user, Privilege.DOMAIN_DELETE, domain):
        return {"leftovers": []}
    return {"leftovers": leftovers(domain), "leftovers_kind": operation_type("delete_leftovers")}


def _preflight(request: HttpRequest, domains: list[Domain]) -> HttpResponse:
    reasons = preflight(kind=_KIND, subjects=domains, user=person(request))
    possible = [domain for domain in domains if not reasons[domain]]
    skipped = [(domain, reasons[domain]) for domain in domains if reasons[domain]]
    if not possible:
        context: dict[str, Any] = {"text": "", "refusals": skipped, "accepted": 0}
        return render(request, _dialog_or_page(request, "domains/refusals.html"), context)
    is_looked_at = len(possible) <= _MOST_LOOKED_AT
    doomed = [_Doomed(domain=one, plan=deletion_plan(one) if is_looked_at else None) for one in possible]
    disks = [disk for one in doomed if one.plan is not None for disk in one.plan.chosen]
    context = {
        "doomed": doomed,
        "skipped": skipped,
        "running": sum(domain.is_active for domain in possible),
        "is_looked_at": is_looked_at,
        "disk_count": len(disks),
        "disk_bytes": sum(disk.size_bytes for disk in disks),
        "all": request.POST.get("all"),
        "count": request.POST.get("count"),
        "query": request.GET.urlencode(),
        "asked": domains,
    }
    return render(request, _dialog_or_page(request, "domains/delete_many.html"), context)


def _visible(request: HttpRequest, uuid: UUID) -> Domain:
    """Raises: Http404 for strangers."""
    return get_object_or_404(Domain.objects.visible_to(request.user).select_related("hypervisor"), uuid=uuid)


def _dialog_or_page(request: HttpRequest, template: str) -> str:
    return f"{template}#dialog" if wants_part(request) else template


urlpatterns = [
    path("vms/delete/", delete_domains, name="delete_domains"),
    path("vms/<uuid:uuid>/delete/", delete_domain, name="delete_domain"),
    path("vms/<uuid:uuid>/leftovers/", domain_leftovers, name="domain_leftovers"),
    path("vms/<uuid:uuid>/delete-protection/", domain_delete_protection, name="domain_delete_protection"),
]
