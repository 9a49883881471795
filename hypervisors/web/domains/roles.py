"""Who may use one virtual machine: roles on it, given to people and groups and taken back."""

from uuid import UUID

from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.translation import gettext as _

from hypervisors.access import can, require
from hypervisors.administration.role_bindings import Holder, give_role, roles_for, take_roles
from hypervisors.errors import NotPossible
from hypervisors.models import Domain, Role, RoleBinding
from hypervisors.models.access import Scope
from hypervisors.privileges import DOMAIN_PRIVILEGES, Privilege
from hypervisors.web.methods import require_POST
from hypervisors.web.permissions import person

_MOST_SUGGESTED = 500


@require_POST
def domain_roles(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Form fields: `holder`, a user's name, or `group`, a group's; `role`, its key or empty to take it back.

    Taking it back closes the person's consoles of this machine, see models/consoles/kicks.py.
    """
    domain = get_object_or_404(Domain.objects.visible_to(request.user).select_related("hypervisor"), uuid=uuid)
    what = "give a role" if request.POST.get("role") else "take a role back"
    # First: whoever may not is not told which people there are.
    require(request.user, Privilege.DOMAIN_GRANT, domain, what=what)
    try:
        holder = _holder(request)
        if request.POST.get("role"):
            give_role(person(request), role=_role(request), holder=holder, on=domain)
        else:
            take_roles(person(request), holder=holder, on=domain)
    except NotPossible as error:
        return _card(request, domain, error=str(error))
    return _card(request, domain)


def roles_context(request: HttpRequest, domain: Domain) -> dict[str, object]:
    """What `domains/roles.html` needs; for the page of the virtual machine too. Empty for who may not give any."""
    if not can(request.user, Privilege.DOMAIN_GRANT, domain):
        return {}
    bindings = list(
        domain.role_bindings.select_related("user", "group", "role", "granted_by").order_by(
            "group__name", "user__username"
        )
    )
    taken = [binding.user_id for binding in bindings if binding.user_id]
    everywhere = RoleBinding.objects.filter(scope=Scope.EVERYTHING, user__isnull=False).values("user")
    others = User.objects.filter(is_active=True).exclude(pk__in=taken).exclude(pk__in=everywhere)
    return {
        "domain": domain,
        "bindings": bindings,
        "roles": [role for role in roles_for(person(request), domain) if set(role.privileges) <= DOMAIN_PRIVILEGES],
        "people": others.order_by("username")[:_MOST_SUGGESTED],
        "groups": Group.objects.order_by("name")[:_MOST_SUGGESTED],
        "may_grant": True,
    }


def _holder(request: HttpRequest) -> Holder:
    """Raises: errors.NotPossible."""
    for field, model, column in (("holder", User, "username"), ("group", Group, "name")):
        name = request.POST.get(field, "").strip()
        if name:
            found = model._default_manager.filter(**{column: name}).first() if name.isprintable() else None
            if isinstance(found, User | Group):
                return found
            raise NotPossible(_("There is nobody called “{name}”.").format(name=name[:150]))
    raise NotPossible(_("Name a person or a group."))


def _role(request: HttpRequest) -> Role:
    """Raises: errors.NotPossible."""
    role = Role.objects.filter(key=request.POST["role"][:50]).first() if request.POST["role"].isprintable() else None
    if role is None:
        raise NotPossible(_("Choose a role."))
    return role


def _card(request: HttpRequest, domain: Domain, error: str = "") -> HttpResponse:
    if "HX-Request" not in request.headers:
        return redirect("domain_access", uuid=domain.uuid)
    context = roles_context(request, domain) | {"error": error}
    return render(request, "domains/roles.html", context, status=422 if error else 200)


urlpatterns = [path("vms/<uuid:uuid>/roles/", domain_roles, name="domain_roles")]
