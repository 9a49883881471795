"""libvirt's secrets on a host: which there are and what for; new ones, other values; no value is ever shown."""

from typing import Any
from uuid import uuid4

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils.translation import gettext as now_
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from hypervisors.access import permitted, require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import HostSecret, Hypervisor
from hypervisors.operations.engine.requests import request_of_many, request_operation
from hypervisors.operations.storage.secret_uses import (
    encrypted_things,
    needing_users,
    secret_users,
    unreadable_text,
    why_secret_used,
)
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done, refused
from hypervisors.web.boosting import wants_part
from hypervisors.web.hypervisors.pages import host_page
from hypervisors.web.permissions import needs, person

USAGE_LABELS = {
    "ceph": _("Ceph (RBD)"),
    "iscsi": _("iSCSI (CHAP)"),
    "volume": _("Encrypted volume (LUKS)"),
    "tls": _("TLS key"),
    "vtpm": _("TPM's state"),
}


class SecretForm(forms.Form):
    """What it is for is checked by the operation; the value is never shown again."""

    usage_type = forms.ChoiceField(label=_("For"), choices=list(USAGE_LABELS.items()))
    usage = forms.CharField(label=_("Usage"), max_length=200, required=False)
    description = forms.CharField(label=_("Description"), max_length=200, required=False)
    value = forms.CharField(
        label=_("Value"),
        max_length=100_000,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    is_base64 = forms.BooleanField(label=_("It is base64 (Ceph's keys are)"), required=False)
    everywhere = forms.BooleanField(label=_("On every host of the pool, so that machines can move"), required=False)


@require_safe
@needs(Privilege.STORAGE_MANAGE)
def hypervisor_secrets(request: HttpRequest, pk: int) -> HttpResponse:
    rows = permitted(request.user, Privilege.STORAGE_MANAGE, HostSecret.objects.filter(hypervisor=pk))
    lines = []
    for row in rows.select_related("hypervisor"):
        lines.append(
            {
                "secret": row,
                "label": USAGE_LABELS.get(row.usage_type, row.usage_type),
                "users": secret_users(row),
                "reason": why_secret_used(needing_users(row)),
                "encrypts": bool(encrypted_things(row)),
            }
        )
    return host_page(request, pk, "secrets", {"lines": lines})


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.STORAGE_MANAGE)
def secret_create(request: HttpRequest, pk: int) -> HttpResponse:
    """The dialog of a new one; POST asks for it."""
    host = get_object_or_404(
        permitted(request.user, Privilege.STORAGE_MANAGE, Hypervisor.objects.select_related("hypervisor_pool")), pk=pk
    )
    form, problem = SecretForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        try:
            _ask(request, host, form.cleaned_data)
        except (Conflict, NotPossible) as error:
            problem = str(error)
        else:
            text = now_("The secret for “%(usage)s” is being created.") % {"usage": form.cleaned_data["usage"]}
            return done(request, text, back=_url(pk))
    context = {"host": host, "form": form, "problem": problem}
    template = "storage/secret_new.html"
    return render(request, f"{template}#dialog" if wants_part(request) else template, context)


def _ask(request: HttpRequest, host: Hypervisor, said: dict[str, Any]) -> None:
    """Raises: errors.Conflict, errors.NotPossible."""
    given = {name: said[name] for name in ("usage_type", "usage", "description", "value", "is_base64")}
    given["uuid"] = str(uuid4())
    hosts = [host]
    if said["everywhere"]:
        same_pool = Hypervisor.objects.filter(hypervisor_pool=host.hypervisor_pool_id)
        hosts = list(permitted(request.user, Privilege.STORAGE_MANAGE, same_pool))
    asked = request_of_many(user=person(request), kind="create_secret", subjects=hosts, parameters=given)
    if not asked.accepted:
        raise NotPossible(" ".join(reason for _subject, reason in asked.refusals))


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.STORAGE_MANAGE)
def secret_value(request: HttpRequest, pk: int) -> HttpResponse:
    """The dialog of another value; POST asks for it."""
    row, problem = _secret(request, pk), ""
    if request.method == "POST":
        given = {name: request.POST.get(name, "") for name in ("value", "is_base64", "confirmed_name")}
        try:
            request_operation(user=person(request), kind="set_secret_value", subject=row, parameters=given)
        except (Conflict, NotPossible) as error:
            problem = str(error)
        else:
            text = now_("The value for “%(name)s” is being changed.") % {"name": row.name}
            return done(request, text, back=_url(row.hypervisor_id))
    unreadable = unreadable_text(encrypted_things(row))
    context = {"secret": row, "problem": problem, "form": SecretForm(), "unreadable": unreadable}
    template = "storage/secret_value.html"
    return render(request, f"{template}#dialog" if wants_part(request) else template, context)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.STORAGE_MANAGE)
def secret_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """The dialog that says what cannot be read without it; POST asks for it."""
    row, problem = _secret(request, pk), ""
    if request.method == "POST":
        given = {"confirmed_name": request.POST.get("confirmed_name", "")}
        try:
            operation = request_operation(user=person(request), kind="delete_secret", subject=row, parameters=given)
        except (Conflict, NotPossible) as error:
            if "confirmed_name" not in request.POST:
                return refused(request, str(error), status=409 if isinstance(error, Conflict) else 422)
            problem = str(error)
        else:
            text = now_("The secret “%(name)s” is being deleted.") % {"name": row.name}
            return done(request, text, back=_url(row.hypervisor_id), operation=operation)
    context = {"secret": row, "problem": problem, "unreadable": unreadable_text(encrypted_things(row))}
    template = "storage/secret_delete.html"
    return render(request, f"{template}#dialog" if wants_part(request) else template, context)


def _secret(request: HttpRequest, pk: int) -> HostSecret:
    """Raises: Http404, errors.NotPermitted."""
    rows = permitted(request.user, Privilege.STORAGE_MANAGE, HostSecret.objects.select_related("hypervisor"))
    row = get_object_or_404(rows, pk=pk)
    require(person(request), Privilege.STORAGE_MANAGE, row, what="secret")
    return row


def _url(hypervisor_id: int) -> str:
    return reverse("hypervisor_secrets", args=[hypervisor_id])


urlpatterns = [
    path("hypervisors/<row:pk>/secrets/", hypervisor_secrets, name="hypervisor_secrets"),
    path("hypervisors/<row:pk>/secrets/create/", secret_create, name="secret_create"),
    path("storage/secrets/<row:pk>/value/", secret_value, name="secret_value"),
    path("storage/secrets/<row:pk>/delete/", secret_delete, name="secret_delete"),
]
