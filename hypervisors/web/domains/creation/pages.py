"""The page "New virtual machine": every answer is the whole form anew, as the server sees it."""

import secrets
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_http_methods

from hypervisors.errors import Conflict, NotPossible
from hypervisors.operations.domains.creation.parameters import Method
from hypervisors.osinfo import OperatingSystem, all_systems
from hypervisors.privileges import Privilege
from hypervisors.web.boosting import wants_part
from hypervisors.web.domains.creation.again import values_again
from hypervisors.web.domains.creation.choices import is_medium_key
from hypervisors.web.domains.creation.drafts import reset, values_of, with_row, without_row
from hypervisors.web.domains.creation.forms import Creation, creation_of
from hypervisors.web.domains.creation.requests import request as request_creation
from hypervisors.web.domains.creation.requests import xml_of
from hypervisors.web.permissions import needs, person

_FORM = "domains/create/form.html"
_TOKEN_SECONDS = 24 * 3600
# What is pressed to have it made, or to see what would be.
_MAKING, _COMPLETE = frozenset({"run", "edit"}), frozenset({"run", "edit", "show-xml"})


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.DOMAIN_CREATE)
def domain_create(request: HttpRequest) -> HttpResponse:
    """GET: the page, prefilled by `?method=`, `?image=`, `?template=`, `?host=`, `?pool=` or `?again=`.

    POST: what `do` says.
    """
    user = person(request)
    if request.method != "POST":
        return _page(request, creation_of(user, _first_values(request), token=secrets.token_urlsafe(16)))
    do, token = request.POST.get("do", "check"), request.POST.get("token", "")[:64]
    values = _acted(values_of(request.POST), do)
    creation = creation_of(user, values, token=token, is_complete=do in _COMPLETE)
    if do in _MAKING and creation.can_be_made:
        return _made(request, creation, start=do == "run")
    if do == "show-xml" and not creation.errors:
        return _xml(request, creation)
    return _page(request, creation)


def _first_values(request: HttpRequest) -> dict[str, str]:
    """With one disk and one card; the rest is suggested, or named in the URL."""
    given = values_of(request.GET)
    again = values_again(person(request), given["again"]) if given.get("again") else {}
    if again:
        return again
    names = ("method", "pool", "host", "iso", "image", "imported", "template", "appliance")
    values = {name: given[name] for name in names if given.get(name)}
    image = values.pop("image", "")
    if image:
        is_medium = is_medium_key(image)
        values |= {"method": Method.ISO, "iso": image} if is_medium else {"method": Method.CLOUD_IMAGE, "image": image}
    values |= {"disk": "1", "interface": "1", "disk-1-source": "new", "count": "1"}
    if "template" in values:
        values.setdefault("method", Method.TEMPLATE)
    return values


def _acted(values: dict[str, str], do: str) -> dict[str, str]:
    """After what was pressed."""
    action, _colon, about = do.partition(":")
    match action:
        case "add-disk":
            return with_row(values, "disk", source="new")
        case "remove-disk":
            return without_row(values, "disk", about)
        case "add-interface":
            return with_row(values, "interface")
        case "remove-interface":
            return without_row(values, "interface", about)
        case "reset":
            return reset(values, about)
    return values


def _page(request: HttpRequest, creation: Creation) -> HttpResponse:
    is_part = wants_part(request)
    # Beside the form, so that it is sent once.
    systems = [] if is_part else _systems()
    status = 422 if creation.is_complete and creation.errors else 200
    template = _FORM if is_part else "domains/create/page.html"
    return render(request, template, {"creation": creation, "systems": systems}, status=status)


def _systems() -> list[OperatingSystem]:
    """Those that somebody may still want first, the newest of them on top."""
    return [system for system in all_systems() if not system.is_unknown_version]


def _xml(request: HttpRequest, creation: Creation) -> HttpResponse:
    context: dict[str, Any] = {"creation": creation}
    try:
        context["xml"] = xml_of(creation)
    except (NotPossible, ValueError) as error:
        context["problem"] = str(error)
    part = "#dialog" if wants_part(request) else ""
    answer = render(request, f"domains/create/xml.html{part}", context)
    if wants_part(request):
        answer["HX-Retarget"], answer["HX-Reswap"] = "#dialog-content", "innerHTML"
    return answer


def _made(request: HttpRequest, creation: Creation, *, start: bool) -> HttpResponse:
    """Asked for once, however often the button was pressed."""
    user = person(request)
    key = f"creation:{user.pk}:{creation.token}"
    if not cache.add(key, "", _TOKEN_SECONDS):
        return _to(request, cache.get(key) or reverse("operations"))
    try:
        operation = request_creation(user, creation, start=start)
    except (Conflict, NotPossible) as error:
        cache.delete(key)
        creation.errors["form"] = str(error)
        return _page(request, creation)
    except BaseException:
        cache.delete(key)
        raise
    url = reverse("operation", args=[operation.pk])
    cache.set(key, url, _TOKEN_SECONDS)
    return _to(request, url)


def _to(request: HttpRequest, url: str) -> HttpResponse:
    """The other page; boosted, where htmx asks."""
    if not wants_part(request):
        return HttpResponseRedirect(url)
    return HttpResponse(status=204, headers={"HX-Redirect": url})


urlpatterns = [path("vms/new/", domain_create, name="domain_create")]
