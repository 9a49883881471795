"""People: who may sign in and who operates; for superusers. Passwords are made here and shown once."""

import secrets
from typing import TYPE_CHECKING, Any

from allauth.mfa.models import Authenticator
from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Exists, OuterRef
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from hypervisors.models import DomainGrant
from hypervisors.web.audit import note
from hypervisors.web.permissions import superusers_only

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[User]
else:
    ModelForm = forms.ModelForm


class PersonForm(ModelForm):
    ROLES = [
        ("person", gettext_lazy("Person: sees only the virtual machines that are granted to them")),
        ("operator", gettext_lazy("Operator: manages all hosts and virtual machines")),
        ("superuser", gettext_lazy("Administrator: an operator who also manages people")),
    ]
    role = forms.ChoiceField(label=gettext_lazy("Role"), choices=ROLES, widget=forms.RadioSelect, initial="person")

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name")

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        # "Bob" beside "bob" would be a trap.
        if User.objects.filter(username__iexact=username).exclude(pk=self.instance.pk).exists():
            raise ValidationError(_("There is somebody of this name already."))
        return username

    def save(self, commit: bool = True) -> User:
        set_role(self.instance, self.cleaned_data["role"])
        return super().save(commit)


@never_cache
@require_GET
@superusers_only
def people(request: HttpRequest) -> HttpResponse:
    second_factor = Authenticator.objects.filter(user=OuterRef("pk"), type="totp")
    rows = User.objects.annotate(grant_count=Count("domain_grants"), has_second_factor=Exists(second_factor)).order_by(
        "-is_active", "username"
    )
    return render(request, "account/people.html", {"people": rows})


@never_cache
@require_http_methods(["GET", "POST"])
@superusers_only
def person_add(request: HttpRequest) -> HttpResponse:
    form = PersonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        password = new_password()
        form.instance.set_password(password)
        person = form.save()
        note(request, "added a person", username=person.username, role=form.cleaned_data["role"])
        return _show_password(request, person, password, is_new=True)
    return render(request, "account/person_add.html", {"form": form}, status=422 if form.errors else 200)


@never_cache
@require_GET
@superusers_only
def person(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(User, pk=pk)
    grants = DomainGrant.objects.filter(user=row).select_related("domain", "granted_by").order_by("domain__name")
    context = {
        "person": row,
        "role": role_of(row),
        "roles": PersonForm.ROLES,
        "is_oneself": row.pk == request.user.pk,
        "has_second_factor": Authenticator.objects.filter(user=row, type="totp").exists(),
        "grants": grants,
    }
    return render(request, "account/person.html", context)


@require_POST
@superusers_only
def person_role(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a role, or deactivate. One cannot do it to oneself, so that somebody always can."""
    row = _somebody_else(request, pk)
    role = request.POST.get("role", "")
    if role not in dict(PersonForm.ROLES):
        raise Http404
    set_role(row, role)
    row.save()
    note(request, "changed a person's role", username=row.username, role=role)
    return redirect("person", pk=pk)


@require_POST
@superusers_only
def person_activate(request: HttpRequest, pk: int) -> HttpResponse:
    """`active=1` lets them sign in again; anything else ends their sessions at once."""
    row = _somebody_else(request, pk)
    row.is_active = request.POST.get("active") == "1"
    row.save()
    note(request, "activated a person" if row.is_active else "deactivated a person", username=row.username)
    return redirect("person", pk=pk)


@never_cache
@require_POST
@superusers_only
def person_reset_password(request: HttpRequest, pk: int) -> HttpResponse:
    """A new password, shown once. Their sessions end, since these are bound to the old one."""
    row = _somebody_else(request, pk)
    password = new_password()
    row.set_password(password)
    row.save()
    note(request, "reset a person's password", username=row.username)
    return _show_password(request, row, password, is_new=False)


@require_POST
@superusers_only
def person_reset_second_factor(request: HttpRequest, pk: int) -> HttpResponse:
    """For somebody who lost the device and the recovery codes."""
    row = _somebody_else(request, pk)
    with transaction.atomic():
        Authenticator.objects.filter(user=row).delete()
    note(request, "removed a person's second factor", username=row.username)
    return redirect("person", pk=pk)


def set_role(user: User, role: str) -> None:
    user.is_superuser = role == "superuser"
    user.is_staff = role in ("operator", "superuser")


def role_of(user: User) -> str:
    return "superuser" if user.is_superuser else "operator" if user.is_staff else "person"


def new_password() -> str:
    """Twenty characters in groups, easy to read out: 95 bits."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    groups = ("".join(secrets.choice(alphabet) for _character in range(5)) for _group in range(4))
    return "-".join(groups)


def _somebody_else(request: HttpRequest, pk: int) -> User:
    row = get_object_or_404(User, pk=pk)
    if row.pk == request.user.pk:
        raise Http404
    return row


def _show_password(request: HttpRequest, person: User, password: str, *, is_new: bool) -> HttpResponse:
    context: dict[str, Any] = {"person": person, "password": password, "is_new": is_new}
    return render(request, "account/person_password.html", context)


urlpatterns = [
    path("people/", people, name="people"),
    path("people/add/", person_add, name="person_add"),
    path("people/<int:pk>/", person, name="person"),
    path("people/<int:pk>/role/", person_role, name="person_role"),
    path("people/<int:pk>/active/", person_activate, name="person_activate"),
    path("people/<int:pk>/password/", person_reset_password, name="person_reset_password"),
    path("people/<int:pk>/second-factor/", person_reset_second_factor, name="person_reset_second_factor"),
]
