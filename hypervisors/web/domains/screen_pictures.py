"""A machine's last screen: the picture, and asking for a newer one. Whoever may see the machine may see its screen."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.views.decorators.http import require_http_methods

from hypervisors.models import Domain
from hypervisors.operations.domains.screen_pictures import find_picture, find_problem, request_picture


@require_http_methods(["GET", "HEAD", "POST"])
def screen_picture(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """GET: the last one, as PNG; nothing where there is none. POST: has one taken, and says what there is.

    What is asked for by POST is in `taken_at` of a later answer; `is_coming` says whether to look again soon.
    """
    domain = get_object_or_404(Domain.objects.visible_to(request.user).select_related("hypervisor"), uuid=uuid)
    if request.method == "POST":
        is_coming = request_picture(domain)
        return JsonResponse({**last_screen(domain), "is_coming": is_coming})
    picture = find_picture(domain.uuid)
    if picture is None:
        return HttpResponse(status=204)
    return HttpResponse(picture.png, content_type="image/png")


def last_screen(domain: Domain) -> dict[str, Any]:
    """What the page shows of it: `taken_at` in seconds since 1970, 0 where there is no picture."""
    picture = find_picture(domain.uuid)
    size = {"width": picture.screen_width, "height": picture.screen_height} if picture else {}
    return {"taken_at": int(picture.taken_at) if picture else 0, "problem": find_problem(domain.uuid), **size}


urlpatterns = [path("vms/<uuid:uuid>/screen-picture/", screen_picture, name="domain_screen_picture")]
