"""People: who may sign in, and which roles they have; for administrators. New passwords are shown once."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from allauth.mfa.models import Authenticator
from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Count, Exists, OuterRef, Prefetch, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from hypervisors.administration.people import (
    add_person,
    remove_second_factor,
    require_managing,
    reset_password,
    set_active,
)
from hypervisors.administration.role_bindings import Place, give_role, roles_for, take_roles
from hypervisors.errors import NotPossible
from hypervisors.models import Domain, HypervisorPool, Role, RoleBinding
from hypervisors.models.access import Scope
from hypervisors.models.rights import bindings_of
from hypervisors.models.stock_roles import STOCK_ROLES
from hypervisors.privileges import DOMAIN_PRIVILEGES, Privilege
from hypervisors.web import permissions
from hypervisors.web.methods import require_POST
from hypervisors.web.permissions import needs

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[User]
else:
    ModelForm = forms.ModelForm


class PersonForm(ModelForm):
    role = forms.ChoiceField(
        label=gettext_lazy("Role on everything"), widget=forms.RadioSelect, initial="", required=False
    )

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name")
        labels = {"username": gettext_lazy("User name")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        none = ("", _("None: sees only what they get a role on"))
        stock = [(role.key, f"{role.label}: {role.description}") for role in STOCK_ROLES.values()]
        self.fields["role"].choices = [none, *stock]  # type: ignore[attr-defined]

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        # "Bob" beside "bob" would be a trap.
        if User.objects.filter(username__iexact=username).exclude(pk=self.instance.pk).exists():
            raise ValidationError(_("There is somebody of this name already."))
        return username


@never_cache
@require_safe
@needs(Privilege.PEOPLE_MANAGE)
def people(request: HttpRequest) -> HttpResponse:
    require_managing(permissions.person(request), what="see the people")
    second_factor = Authenticator.objects.filter(user=OuterRef("pk"), type="totp")
    everywhere = RoleBinding.objects.filter(scope=Scope.EVERYTHING).select_related("role")
    rows = (
        User.objects.annotate(
            narrow_role_count=Count("role_bindings", filter=~Q(role_bindings__scope=Scope.EVERYTHING)),
            has_second_factor=Exists(second_factor),
        )
        .prefetch_related(Prefetch("role_bindings", everywhere, to_attr="everywhere"), "groups")
        .order_by("-is_active", "username")
    )
    return render(request, "account/people.html", {"people": rows})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.PEOPLE_MANAGE)
def person_add(request: HttpRequest) -> HttpResponse:
    form = PersonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        role = Role.objects.get(key=form.cleaned_data["role"]) if form.cleaned_data["role"] else None
        password = add_person(permissions.person(request), form.instance, role=role)
        return _show_password(request, form.instance, password, is_new=True)
    return render(request, "account/person_add.html", {"form": form}, status=422 if form.errors else 200)


@never_cache
@require_safe
@needs(Privilege.PEOPLE_MANAGE)
def person(request: HttpRequest, pk: int) -> HttpResponse:
    require_managing(permissions.person(request), what="see the people")
    return _show_person(request, get_object_or_404(User, pk=pk))


@require_POST
@needs(Privilege.PEOPLE_MANAGE)
def person_role(request: HttpRequest, pk: int) -> HttpResponse:
    """The role on everything: `role` is its key, or empty for none. One's own cannot be changed."""
    row = _somebody_else(request, pk)
    return _change_role(request, row, None)


@require_POST
@needs(Privilege.PEOPLE_MANAGE)
def person_roles(request: HttpRequest, pk: int) -> HttpResponse:
    """A role on `pool` (its id) or `vm` (its name or UUID): `role` is its key, or empty to take it back."""
    row = get_object_or_404(User, pk=pk)
    try:
        place = _place(request)
    except NotPossible as error:
        return _show_person(request, row, error=str(error))
    return _change_role(request, row, place)


