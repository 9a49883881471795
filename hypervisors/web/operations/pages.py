"""Operations: the task drawer's content, the history with its filters, and cancelling."""

from typing import Any
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from hypervisors.broadcast import changes_group
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import Domain, Operation
from hypervisors.models.operations import OperationQuerySet
from hypervisors.operations.engine.messages import operation_change
from hypervisors.operations.engine.registry import find_operation_type
from hypervisors.operations.engine.requests import request_cancel
from hypervisors.states import UNFINISHED_OPERATION_STATES, OperationState
from hypervisors.web.answers import done, leads_on, refused
from hypervisors.web.boosting import wants_part
from hypervisors.web.methods import require_POST
from hypervisors.web.naming import natural_key
from hypervisors.web.permissions import person
from hypervisors.web.sequences import sequence_number

DRAWER_LENGTH = 40
PAGE_SIZE = 50
_FAILED = {OperationState.FAILED, OperationState.INTERRUPTED}


@require_safe
def tasks(request: HttpRequest) -> JsonResponse:
    """What runs, and what was asked for last: the same fields as in the live messages. `?parent=id`: its children."""
    seen = _with_names(Operation.objects.visible_to(request.user))
    parent = _chosen(request, "parent")
    if parent is not None:
        return JsonResponse({"tasks": [_task(operation) for operation in _children(seen, parent)]})
    seen = seen.top_level_for(request.user)
    unfinished = list(seen.unfinished()[:DRAWER_LENGTH])
    latest = list(seen.exclude(state__in=UNFINISHED_OPERATION_STATES)[: DRAWER_LENGTH - len(unfinished)])
    return JsonResponse({"tasks": [_task(operation) for operation in [*unfinished, *latest]]})


@require_safe
def operations(request: HttpRequest) -> HttpResponse:
    """The history, newest first: `?show=mine|running|failed`, `?vm=uuid`, `?parent=id` or `?only=id`, `?page=`."""
    show = request.GET.get("show", "")
    domain, parent, only = _chosen_domain(request), _chosen(request, "parent"), _chosen(request, "only")
    chosen = _shown(Operation.objects.visible_to(request.user), request, show)
    if domain is not None:
        chosen = chosen.filter(domain=domain)
    elif parent is not None:
        chosen = chosen.filter(parent=parent)
    elif only is not None:
        chosen = chosen.filter(pk=only.pk)
    else:
        chosen = chosen.top_level_for(request.user)
    limits = {"vm": domain and domain.uuid, "parent": parent and parent.pk, "only": only and only.pk}
    limit = {name: str(value) for name, value in limits.items() if value}
    context = {
        "page": Paginator(_with_names(chosen), PAGE_SIZE).get_page(request.GET.get("page")),
        "domain": domain,
        "parent": parent,
        "only": only,
        "show": show,
        "filters": [
            {"word": word, "is_chosen": show == name, "url": "?" + urlencode({"show": name, **limit})}
            for name, word in _filters().items()
        ],
        "query": urlencode({"show": show, **limit}),
    }
    return render(request, "operations/list.html#rows" if wants_part(request) else "operations/list.html", context)


@require_safe
def operation(request: HttpRequest, operation_id: UUID) -> HttpResponse:
    """One of them: how far it is, its steps and parts. One that makes a virtual machine leads on to that."""
    # What ends while the page is on its way must not be missed.
    sequence = sequence_number(changes_group(request.user))
    row = get_object_or_404(_with_names(Operation.objects.visible_to(request.user)), pk=operation_id)
    machine = _made_machine(request, row)
    if machine is not None and row.state == OperationState.SUCCEEDED:
        return _led_on(request, machine)
    children = _children(_with_names(Operation.objects.visible_to(request.user)), row)
    context = {
        "operation": row,
        "machine": machine,
        "children": children,
        "made_uuid": _made_uuid(row),
        "sequence": sequence,
    }
    return render(request, "operations/page.html#band" if wants_part(request) else "operations/page.html", context)


