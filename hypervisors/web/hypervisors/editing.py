"""Adding, changing, disabling and removing hypervisors. A connection test goes before saving; a worker does it."""

from typing import Any, Literal

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from hypervisors.broadcast import Change, publish
from hypervisors.inventory.refresh_requests import request_hypervisors_refresh
from hypervisors.models import Domain, Hypervisor, HypervisorPool, Operation
from hypervisors.models.hypervisor_credentials import CREDENTIALS
from hypervisors.operations.hypervisors.connection_tests import (
    ConnectionTest,
    find_connection_test,
    request_connection_test,
)
from hypervisors.states import ACTIVE_DOMAIN_STATES, AdminState
from hypervisors.web.audit import note
from hypervisors.web.boosting import wants_part
from hypervisors.web.hypervisors.forms import HypervisorForm, keep_generated_key
from hypervisors.web.permissions import operators_only


@never_cache
@require_http_methods(["GET", "POST"])
@operators_only
def hypervisor_add(request: HttpRequest) -> HttpResponse:
    return _edit(request, Hypervisor())


@never_cache
@require_http_methods(["GET", "POST"])
@operators_only
def hypervisor_edit(request: HttpRequest, pk: int) -> HttpResponse:
    return _edit(request, get_object_or_404(Hypervisor, pk=pk))


