"""Asking for operations: of one virtual machine, of many, by a form, and where it may move."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from hypervisors.access import require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import Domain
from hypervisors.models.domains import DomainQuerySet
from hypervisors.operations.domains.migration_targets import MigrationTarget, migration_targets, needed_memory_kib
from hypervisors.operations.engine.registry import find_operation_type
from hypervisors.operations.engine.requests import preflight, request_of_many, request_operation
from hypervisors.operations.engine.types import OperationType
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done, refused
from hypervisors.web.boosting import wants_part
from hypervisors.web.domains.forms import FORMS as DOMAIN_FORMS
from hypervisors.web.domains.forms import OperationForm, initial_values
from hypervisors.web.domains.guest_forms import BUTTON_FORMS, GUEST_FORMS
from hypervisors.web.domains.list_queries import MOST_AT_ONCE, DomainListQuery
from hypervisors.web.domains.snapshots.problems import SNAPSHOT_KINDS
from hypervisors.web.methods import require_POST
from hypervisors.web.permissions import person

FORMS: dict[str, type[OperationForm]] = DOMAIN_FORMS | GUEST_FORMS | BUTTON_FORMS
_DIALOG_FORMS = ("rename", "describe", *GUEST_FORMS)
# Kinds with pages of their own, which say what is to be chosen.
_OWN_DOORS = (
    "migrate",
    "delete_domain",
    "export_domain",
    "clone_domain",
    "make_template",
    "move_disk",
    "commit_disk",
    "pull_disk",
    *SNAPSHOT_KINDS,
)
# Of more, the question names so many and counts the rest.
_MOST_NAMED = 12


@require_POST
def operate_domain(request: HttpRequest, uuid: UUID, kind: str) -> HttpResponse:
    """Asks for one operation; a form's faults and a refusal come back as the form with the reasons in it."""
    domain = _visible(request, uuid)
    found = _type(kind)
    if kind in _OWN_DOORS:
        raise Http404
    require(request.user, found.privilege, domain, what=kind)
    form = None
    if kind in FORMS:
        form = FORMS[kind](request.POST, domain=domain)
        if not form.is_valid():
            return _form(request, domain, kind, form)
    try:
        operation = request_operation(
            user=person(request), subject=domain, kind=kind, parameters=form.cleaned_data if form else None
        )
    except (Conflict, NotPossible) as error:
        if form is not None and kind in _DIALOG_FORMS:
            form.add_error(None, str(error))
            return _form(request, domain, kind, form)
        return refused(request, str(error), status=409 if isinstance(error, Conflict) else 422)
    return done(request, f"{domain.name}: {found.label}", back=domain, operation=operation)


@require_safe
def domain_form(request: HttpRequest, uuid: UUID, kind: str) -> HttpResponse:
    """The form for a new name, or for title and description."""
    domain = _visible(request, uuid)
    if kind not in _DIALOG_FORMS:
        raise Http404
    require(request.user, _type(kind).privilege, domain, what=kind)
    asked = {"user": request.GET["user"]} if kind in GUEST_FORMS and "user" in request.GET else {}
    form = FORMS[kind](initial=initial_values(domain, kind) | asked, domain=domain)
    return _form(request, domain, kind, form)


