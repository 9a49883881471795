"""Consoles: the page of one in a window of its own, and the grant with which its browser opens a connection."""

from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from hypervisors.access import can
from hypervisors.models import Domain
from hypervisors.models.consoles.grants import ConsoleGrant, ConsoleMode, hash_session, issue_grant
from hypervisors.models.consoles.viewers import read_viewers
from hypervisors.privileges import Privilege
from hypervisors.web.permissions import person

PROXY_PATH = "/console/vnc"


@require_GET
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
    mode = _mode(request, domain)
    grant = ConsoleGrant(
        user_id=person(request).pk,
        session_hash=hash_session(request.session.session_key or ""),
        domain_uuid=domain.uuid,
        mode=mode,
    )
    try:
        token = issue_grant(grant)
    except redis.RedisError:
        return JsonResponse({"reason": _("Redis does not answer; try again in a moment.")}, status=503)
    return JsonResponse(_answer(domain, token, mode))


def why_no_console(domain: Domain) -> str:
    """Why there is no screen to connect to; "" when there should be one."""
    if domain.vanished_at is not None or domain.hypervisor is None:
        return _("This virtual machine is on no host any more.")
    if not domain.is_active:
        return _("%(name)s is off.") % {"name": domain.label}
    parsed = _parsed(domain)
    shown = parsed.get("graphics", [])
    kinds = {graphics.get("kind", "") for graphics in shown if graphics.get("listen_kind") != "none"}
    # What the inventory has not read yet, the proxy asks.
    if "vnc" in kinds or not parsed:
        return ""
    if "spice" in kinds:
        return _("%(name)s has a SPICE display only; give it a VNC display.") % {"name": domain.label}
    if shown and not kinds:
        return _(
            "%(name)s has no network display; its display listens on “none”. Give it one that listens on an address."
        ) % {"name": domain.label}
    return _("%(name)s has no display; give it a VNC display.") % {"name": domain.label}


def _parsed(domain: Domain) -> dict[str, Any]:
    return dict(domain.definition.parsed) if hasattr(domain, "definition") else {}


def _refusal(request: HttpRequest, domain: Domain, obstacle: str) -> dict[str, Any]:
    state = "vanished" if domain.vanished_at else domain.state
    can_start = domain.hypervisor is not None and not domain.is_active and not domain.vanished_at
    return {
        "reason": obstacle,
        "state": state,
        "can_start": can_start and can(request.user, Privilege.DOMAIN_OPERATE, domain),
    }


def _mode(request: HttpRequest, domain: Domain) -> ConsoleMode:
    wants_view = request.POST.get("mode") == "view"
    return "control" if can(request.user, Privilege.DOMAIN_CONSOLE, domain) and not wants_view else "view"


def _answer(domain: Domain, token: str, mode: ConsoleMode) -> dict[str, Any]:
    return {
        "token": token,
        "path": PROXY_PATH,
        "expires_in_seconds": settings.CONSOLE_GRANT_SECONDS,
        "mode": mode,
        "viewers": [{"username": viewer.username, "mode": viewer.mode} for viewer in read_viewers(domain.uuid)],
    }


urlpatterns = [
    path("vms/<uuid:uuid>/console/", console, name="console"),
    path("vms/<uuid:uuid>/console/grant/", console_grant, name="console_grant"),
]