@require_POST
@operators_only
def hypervisor_test(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Test what the form says, and save nothing. Accepts a host key first when `accept_host_key` names a test."""
    instance = get_object_or_404(Hypervisor, pk=pk) if pk else Hypervisor()
    data = request.POST.copy()
    accepted = _accepted_host_keys(request)
    if accepted:
        data["ssh_known_hosts"] = accepted
    form = HypervisorForm(data, instance=instance, user_id=_user_id(request))
    form.is_valid()
    if form.errors.keys() & _CONNECTION_FIELDS:
        return _refuse(request, form)
    test = request_connection_test(user_id=_user_id(request), candidate=form.candidate)
    then_save = request.POST.get("then") == "save"
    return _show_test(request, test, form=form, then_save=then_save, accepted_host_keys=accepted)


@never_cache
@require_GET
@operators_only
def hypervisor_test_result(request: HttpRequest, test_id: str) -> HttpResponse:
    """What came of a test; the page asks again until it is over. `then=save` sends the form in when it went well."""
    test = find_connection_test(test_id, user_id=_user_id(request))
    if test is None:
        return render(request, "hypervisors/connection_test.html", {"forgotten": True})
    return _show_test(request, test, then_save=request.GET.get("then") == "save")


@require_POST
@operators_only
def hypervisor_key_pair(request: HttpRequest) -> HttpResponse:
    """A new key pair for the form: its public half to show, and a token for the private half, which stays here."""
    token, public_key = keep_generated_key(user_id=_user_id(request))
    context = {"token": token, "public_key": public_key}
    return render(request, "hypervisors/key_pair.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
@operators_only
def hypervisor_admin_state(request: HttpRequest, pk: int) -> HttpResponse:
    """`state`: enabled, maintenance (nothing new goes there) or disabled (left alone). GET is the confirmation."""
    hypervisor = get_object_or_404(Hypervisor, pk=pk)
    wanted = (request.POST if request.method == "POST" else request.GET).get("state", "")
    if wanted not in set(AdminState):
        return HttpResponse(_("There is no such state."), status=422)
    if request.method == "GET":
        template = "hypervisors/admin_state.html"
        return render(request, f"{template}#dialog" if wants_part(request) else template, _at_stake(hypervisor, wanted))
    if wanted != hypervisor.admin_state:
        before = hypervisor.admin_state
        hypervisor.admin_state = wanted
        hypervisor.admin_state_since = timezone.now()
        hypervisor.admin_state_by = request.user.get_username()
        hypervisor.admin_state_reason = request.POST.get("reason", "").strip()[:500]
        with transaction.atomic():
            hypervisor.save(update_fields=_ADMIN_COLUMNS)
            _publish(hypervisor)
        reason = hypervisor.admin_state_reason
        note(request, _ADMIN_STATE_DEEDS[wanted], name=hypervisor.name, pk=pk, before=before, reason=reason)
    return redirect(hypervisor)


def _at_stake(hypervisor: Hypervisor, wanted: str) -> dict[str, Any]:
    domains = Domain.objects.present().filter(hypervisor=hypervisor)
    return {
        "hypervisor": hypervisor,
        "wanted": wanted,
        "domain_count": domains.count(),
        "running_count": domains.filter(state__in=ACTIVE_DOMAIN_STATES).count(),
        "operation_count": _unfinished_operations(hypervisor).count(),
    }


_ADMIN_COLUMNS = ("admin_state", "admin_state_since", "admin_state_by", "admin_state_reason")
_ADMIN_STATE_DEEDS: dict[str, str] = {
    AdminState.ENABLED: "enabled a hypervisor",
    AdminState.MAINTENANCE: "put a hypervisor into maintenance",
    AdminState.DISABLED: "disabled a hypervisor",
}


@require_http_methods(["GET", "POST"])
@operators_only
def hypervisor_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """GET is the confirmation. Refused while operations are on it."""
    hypervisor = get_object_or_404(Hypervisor, pk=pk)
    with transaction.atomic():
        held_by = list(_unfinished_operations(hypervisor)[:5])
        if request.method == "POST" and not held_by:
            _remove(hypervisor)
            note(request, "removed a hypervisor", name=hypervisor.name, pk=pk, uri=hypervisor.uri)
            messages.success(request, _("“{name}” is removed.").format(name=hypervisor.name))
            return redirect("hypervisors")
    domains = Domain.objects.present().filter(hypervisor=hypervisor)
    context = {"hypervisor": hypervisor, "held_by": held_by, "domain_count": domains.count(), "domains": domains[:8]}
    status = 422 if request.method == "POST" else 200
    return render(request, "hypervisors/remove.html", context, status=status)


_CONNECTION_FIELDS = {"transport", "host", "port", "username", "uri", *CREDENTIALS}


def _edit(request: HttpRequest, instance: Hypervisor) -> HttpResponse:
    user_id = _user_id(request)
    if request.method == "GET":
        initial = {} if instance.pk else _chosen_pool(request)
        return _show_form(request, HypervisorForm(instance=instance, initial=initial, user_id=user_id))
    form = HypervisorForm(request.POST, instance=instance, user_id=user_id)
    if not form.is_valid():
        return _refuse(request, form)
    if not form.changes_the_connection():
        return _save(request, form, None)
    test = _finished_test(request, form)
    if test is None:
        test = request_connection_test(user_id=user_id, candidate=form.candidate)
        return _show_test(request, test, form=form, then_save=True)
    saves_untested = test.state == "failed" and "save_anyway" in request.POST
    if not saves_untested and (test.state == "failed" or _same_machine(test, instance.pk) is not None):
        return _show_test(request, test, form=form)
    return _save(request, form, test)


def _save(request: HttpRequest, form: HypervisorForm, test: ConnectionTest | None) -> HttpResponse:
    is_new = form.instance.pk is None
    try:
        with transaction.atomic():
            hypervisor = form.save_tested(host_uuid=test.facts.host_uuid if test and test.facts else None)
            _publish(hypervisor, op="add" if is_new else "update")
    except IntegrityError:
        form.add_error("name", _("Somebody saved a host of this name, or this machine, meanwhile. Reload the page."))
        return _refuse(request, form)
    note(
        request,
        "added a hypervisor" if is_new else "changed a hypervisor",
        pk=hypervisor.pk,
        name=hypervisor.name,
        uri=hypervisor.uri,
        tested=bool(test and test.state == "succeeded"),
    )
    said = _("“{name}” is added.") if is_new else _("“{name}” is saved.")
    messages.success(request, said.format(name=hypervisor.name))
    return _lead_to(request, hypervisor.get_absolute_url())


def _remove(hypervisor: Hypervisor) -> None:
    """Nothing happens on the machine itself; its virtual machines become tombstones that keep grants and history."""
    domains = Domain.objects.present().filter(hypervisor=hypervisor)
    gone = {"vanished": True, "hypervisor": None, "hypervisor_name": ""}
    changes = [Change(what="domain", id=str(uuid), fields=gone) for uuid in domains.values_list("uuid", flat=True)]
    changes.append(Change(what="hypervisor", id=str(hypervisor.pk), op="remove"))
    domains.update(vanished_at=timezone.now())
    hypervisor.delete()
    _tell(changes)


def _unfinished_operations(hypervisor: Hypervisor) -> "QuerySet[Operation]":
    here = Q(hypervisor=hypervisor) | Q(target_hypervisor=hypervisor) | Q(domain__hypervisor=hypervisor)
    return Operation.objects.unfinished().filter(here).select_related("requested_by")


def _publish(hypervisor: Hypervisor, *, op: Literal["add", "update"] = "update") -> None:
    fields = {
        "name": hypervisor.name,
        "hypervisor_pool": hypervisor.hypervisor_pool_id,
        "hypervisor_pool_name": hypervisor.hypervisor_pool.name,
        "admin_state": hypervisor.admin_state,
        "status": hypervisor.status,
    }
    _tell([Change(what="hypervisor", id=str(hypervisor.pk), op=op, fields=fields)])


def _tell(changes: list[Change]) -> None:
    """Say it to open pages, and to the watcher, once it is so."""
    transaction.on_commit(lambda: publish(changes))
    transaction.on_commit(request_hypervisors_refresh)


def _chosen_pool(request: HttpRequest) -> dict[str, Any]:
    """The pool whose page led here, else the first."""
    pools = HypervisorPool.objects.all()
    wanted = request.GET.get("pool", "")
    pool = (pools.filter(pk=wanted).first() if wanted.isdecimal() and len(wanted) < 10 else None) or pools.first()
    return {"hypervisor_pool": pool.pk} if pool is not None else {}


def _finished_test(request: HttpRequest, form: HypervisorForm) -> ConnectionTest | None:
    """The test that the form names, if it is over and was of these very settings."""
    test = find_connection_test(request.POST.get("test", ""), user_id=_user_id(request))
    return test if test and test.is_over and test.candidate_digest == form.candidate.digest else None


def _same_machine(test: ConnectionTest, pk: int | None) -> Hypervisor | None:
    """Another row of the machine that was reached."""
    if test.facts is None or test.facts.host_uuid is None:
        return None
    return Hypervisor.objects.filter(~Q(pk=pk), host_uuid=test.facts.host_uuid).first()


def _accepted_host_keys(request: HttpRequest) -> str:
    """What the test that the operator accepts the host keys of has seen."""
    test = find_connection_test(request.POST.get("accept_host_key", ""), user_id=_user_id(request))
    return "\n".join(key.line for key in test.host_keys) if test else ""


def _user_id(request: HttpRequest) -> int:
    assert request.user.pk is not None
    return int(request.user.pk)


def _show_form(request: HttpRequest, form: HypervisorForm, status: int = 200, **context: Any) -> HttpResponse:
    context |= {"form": form, "hypervisor": form.before, "tested_at": _test_url(form)}
    return render(request, "hypervisors/form.html", context, status=status)


def _refuse(request: HttpRequest, form: HypervisorForm) -> HttpResponse:
    """Only the errors go to the page: its fields keep what was typed, secrets included, which we never send back."""
    if "HX-Request" in request.headers:
        return render(request, "hypervisors/form_errors.html", {"form": form, "refused": True}, status=422)
    return _show_form(request, form, status=422)


def _show_test(
    request: HttpRequest,
    test: ConnectionTest,
    *,
    form: HypervisorForm | None = None,
    then_save: bool = False,
    accepted_host_keys: str = "",
) -> HttpResponse:
    pk = form.instance.pk if form is not None else _int_or_none(request.GET.get("of"))
    context: dict[str, Any] = {
        "test": test,
        "pk": pk,
        "then_save": then_save,
        "twin": _same_machine(test, pk),
        "title": _FAILURES.get(test.failure, _("The connection failed")),
        "accepted_host_keys": accepted_host_keys,
    }
    if form is not None and "HX-Request" not in request.headers:
        return _show_form(request, form, **context)
    return render(request, "hypervisors/connection_test.html", context | {"form": form})


def _lead_to(request: HttpRequest, url: str) -> HttpResponse:
    if "HX-Request" in request.headers:
        return HttpResponse(headers={"HX-Redirect": url})
    return redirect(url)


def _test_url(form: HypervisorForm) -> str:
    return reverse("hypervisor_test", args=[form.instance.pk] if form.instance.pk else [])


def _int_or_none(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 10 else None


# By the name of errors.py's class, or of the test's own troubles.
_FAILURES = {
    "HostNotFound": gettext_lazy("The name is not found"),
    "ConnectionRefused": gettext_lazy("The connection is refused"),
    "ConnectionTimedOut": gettext_lazy("No answer in time"),
    "AuthenticationFailed": gettext_lazy("The login is rejected"),
    "CertificateInvalid": gettext_lazy("The certificates do not fit"),
    "HostKeyChanged": gettext_lazy("The ssh host key is not known"),
    "SocketDenied": gettext_lazy("libvirt's socket cannot be opened"),
    "ConnectionLost": gettext_lazy("The connection broke"),
    "QueueAway": gettext_lazy("Nothing could be tested"),
    "OtherKey": gettext_lazy("The worker cannot read the secrets"),
}

urlpatterns = [
    path("hypervisors/add/", hypervisor_add, name="hypervisor_add"),
    path("hypervisors/test/", hypervisor_test, name="hypervisor_test"),
    path("hypervisors/tests/<slug:test_id>/", hypervisor_test_result, name="hypervisor_test_result"),
    path("hypervisors/key-pair/", hypervisor_key_pair, name="hypervisor_key_pair"),
    path("hypervisors/<int:pk>/edit/", hypervisor_edit, name="hypervisor_edit"),
    path("hypervisors/<int:pk>/test/", hypervisor_test, name="hypervisor_test"),
    path("hypervisors/<int:pk>/admin-state/", hypervisor_admin_state, name="hypervisor_admin_state"),
    path("hypervisors/<int:pk>/remove/", hypervisor_remove, name="hypervisor_remove"),
]