@require_POST
@needs(Privilege.PEOPLE_MANAGE)
def person_activate(request: HttpRequest, pk: int) -> HttpResponse:
    """`active=1` lets them sign in again; anything else ends their sessions at once."""
    row = _somebody_else(request, pk)
    set_active(permissions.person(request), row, active=request.POST.get("active") == "1")
    return redirect("person", pk=pk)


@never_cache
@require_POST
@needs(Privilege.PEOPLE_MANAGE)
def person_reset_password(request: HttpRequest, pk: int) -> HttpResponse:
    row = _somebody_else(request, pk)
    password = reset_password(permissions.person(request), row)
    return _show_password(request, row, password, is_new=False)


@require_POST
@needs(Privilege.PEOPLE_MANAGE)
def person_reset_second_factor(request: HttpRequest, pk: int) -> HttpResponse:
    remove_second_factor(permissions.person(request), _somebody_else(request, pk))
    return redirect("person", pk=pk)


def _change_role(request: HttpRequest, row: User, place: Place) -> HttpResponse:
    actor = permissions.person(request)
    key = request.POST.get("role", "")
    try:
        if key:
            role = get_object_or_404(Role, key=key) if key.isprintable() else None
            if role is None:
                raise Http404
            give_role(actor, role=role, holder=row, on=place)
        else:
            take_roles(actor, holder=row, on=place)
    except NotPossible as error:
        return _show_person(request, row, error=str(error))
    return redirect("person", pk=row.pk)


def _place(request: HttpRequest) -> HypervisorPool | Domain:
    """Raises: errors.NotPossible, Http404."""
    pool = request.POST.get("pool", "")
    if pool:
        if not pool.isdecimal() or len(pool) > 9:
            raise Http404
        return get_object_or_404(HypervisorPool, pk=int(pool))
    text = request.POST.get("vm", "").strip()
    found = _domains(text)[:2]
    if len(found) == 1:
        return found[0]
    if found:
        raise NotPossible(_("Several virtual machines are called “%s”; name the one by its UUID.") % text)
    raise NotPossible(_("There is no virtual machine called “%s”.") % text[:255])


def _domains(text: str) -> list[Domain]:
    if not text.isprintable():
        return []
    domains = Domain.objects.select_related("hypervisor")
    try:
        return list(domains.filter(uuid=UUID(text)))
    except ValueError:
        return list(domains.present().filter(Q(name=text) | Q(title=text)))


def _show_person(request: HttpRequest, row: User, error: str = "") -> HttpResponse:
    actor = permissions.person(request)
    bindings = bindings_of(row).select_related("role", "group", "domain", "hypervisor_pool", "granted_by")
    everywhere = [given for given in bindings if given.scope == Scope.EVERYTHING and given.user_id]
    pool_roles = [role for role in Role.objects.all() if not set(role.privileges) & _NEVER_ON_A_POOL]
    context = {
        "person": row,
        "role": everywhere[0].role.key if everywhere else "",
        "roles": roles_for(actor, None),
        "pool_roles": pool_roles,
        "domain_roles": [role for role in pool_roles if set(role.privileges) <= DOMAIN_PRIVILEGES],
        "hypervisor_pools": HypervisorPool.objects.only("name"),
        "bindings": [given for given in bindings if given not in everywhere],
        "is_oneself": row.pk == actor.pk,
        "has_second_factor": Authenticator.objects.filter(user=row, type="totp").exists(),
        "error": error,
    }
    return render(request, "account/person.html", context, status=422 if error else 200)


_NEVER_ON_A_POOL = {Privilege.PEOPLE_MANAGE, Privilege.AUDIT_VIEW}


def _somebody_else(request: HttpRequest, pk: int) -> User:
    """Nobody changes their own account, so that somebody always can. Raises: Http404."""
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
    path("people/<row:pk>/", person, name="person"),
    path("people/<row:pk>/role/", person_role, name="person_role"),
    path("people/<row:pk>/roles/", person_roles, name="person_roles"),
    path("people/<row:pk>/active/", person_activate, name="person_activate"),
    path("people/<row:pk>/password/", person_reset_password, name="person_reset_password"),
    path("people/<row:pk>/second-factor/", person_reset_second_factor, name="person_reset_second_factor"),
]
