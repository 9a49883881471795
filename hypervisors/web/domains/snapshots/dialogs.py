"""Taking a snapshot, going back to one, deleting and describing it: their dialogs."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from hypervisors.access import require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import Domain, DomainSnapshot
from hypervisors.operations.domains.revert_snapshot import STATES
from hypervisors.operations.domains.snapshotting.names import MOST_DESCRIPTION_LENGTH, MOST_NAME_LENGTH
from hypervisors.operations.domains.snapshotting.plan import MODES, SnapshotPlan, snapshot_plan
from hypervisors.operations.domains.snapshotting.reasons import tree_of, why_no_delete, why_no_revert
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done
from hypervisors.web.boosting import wants_part
from hypervisors.web.domains.forms import OperationForm
from hypervisors.web.permissions import person

# Beside each mode: what it is good for.
MODE_HINTS = {
    "internal": gettext_lazy("One file stays one file, and every host can go back to it."),
    "external": gettext_lazy("Taken at once. What is written later goes to new files; to delete it merges them."),
    "external_memory": gettext_lazy("The guest runs on while its memory is written to a file beside its disk."),
}


class TakeForm(OperationForm):
    """Its cleaned data are the parameters of create_snapshot."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=MOST_NAME_LENGTH, strip=True)
    description = forms.CharField(
        label=gettext_lazy("Description"),
        max_length=MOST_DESCRIPTION_LENGTH,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    mode = forms.ChoiceField(label=gettext_lazy("What is kept, and where"), choices=list(MODES.items()))
    quiesce = forms.BooleanField(
        label=gettext_lazy("Freeze the guest's file systems meanwhile (by its agent)"), required=False
    )


class DescribeForm(OperationForm):
    description = forms.CharField(
        label=gettext_lazy("Description"),
        max_length=MOST_DESCRIPTION_LENGTH,
        required=False,
        widget=forms.Textarea(attrs={"rows": 6}),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def take_snapshot(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """GET: what can be taken, and why not the rest. POST: takes one."""
    domain = get_object_or_404(Domain.objects.visible_to(request.user).select_related("hypervisor"), uuid=uuid)
    require(request.user, Privilege.DOMAIN_SNAPSHOT, domain, what="create_snapshot")
    plan = snapshot_plan(domain)
    if request.method == "POST":
        form = TakeForm(request.POST, domain=domain)
        if form.is_valid():
            answer = _asked(request, domain, "create_snapshot", form.cleaned_data, form)
            if answer is not None:
                return answer
    else:
        form = TakeForm(initial={"name": _suggested_name(), "mode": plan.best}, domain=domain)
    context = {
        "domain": domain,
        "form": form,
        "modes": _modes(plan, str(form["mode"].value() or "")),
        "plan": plan,
        "reason": why_not(domain, "create_snapshot"),
        "is_possible": bool(plan.best),
    }
    return _dialog(request, "domains/snapshots/take.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def revert_snapshot(request: HttpRequest, pk: int) -> HttpResponse:
    """GET: what is lost. POST `state`, `force`: goes back to it."""
    snapshot = _snapshot(request, pk, "revert_snapshot")
    domain, error = snapshot.domain, ""
    if request.method == "POST":
        given = {
            "name": snapshot.name,
            "state": request.POST.get("state", ""),
            "force": bool(request.POST.get("force")),
        }
        try:
            operation = request_operation(
                user=person(request), subject=domain, kind="revert_snapshot", parameters=given
            )
        except (Conflict, NotPossible) as refusal:
            error = str(refusal)
        else:
            text = _("%(name)s goes back to “%(snapshot)s”") % {"name": domain.name, "snapshot": snapshot.name}
            return done(request, text, back=_back(snapshot), operation=operation)
    context = {
        "domain": domain,
        "snapshot": snapshot,
        "states": STATES,
        "chosen": request.POST.get("state", ""),
        "now": timezone.now(),
        "error": error,
        "reason": why_not(domain, "revert_snapshot")
        or why_no_revert(domain, snapshot, tree_of(domain.snapshots.all())),
    }
    return _dialog(request, "domains/snapshots/revert.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def delete_snapshot(request: HttpRequest, pk: int) -> HttpResponse:
    """GET: what goes, and what stays. POST `children`: deletes it, with those that were taken from it."""
    snapshot = _snapshot(request, pk, "delete_snapshot")
    domain, error = snapshot.domain, ""
    if request.method == "POST":
        given = {"name": snapshot.name, "children": request.POST.get("children") == "1"}
        try:
            operation = request_operation(
                user=person(request), subject=domain, kind="delete_snapshot", parameters=given
            )
        except (Conflict, NotPossible) as refusal:
            error = str(refusal)
        else:
            text = _("%(name)s: snapshot “%(snapshot)s” is being deleted")
            text %= {"name": domain.name, "snapshot": snapshot.name}
            return done(request, text, back=_back(snapshot), operation=operation)
    tree = tree_of(domain.snapshots.all())
    alone = why_no_delete(domain, snapshot, tree, with_children=False)
    with_children = why_no_delete(domain, snapshot, tree, with_children=True)
    context = {
        "domain": domain,
        "snapshot": snapshot,
        "below": [node.name for node in reversed(tree.below(snapshot.name))],
        "why_not_alone": alone,
        "why_not_with_children": with_children,
        "error": error,
        "is_running": domain.is_active,
        "reason": why_not(domain, "delete_snapshot") or (alone if with_children else ""),
    }
    return _dialog(request, "domains/snapshots/delete.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def describe_snapshot(request: HttpRequest, pk: int) -> HttpResponse:
    snapshot = _snapshot(request, pk, "describe_snapshot")
    if request.method == "POST":
        form = DescribeForm(request.POST, domain=snapshot.domain)
        if form.is_valid():
            given = {"name": snapshot.name, **form.cleaned_data}
            answer = _asked(request, snapshot.domain, "describe_snapshot", given, form, back=_back(snapshot))
            if answer is not None:
                return answer
    else:
        form = DescribeForm(initial={"description": snapshot.description}, domain=snapshot.domain)
    context = {
        "domain": snapshot.domain,
        "snapshot": snapshot,
        "form": form,
        "reason": why_not(snapshot.domain, "describe_snapshot"),
    }
    return _dialog(request, "domains/snapshots/describe.html", context)


def _asked(
    request: HttpRequest, domain: Domain, kind: str, given: dict[str, Any], form: OperationForm, *, back: str = ""
) -> HttpResponse | None:
    """None when it was refused; the form says why."""
    try:
        operation = request_operation(user=person(request), subject=domain, kind=kind, parameters=given)
    except (Conflict, NotPossible) as error:
        form.add_error(None, str(error))
        return None
    text = {"create_snapshot": _("%(name)s: a snapshot is being taken"), "describe_snapshot": _("%(name)s: described")}
    back = back or reverse("domain_snapshots", args=[domain.uuid])
    return done(request, text[kind] % {"name": domain.name}, back=back, operation=operation)


def _modes(plan: SnapshotPlan, chosen: str) -> list[dict[str, Any]]:
    return [
        {
            "value": mode,
            "word": word,
            "hint": MODE_HINTS[mode],
            "reason": plan.why_not[mode],
            "warnings": plan.warnings[mode],
            "is_chosen": mode == chosen and not plan.why_not[mode],
        }
        for mode, word in MODES.items()
    ]


def _suggested_name() -> str:
    return f"{timezone.localtime():%Y-%m-%d-%H%M}"


def _snapshot(request: HttpRequest, pk: int, what: str) -> DomainSnapshot:
    """Raises: Http404 for strangers, errors.NotPermitted."""
    seen = Domain.objects.visible_to(request.user)
    snapshots = DomainSnapshot.objects.filter(domain__in=seen).select_related("domain__hypervisor")
    snapshot = get_object_or_404(snapshots, pk=pk)
    require(request.user, Privilege.DOMAIN_SNAPSHOT, snapshot.domain, what=what)
    return snapshot


def _back(snapshot: DomainSnapshot) -> str:
    return reverse("domain_snapshots", args=[snapshot.domain.uuid])


def _dialog(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """A dialog's content for htmx; without JavaScript the same on a page of its own."""
    return render(request, f"{template}#dialog" if wants_part(request) else template, context)


urlpatterns = [
    path("vms/<uuid:uuid>/snapshots/take/", take_snapshot, name="take_snapshot"),
    path("snapshots/<row:pk>/revert/", revert_snapshot, name="revert_snapshot"),
    path("snapshots/<row:pk>/delete/", delete_snapshot, name="delete_snapshot"),
    path("snapshots/<row:pk>/describe/", describe_snapshot, name="describe_snapshot"),
]
