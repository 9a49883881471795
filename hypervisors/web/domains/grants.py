"""Who may use one virtual machine: operators give and take the rights to view and to operate it."""

from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from hypervisors.broadcast import Change, publish
from hypervisors.models import Domain, DomainGrant
from hypervisors.states import UserRight
from hypervisors.web.audit import note
from hypervisors.web.permissions import operators_only


@require_POST
@operators_only
def grants(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Form fields: `username`, and `right` ("view", "operate", or empty to take it back).

    Taking it back closes the person's consoles of this machine, see models/console_kicks.py.
    """
    domain = get_object_or_404(Domain, uuid=uuid)
    right = request.POST.get("right", "")
    username = request.POST.get("username", "").strip()
    person = User.objects.filter(username=username).first() if username.isprintable() else None
    if person is None:
        return _card(request, domain, error=_("There is nobody called “{name}”.").format(name=username[:150]))
    if right and right not in set(UserRight):
        return _card(request, domain, error=_("Choose whether they may view or operate it."))
    if right and (person.is_staff or person.is_superuser):
        return _card(request, domain, error=_("“{name}” operates every machine anyway.").format(name=person.username))
    with transaction.atomic():
        _set_right(domain, person, right, granted_by=request.user)
    note(request, "granted a right" if right else "took a right back", username=username, right=right, domain=domain)
    return _card(request, domain)


def grants_context(domain: Domain) -> dict[str, object]:
    """What `grants/card.html` needs; for the page of the virtual machine too."""
    given = list(domain.grants.select_related("user", "granted_by").order_by("user__username"))
    holders = [grant.user_id for grant in given]
    others = User.objects.filter(is_active=True, is_staff=False, is_superuser=False).exclude(pk__in=holders)
    return {"domain": domain, "grants": given, "grantable_people": others.order_by("username")[:500]}


def _set_right(domain: Domain, person: User, right: str, *, granted_by: object) -> None:
    grant = DomainGrant.objects.filter(domain=domain, user=person).first()
    if right:
        grant = grant or DomainGrant(domain=domain, user=person)
        grant.right = right
        grant.granted_by = granted_by if isinstance(granted_by, User) else None
        grant.save()
    elif grant is not None:
        grant.delete()
    change = Change(
        what="grant",
        id=str(domain.uuid),
        op="update" if right else "remove",
        fields={"domain": str(domain.uuid), "username": person.username, "right": right},
        domain_uuid=str(domain.uuid),
    )
    transaction.on_commit(lambda: publish([change]))


def _card(request: HttpRequest, domain: Domain, error: str = "") -> HttpResponse:
    if "HX-Request" not in request.headers:
        return redirect("domain", uuid=domain.uuid)
    context = grants_context(domain) | {"error": error}
    return render(request, "grants/card.html", context, status=422 if error else 200)


urlpatterns = [path("vms/<uuid:uuid>/grants/", grants, name="grants")]