@require_http_methods(["GET", "HEAD", "POST"])
def migrate_domain(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """GET: the hosts it may move to, and why not to the others. POST `target`: moves it there."""
    domain = _visible(request, uuid)
    # Other hosts and their load are shown only to who may move it.
    require(request.user, Privilege.DOMAIN_MIGRATE, domain, what="migrate")
    targets = migration_targets(domain)
    error = ""
    if request.method == "POST":
        target = next((t for t in targets if str(t.hypervisor.pk) == request.POST.get("target")), None)
        if target is None:
            error = _("Choose where it shall go.")
        else:
            try:
                operation = request_operation(
                    user=person(request), subject=domain, kind="migrate", target_hypervisor=target.hypervisor
                )
            except (Conflict, NotPossible) as refusal:
                error = str(refusal)
            else:
                text = _("%(name)s moves to %(host)s") % {"name": domain.name, "host": target.hypervisor.name}
                return done(request, text, back=domain, operation=operation)
    context = {
        "domain": domain,
        "targets": targets,
        "is_possible": any(target.is_possible for target in targets),
        "needed_kib": needed_memory_kib(domain),
        "error": error,
        "chosen": request.POST.get("target") or _only_target(targets),
    }
    return render(request, _dialog_or_page(request, "domains/migrate.html"), context)


def _only_target(targets: Sequence[MigrationTarget]) -> str:
    """The key of the only host that it can move to; "" where one is to be chosen."""
    possible = [str(target.hypervisor.pk) for target in targets if target.is_possible]
    return possible[0] if len(possible) == 1 else ""


@require_POST
def preflight_domains(request: HttpRequest, kind: str) -> HttpResponse:
    """What asking it of these would do, by name, and who would be skipped and why. Changes nothing."""
    found = _type(kind)
    if not found.in_bulk or kind in _OWN_DOORS:
        raise Http404
    asked = asked_domains(request)
    refusal = why_not_these(request, asked)
    if refusal is not None:
        return refusal
    reasons = preflight(kind=kind, subjects=list(asked.select_related("hypervisor")), user=person(request))
    possible = [domain for domain, reason in reasons.items() if not reason]
    skipped = [(domain, reason) for domain, reason in reasons.items() if reason]
    if not possible:
        context: dict[str, Any] = {"text": "", "refusals": skipped, "accepted": 0}
        return render(request, _dialog_or_page(request, "domains/refusals.html"), context)
    context = {
        "found": found,
        "title": _preflight_title(found, len(possible), len(skipped)),
        "possible": possible,
        "shown": possible[:_MOST_NAMED],
        "more": max(0, len(possible) - _MOST_NAMED),
        "skipped": skipped,
        "url": reverse("operate_domains", args=[kind]),
    }
    return render(request, _dialog_or_page(request, "domains/preflight.html"), context)


def _preflight_title(found: "OperationType[Domain]", possible: int, skipped: int) -> str:
    text = ngettext("%(kind)s: %(count)d machine", "%(kind)s: %(count)d machines", possible)
    title = text % {"kind": found.label, "count": possible}
    return title if not skipped else _("%(title)s; skip %(count)d") % {"title": title, "count": skipped}


@require_POST
def operate_domains(request: HttpRequest, kind: str) -> HttpResponse:
    """Asks it of each `uuid`, or with `all` of each that the list's query matches; says who was refused and why.

    With `all`, `count` is how many the person was told of: when others match by now, nothing is done.
    """
    found = _type(kind)
    if not found.in_bulk or kind in _OWN_DOORS:
        raise Http404
    asked = asked_domains(request)
    refusal = why_not_these(request, asked)
    if refusal is not None:
        return refusal
    bulk = request_of_many(user=person(request), kind=kind, subjects=list(asked.select_related("hypervisor")))
    text = ngettext("%(kind)s: %(count)d machine", "%(kind)s: %(count)d machines", len(bulk.accepted)) % {
        "kind": found.label,
        "count": len(bulk.accepted),
    }
    if not bulk.refusals and bulk.accepted:
        return done(request, text, back="domains", events={"vp:select-none": {}})
    context = {"text": text, "refusals": bulk.refusals, "accepted": len(bulk.accepted)}
    return render(request, _dialog_or_page(request, "domains/refusals.html"), context)


def why_not_these(request: HttpRequest, asked: DomainQuerySet) -> HttpResponse | None:
    """The answer where these cannot be asked for: too many, or not those that the person was told of."""
    count = asked.count()
    if count > MOST_AT_ONCE:
        text = _("These are %(count)d machines; at most %(most)d can be asked at once. Narrow the list.")
        return refused(request, text % {"count": count, "most": MOST_AT_ONCE}, status=422)
    if request.POST.get("all") and request.POST.get("count") != str(count):
        text = ngettext(
            "The list has changed: %(count)d machine matches now. Nothing was asked for; look at it and try again.",
            "The list has changed: %(count)d machines match now. Nothing was asked for; look at it and try again.",
            count,
        )
        return refused(request, text % {"count": count}, status=409)
    return None


def _visible(request: HttpRequest, uuid: UUID) -> Domain:
    """Raises: Http404 for strangers."""
    return get_object_or_404(Domain.objects.visible_to(request.user).select_related("hypervisor"), uuid=uuid)


def _type(kind: str) -> "OperationType[Domain]":
    """Raises: Http404 for what is not asked of virtual machines."""
    found = find_operation_type(kind)
    if found is None or found.subject_type != "domain":
        raise Http404
    return found


def asked_domains(request: HttpRequest) -> DomainQuerySet:
    """Each `uuid`, or with `all` each that the list's query matches, as far as one may see them."""
    if request.POST.get("all"):
        return DomainListQuery.from_url(request.GET).matching(request.user)
    uuids = []
    for text in request.POST.getlist("uuid"):
        try:
            uuids.append(UUID(text))
        except ValueError:
            continue
    return Domain.objects.visible_to(request.user).present().filter(uuid__in=uuids)


def _form(request: HttpRequest, domain: Domain, kind: str, form: OperationForm) -> HttpResponse:
    context = {"domain": domain, "kind": kind, "form": form}
    return render(request, _dialog_or_page(request, "domains/form.html"), context)


def _dialog_or_page(request: HttpRequest, template: str) -> str:
    """A dialog's content for htmx; without JavaScript the same on a page of its own."""
    return f"{template}#dialog" if wants_part(request) else template


urlpatterns = [
    path("vms/operations/<str:kind>/preflight/", preflight_domains, name="preflight_domains"),
    path("vms/operations/<str:kind>/", operate_domains, name="operate_domains"),
    path("vms/<uuid:uuid>/operations/<str:kind>/", operate_domain, name="operate_domain"),
    path("vms/<uuid:uuid>/forms/<str:kind>/", domain_form, name="domain_form"),
    path("vms/<uuid:uuid>/migrate/", migrate_domain, name="migrate_domain"),
]
