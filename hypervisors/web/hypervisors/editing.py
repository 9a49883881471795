"""Adding, changing, disabling and removing hypervisors. A connection test goes before saving; a worker does it."""

from contextlib import suppress
from typing import Any

from django.contrib import messages
from django.db import IntegrityError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from hypervisors.access import permitted, require_somewhere
from hypervisors.administration.hypervisors import (
    add_hypervisor,
    change_hypervisor,
    remove_hypervisor,
    require_changing,
    set_admin_state,
    unfinished_operations_on,
)
from hypervisors.errors import Conflict
from hypervisors.models import Domain, Hypervisor, HypervisorPool
from hypervisors.models.hypervisor_credentials import CREDENTIALS
from hypervisors.operations.hypervisors.connection_tests import (
    ConnectionTest,
    find_connection_test,
    request_connection_test,
)
from hypervisors.operations.hypervisors.ssh_keys import request_key_pair
from hypervisors.privileges import Privilege
from hypervisors.states import ACTIVE_DOMAIN_STATES, AdminState
from hypervisors.web.answers import done
from hypervisors.web.boosting import wants_part
from hypervisors.web.hypervisors.forms import HypervisorForm
from hypervisors.web.methods import require_POST
from hypervisors.web.permissions import needs, person


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_add(request: HttpRequest) -> HttpResponse:
    return _edit(request, None)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_edit(request: HttpRequest, pk: int) -> HttpResponse:
    return _edit(request, _visible(request, pk))


