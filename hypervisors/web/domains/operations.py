"""Asking for operations: of one virtual machine, of many, by a form, and where it may move."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import Domain
from hypervisors.models.domains import DomainQuerySet
from hypervisors.operations.domains.migration_targets import migration_targets
from hypervisors.operations.engine.requests import request_operation
from hypervisors.states import OperationKind
from hypervisors.templatetags.units import kind_word
from hypervisors.web.answers import done, refused
from hypervisors.web.boosting import wants_part
from hypervisors.web.domains.actions import may_operate
from hypervisors.web.domains.forms import FORMS, OperationForm, initial_values
from hypervisors.web.domains.list_queries import MOST_AT_ONCE, DomainListQuery
from hypervisors.web.permissions import person

# Each is asked for in a transaction of its own; more would take the request too long.
_BULK_KINDS = frozenset(
    {
        OperationKind.START,
        OperationKind.SHUT_DOWN,
        OperationKind.REBOOT,
        OperationKind.FORCE_OFF,
        OperationKind.RESET,
        OperationKind.PAUSE,
        OperationKind.RESUME,
        OperationKind.SAVE,
    }
)


@require_POST
def operate_domain(request: HttpRequest, uuid: UUID, kind: str) -> HttpResponse:
    """Asks for one operation; a form's faults and a refusal come back as the form with the reasons in it."""
    domain = _visible(request, uuid)
    operation_kind = _kind(kind)
    if operation_kind == OperationKind.MIGRATE:
        raise Http404
    if not may_operate(domain, request.user):
        return _not_yours(request, domain)
    form = None
    if operation_kind in FORMS:
        form = FORMS[operation_kind](request.POST, domain=domain)
        if not form.is_valid():
            return _form(request, domain, operation_kind, form)
    try:
        request_operation(
            user=person(request), domain=domain, kind=operation_kind, parameters=form.cleaned_data if form else None
        )
    except (Conflict, NotPossible) as error:
        if form is not None and operation_kind != OperationKind.SET_AUTOSTART:
            form.add_error(None, str(error))
            return _form(request, domain, operation_kind, form)
        return refused(request, str(error), status=409 if isinstance(error, Conflict) else 422)
    return done(request, f"{kind_word(operation_kind)}: {domain.label}", back=domain)


@require_GET
def domain_form(request: HttpRequest, uuid: UUID, kind: str) -> HttpResponse:
    """The form for a new name, or for title and description."""
    domain = _visible(request, uuid)
    operation_kind = _kind(kind)
    if operation_kind not in {OperationKind.RENAME, OperationKind.DESCRIBE}:
        raise Http404
    form = FORMS[operation_kind](initial=initial_values(domain, operation_kind), domain=domain)
    return _form(request, domain, operation_kind, form)


@require_http_methods(["GET", "POST"])
def migrate_domain(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """GET: the hosts it may move to, and why not to the others. POST `target`: moves it there."""
    domain = _visible(request, uuid)
    if not may_operate(domain, request.user):
        return _not_yours(request, domain)
    targets = migration_targets(domain)
    error = ""
    if request.method == "POST":
        target = next((t for t in targets if str(t.hypervisor.pk) == request.POST.get("target")), None)
        if target is None:
            error = _("Choose where it shall go.")
        else:
            try:
                request_operation(
                    user=person(request),
                    domain=domain,
                    kind=OperationKind.MIGRATE,
                    target_hypervisor=target.hypervisor,
                )
            except (Conflict, NotPossible) as refusal:
                error = str(refusal)
            else:
                text = _("%(name)s moves to %(host)s") % {"name": domain.label, "host": target.hypervisor.name}
                return done(request, text, back=domain)
    context = {
        "domain": domain,
        "targets": targets,
        "is_possible": any(target.is_possible for target in targets),
        "error": error,
        "chosen": request.POST.get("target", ""),
    }
    return render(request, _dialog_or_page(request, "domains/migrate.html"), context)


@require_POST
def operate_domains(request: HttpRequest, kind: str) -> HttpResponse:
    """Asks it of each `uuid`, or with `all` of each that the list's query matches; says who was refused and why.

    With `all`, `count` is how many the person was told of: when others match by now, nothing is done.
    """
    operation_kind = _kind(kind)
    if operation_kind not in _BULK_KINDS:
        raise Http404
    asked = _asked(request)
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
    operable = set(
        Domain.objects.operable_by(request.user).filter(pk__in=asked.values("pk")).values_list("pk", flat=True)
    )
    refusals = []
    accepted = 0
    for domain in asked.select_related("hypervisor"):
        try:
            if domain.pk not in operable:
                raise NotPossible(_("You may look at this machine, but not operate it."))
            request_operation(user=person(request), domain=domain, kind=operation_kind)
            accepted += 1
        except (Conflict, NotPossible) as error:
            refusals.append((domain, str(error)))
    text = ngettext("%(kind)s: %(count)d machine", "%(kind)s: %(count)d machines", accepted) % {
        "kind": kind_word(operation_kind),
        "count": accepted,
    }
    if not refusals and accepted:
        return done(request, text, back="domains")
    context = {"text": text, "refusals": refusals, "accepted": accepted}
    return render(request, _dialog_or_page(request, "domains/refusals.html"), context)


def _visible(request: HttpRequest, uuid: UUID) -> Domain:
    """Raises: Http404 for strangers."""
    return get_object_or_404(Domain.objects.visible_to(request.user).select_related("hypervisor"), uuid=uuid)


def _kind(text: str) -> OperationKind:
    try:
        return OperationKind(text)
    except ValueError as error:
        raise Http404 from error


def _not_yours(request: HttpRequest, domain: Domain) -> HttpResponse:
    return refused(request, _("You may look at %s, but not operate it.") % domain.label, status=403)


def _asked(request: HttpRequest) -> DomainQuerySet:
    if request.POST.get("all"):
        return DomainListQuery.from_url(request.GET).matching(request.user)
    uuids = []
    for text in request.POST.getlist("uuid"):
        try:
            uuids.append(UUID(text))
        except ValueError:
            continue
    return Domain.objects.visible_to(request.user).present().filter(uuid__in=uuids)


def _form(request: HttpRequest, domain: Domain, kind: OperationKind, form: OperationForm) -> HttpResponse:
    context = {"domain": domain, "kind": kind, "form": form}
    return render(request, _dialog_or_page(request, "domains/form.html"), context)


def _dialog_or_page(request: HttpRequest, template: str) -> str:
    """A dialog's content for htmx; without JavaScript the same on a page of its own."""
    return f"{template}#dialog" if wants_part(request) else template


urlpatterns = [
    path("vms/operations/<str:kind>/", operate_domains, name="operate_domains"),
    path("vms/<uuid:uuid>/operations/<str:kind>/", operate_domain, name="operate_domain"),
    path("vms/<uuid:uuid>/forms/<str:kind>/", domain_form, name="domain_form"),
    path("vms/<uuid:uuid>/migrate/", migrate_domain, name="migrate_domain"),
]