@require_POST
def operation_cancel(request: HttpRequest, operation_id: UUID) -> HttpResponse:
    """Asks the runner to stop; it says itself how that ended."""
    operation = get_object_or_404(Operation.objects.visible_to(request.user), pk=operation_id)
    try:
        request_cancel(operation, user=person(request))
    except (Conflict, NotPossible) as error:
        return refused(request, str(error), status=409 if isinstance(error, Conflict) else 422)
    return done(request, _("Cancelling: %s") % operation.subject_name, back="operations")


def _makes_machine(row: Operation) -> bool:
    found = find_operation_type(row.kind)
    return found is not None and found.makes_machine


def _made_uuid(row: Operation) -> UUID | None:
    """Of the machine that it makes; None where it makes none, or does not know yet."""
    text = (row.parameters.get("spec") or {}).get("uuid") or row.parameters.get("uuid")
    try:
        return UUID(str(text)) if text and _makes_machine(row) else None
    except ValueError:
        return None


def _made_machine(request: HttpRequest, row: Operation) -> Domain | None:
    """By its UUID; of one that has told none, by the name that it was made under."""
    if not _makes_machine(row):
        return None
    seen, uuid = Domain.objects.visible_to(request.user).present(), _made_uuid(row)
    if uuid is not None:
        return seen.filter(uuid=uuid).first()
    is_made = row.state == OperationState.SUCCEEDED
    return seen.filter(hypervisor=row.hypervisor, name=row.subject_name).first() if is_made else None


def _led_on(request: HttpRequest, machine: Domain) -> HttpResponse:
    if not wants_part(request):
        return redirect(machine)
    return leads_on(machine.get_absolute_url())


def history_page(domain: Domain, page: str | None) -> Page[Operation]:
    """One virtual machine's operations, newest first."""
    return Paginator(_with_names(Operation.objects.filter(domain=domain)), PAGE_SIZE).get_page(page)


def _filters() -> dict[str, str]:
    return {"": _("All"), "mine": _("Mine"), "running": _("Running"), "failed": _("Failed")}


def _shown(seen: OperationQuerySet, request: HttpRequest, show: str) -> OperationQuerySet:
    if show == "mine":
        return seen.filter(requested_by=request.user.pk)
    if show == "running":
        return seen.unfinished()
    if show == "failed":
        return seen.filter(state__in=_FAILED)
    return seen


def _chosen_domain(request: HttpRequest) -> Domain | None:
    """Raises: Http404 for a machine that the user may not see."""
    try:
        uuid = UUID(request.GET.get("vm", ""))
    except ValueError:
        return None
    return get_object_or_404(Domain.objects.visible_to(request.user), uuid=uuid)


def _chosen(request: HttpRequest, name: str) -> Operation | None:
    """Raises: Http404 for one that the user may not see."""
    try:
        operation_id = UUID(request.GET.get(name, ""))
    except ValueError:
        return None
    return get_object_or_404(Operation.objects.visible_to(request.user), pk=operation_id)


def _children(seen: OperationQuerySet, parent: Operation) -> list[Operation]:
    """What still runs first, then by name."""
    children = sorted(seen.filter(parent=parent), key=lambda child: natural_key(child.subject_name))
    return sorted(children, key=lambda child: child.is_finished)


def _with_names(found: OperationQuerySet) -> OperationQuerySet:
    return found.select_related("domain", "hypervisor", "target_hypervisor", "requested_by").only(
        "kind",
        "subject_type",
        "subject_key",
        "subject_name",
        "parent",
        "parameters",
        "state",
        "progress",
        "steps",
        "outcome",
        "requested_at",
        "started_at",
        "ended_at",
        "cancel_requested_at",
        "domain__uuid",
        "hypervisor__name",
        "target_hypervisor__name",
        "requested_by__username",
    )


def _task(operation: Operation) -> dict[str, Any]:
    return {"id": str(operation.pk), **operation_change(operation).fields}


urlpatterns = [
    path("tasks/", tasks, name="tasks"),
    path("operations/", operations, name="operations"),
    path("operations/<uuid:operation_id>/", operation, name="operation"),
    path("operations/<uuid:operation_id>/cancel/", operation_cancel, name="operation_cancel"),
]