@require_POST
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_test(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Test what the form says, and save nothing. Accepts a host key first when `accept_host_key` names a test."""
    instance = _visible(request, pk) if pk else Hypervisor()
    data = request.POST.copy()
    accepted = _accepted_host_keys(request)
    if accepted:
        data["ssh_known_hosts"] = accepted
    form = HypervisorForm(data, instance=instance, user=person(request))
    form.is_valid()
    if form.errors.keys() & _CONNECTION_FIELDS:
        return _refuse(request, form)
    test = _request_test(request, form)
    then_save = request.POST.get("then") == "save"
    return _show_test(request, test, form=form, then_save=then_save, accepted_host_keys=accepted)


@never_cache
@require_safe
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_test_result(request: HttpRequest, test_id: str) -> HttpResponse:
    """What came of a test; the page asks again until it is over. `then=save` sends the form in when it went well."""
    test = find_connection_test(test_id, user_id=_user_id(request))
    if test is None:
        return render(request, "hypervisors/connection_test.html", {"forgotten": True})
    return _show_test(request, test, then_save=request.GET.get("then") == "save")


@require_POST
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_key_pair(request: HttpRequest) -> HttpResponse:
    """A new key pair for the form: its public half to show, and a token for the private half, which stays here."""
    token, public_key = request_key_pair(person(request))
    context = {"token": token, "public_key": public_key}
    return render(request, "hypervisors/key_pair.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_admin_state(request: HttpRequest, pk: int) -> HttpResponse:
    """`state`: enabled, maintenance (nothing new goes there) or disabled (left alone). GET is the confirmation."""
    hypervisor = _visible(request, pk)
    wanted = (request.POST if request.method == "POST" else request.GET).get("state", "")
    if wanted not in set(AdminState):
        return HttpResponse(_("There is no such state."), status=422)
    if request.method != "POST":
        require_changing(person(request), hypervisor)
        template = "hypervisors/admin_state.html"
        return render(request, f"{template}#dialog" if wants_part(request) else template, _at_stake(hypervisor, wanted))
    was_in_maintenance = hypervisor.in_maintenance
    set_admin_state(person(request), hypervisor, AdminState(wanted), reason=request.POST.get("reason", ""))
    said = (
        _MAINTENANCE_LEFT
        if was_in_maintenance and wanted == AdminState.ENABLED
        else _ADMIN_STATE_SAID[AdminState(wanted)]
    )
    return done(request, said % {"name": hypervisor.name}, back=hypervisor.get_absolute_url())


_ADMIN_STATE_SAID = {
    AdminState.ENABLED: gettext_lazy("“%(name)s” is enabled"),
    AdminState.MAINTENANCE: gettext_lazy("“%(name)s” is in maintenance"),
    AdminState.DISABLED: gettext_lazy("“%(name)s” is disabled"),
}
_MAINTENANCE_LEFT = gettext_lazy("“%(name)s” has left maintenance")


def _at_stake(hypervisor: Hypervisor, wanted: str) -> dict[str, Any]:
    domains = Domain.objects.present().filter(hypervisor=hypervisor)
    return {
        "hypervisor": hypervisor,
        "wanted": wanted,
        "domain_count": domains.count(),
        "running_count": domains.filter(state__in=ACTIVE_DOMAIN_STATES).count(),
        "operation_count": unfinished_operations_on(hypervisor).count(),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """GET is the confirmation. Refused while operations are on it."""
    hypervisor = _visible(request, pk)
    require_changing(person(request), hypervisor, what="remove a host")
    if request.method == "POST":
        with suppress(Conflict):
            remove_hypervisor(person(request), hypervisor)
            messages.success(request, _("“{name}” is removed.").format(name=hypervisor.name))
            return redirect("hypervisors")
    held_by = unfinished_operations_on(hypervisor)[:5]
    domains = Domain.objects.present().filter(hypervisor=hypervisor)
    context = {"hypervisor": hypervisor, "held_by": held_by, "domain_count": domains.count(), "domains": domains[:8]}
    status = 422 if request.method == "POST" else 200
    return render(request, "hypervisors/remove.html", context, status=status)


_CONNECTION_FIELDS = {"transport", "host", "port", "username", "uri", *CREDENTIALS}


def _edit(request: HttpRequest, stored: Hypervisor | None) -> HttpResponse:
    """Of a new host when there is no stored one."""
    if stored is not None:
        require_changing(person(request), stored)
    instance = stored or Hypervisor()
    if request.method != "POST":
        if stored is None:
            require_somewhere(person(request), Privilege.HYPERVISOR_MANAGE, what="add a host")
        initial = _chosen_pool(request) if stored is None else {}
        return _show_form(request, HypervisorForm(instance=instance, initial=initial, user=person(request)))
    form = HypervisorForm(request.POST, instance=instance, user=person(request))
    if not form.is_valid():
        return _refuse(request, form)
    if not form.changes_the_connection():
        return _save(request, form, None)
    test = _finished_test(request, form)
    if test is None:
        return _show_test(request, _request_test(request, form), form=form, then_save=True)
    saves_untested = test.state == "failed" and "save_anyway" in request.POST
    if not saves_untested and (test.state == "failed" or _same_machine(test, instance.pk) is not None):
        return _show_test(request, test, form=form)
    return _save(request, form, test)


def _save(request: HttpRequest, form: HypervisorForm, test: ConnectionTest | None) -> HttpResponse:
    host_uuid = test.facts.host_uuid if test and test.facts else None
    tested = None if test is None else test.state == "succeeded"
    try:
        if form.before is None:
            hypervisor = add_hypervisor(person(request), form.values, host_uuid=host_uuid, tested=bool(tested))
        else:
            pk = form.before.pk
            hypervisor = change_hypervisor(person(request), pk, form.values, host_uuid=host_uuid, tested=tested)
    except IntegrityError:
        form.add_error("name", _("Somebody saved a host of this name, or this machine, meanwhile. Reload the page."))
        return _refuse(request, form)
    said = _("“{name}” is added.") if form.before is None else _("“{name}” is saved.")
    messages.success(request, said.format(name=hypervisor.name))
    if form.note:
        messages.info(request, form.note)
    return _lead_to(request, hypervisor.get_absolute_url())


def _request_test(request: HttpRequest, form: HypervisorForm) -> ConnectionTest:
    on = form.before or form.cleaned_data.get("hypervisor_pool")
    return request_connection_test(user=person(request), candidate=form.candidate, on=on)


def _visible(request: HttpRequest, pk: int) -> Hypervisor:
    """Raises: Http404."""
    seen = permitted(request.user, Privilege.HYPERVISOR_VIEW, Hypervisor.objects.select_related("hypervisor_pool"))
    return get_object_or_404(seen, pk=pk)


def _chosen_pool(request: HttpRequest) -> dict[str, Any]:
    """The pool whose page led here, else the first."""
    pools = permitted(request.user, Privilege.HYPERVISOR_MANAGE, HypervisorPool.objects.all())
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
    return person(request).pk


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
    "TooManyTests": gettext_lazy("Too many connection tests"),
    "OtherKey": gettext_lazy("The worker cannot read the secrets"),
}

urlpatterns = [
    path("hypervisors/add/", hypervisor_add, name="hypervisor_add"),
    path("hypervisors/test/", hypervisor_test, name="hypervisor_test"),
    path("hypervisors/tests/<token:test_id>/", hypervisor_test_result, name="hypervisor_test_result"),
    path("hypervisors/key-pair/", hypervisor_key_pair, name="hypervisor_key_pair"),
    path("hypervisors/<row:pk>/edit/", hypervisor_edit, name="hypervisor_edit"),
    path("hypervisors/<row:pk>/test/", hypervisor_test, name="hypervisor_test"),
    path("hypervisors/<row:pk>/admin-state/", hypervisor_admin_state, name="hypervisor_admin_state"),
    path("hypervisors/<row:pk>/remove/", hypervisor_remove, name="hypervisor_remove"),
]
