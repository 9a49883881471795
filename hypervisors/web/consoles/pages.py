"""Consoles: the page of one in a window of its own, and the grant with which its browser opens a connection."""

import secrets
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from hypervisors.access import audit, can, require
from hypervisors.models import Domain
from hypervisors.models.consoles.grants import ConsoleGrant, ConsoleMode, hash_session, issue_grant
from hypervisors.models.consoles.kicks import ConsoleKick, kick_consoles
from hypervisors.models.consoles.seats import why_no_seat
from hypervisors.models.consoles.viewers import read_viewers
from hypervisors.privileges import Privilege
from hypervisors.web.methods import require_POST
from hypervisors.web.naming import visible
from hypervisors.web.permissions import person

PROXY_PATH = "/console/vnc"


@require_safe
def console(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The screen alone, in a window of its own."""
    domain = get_object_or_404(Domain.objects.visible_to(request.user).select_related("hypervisor"), uuid=uuid)
    return render(request, "consoles/page.html", {"domain": domain})


@never_cache
@require_POST
def console_grant(request: HttpRequest, uuid: UUID) -> JsonResponse:
    """A token for one connection; with `mode=view`, or for who may only view, one that takes no input.

    409 with a reason and the state when there is no screen to connect to now.
    """
    domain = get_object_or_404(
        Domain.objects.visible_to(request.user).select_related("hypervisor", "definition"), uuid=uuid
    )
    obstacle = why_no_console(domain)
    if obstacle:
        return JsonResponse(_refusal(request, domain, obstacle), status=409)
    grant = ConsoleGrant(
        user_id=person(request).pk,
        session_hash=hash_session(request.session.session_key or ""),
        domain_uuid=domain.uuid,
        mode=_mode(request, domain),
        session=secrets.token_hex(6),
        replaces=request.POST.get("replaces", "")[:40],
    )
    try:
        full = why_no_seat(grant.user_id, domain.uuid, replaces=grant.replaces)
        if full:
            return JsonResponse({"reason": full, "state": domain.state, "can_start": False}, status=409)
        token = issue_grant(grant)
    except redis.RedisError:
        return JsonResponse({"reason": _("Redis does not answer; try again in a moment.")}, status=503)
    audit.record(
        person(request),
        "open a console",
        subject_type="domain",
        subject_key=str(domain.uuid),
        subject_name=domain.name,
        after={"mode": grant.mode},
    )
    return JsonResponse(_answer(request, domain, token, grant))


@never_cache
@require_safe
def console_viewers(request: HttpRequest, uuid: UUID) -> JsonResponse:
    """Who is connected now, and whom of them one may disconnect."""
    domain = get_object_or_404(Domain.objects.visible_to(request.user).select_related("hypervisor"), uuid=uuid)
    return JsonResponse({"viewers": _viewers(request, domain)})


@require_POST
def console_disconnect(request: HttpRequest, uuid: UUID) -> JsonResponse:
    """Close the console named `session`: one's own, or with the right to operate the machine anybody's."""
    user = person(request)
    domain = get_object_or_404(Domain.objects.visible_to(user).select_related("hypervisor"), uuid=uuid)
    session = request.POST.get("session", "")
    viewer = next((viewer for viewer in read_viewers(domain.uuid) if viewer.session == session), None)
    if viewer is None:
        return JsonResponse({"reason": _("This console is closed already.")}, status=404)
    if viewer.user_id != user.pk:
        require(user, Privilege.DOMAIN_OPERATE, domain, what="disconnect a viewer")
    audit.record(
        user,
        "disconnect a viewer",
        subject_type="domain",
        subject_key=str(domain.uuid),
        subject_name=domain.name,
        after={"viewer": viewer.username, "mode": viewer.mode},
    )
    reason = _("Disconnected by %(name)s.") % {"name": user.get_username()}
    kick_consoles(ConsoleKick(domain=str(domain.uuid), viewer=session, reason=reason))
    return JsonResponse({"viewers": [entry for entry in _viewers(request, domain) if entry["session"] != session]})


def why_no_console(domain: Domain) -> str:
    """Why there is no screen to connect to; "" when there should be one."""
    if domain.vanished_at is not None or domain.hypervisor is None:
        return _("This virtual machine is on no host any more.")
    if not domain.is_active:
        return _("%(name)s is off.") % {"name": visible(domain.name)}
    parsed = _parsed(domain)
    shown = parsed.get("graphics", [])
    kinds = {graphics.get("kind", "") for graphics in shown if graphics.get("listen_kind") != "none"}
    # What the inventory has not read yet, the proxy asks.
    if "vnc" in kinds or not parsed:
        return ""
    if "spice" in kinds:
        return _("%(name)s has a SPICE display only; give it a VNC display.") % {"name": visible(domain.name)}
    if shown and not kinds:
        return _(
            "%(name)s has no network display; its display listens on “none”. Give it one that listens on an address."
        ) % {"name": visible(domain.name)}
    return _("%(name)s has no display; give it a VNC display.") % {"name": visible(domain.name)}


def _parsed(domain: Domain) -> dict[str, Any]:
    return dict(domain.definition.parsed) if hasattr(domain, "definition") else {}


def _refusal(request: HttpRequest, domain: Domain, obstacle: str) -> dict[str, Any]:
    state = "vanished" if domain.vanished_at else domain.state
    can_start = domain.hypervisor is not None and not domain.is_active and not domain.vanished_at
    return {
        "reason": obstacle,
        "why": "off" if can_start or state == "vanished" else "no_display",
        "state": state,
        "can_start": can_start and can(request.user, Privilege.DOMAIN_OPERATE, domain),
    }


def _mode(request: HttpRequest, domain: Domain) -> ConsoleMode:
    wants_view = request.POST.get("mode") == "view"
    return "control" if can(request.user, Privilege.DOMAIN_CONSOLE, domain) and not wants_view else "view"


def _answer(request: HttpRequest, domain: Domain, token: str, grant: ConsoleGrant) -> dict[str, Any]:
    return {
        "token": token,
        "path": PROXY_PATH,
        "expires_in_seconds": settings.CONSOLE_GRANT_SECONDS,
        "mode": grant.mode,
        "session": grant.session,
        "viewers": _viewers(request, domain),
    }


def _viewers(request: HttpRequest, domain: Domain) -> list[dict[str, Any]]:
    may_operate = can(request.user, Privilege.DOMAIN_OPERATE, domain)
    return [
        {
            "session": viewer.session,
            "username": viewer.username,
            "mode": viewer.mode,
            "can_disconnect": may_operate or viewer.user_id == request.user.pk,
        }
        for viewer in read_viewers(domain.uuid)
    ]


urlpatterns = [
    path("vms/<uuid:uuid>/console/", console, name="console"),
    path("vms/<uuid:uuid>/console/grant/", console_grant, name="console_grant"),
    path("vms/<uuid:uuid>/console/viewers/", console_viewers, name="console_viewers"),
    path("vms/<uuid:uuid>/console/disconnect/", console_disconnect, name="console_disconnect"),
]
