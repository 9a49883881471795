"""Importing an appliance: choose its volume, see what is in it and what of it is not taken over, and have it made."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_safe

from hypervisors.access import permitted
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import Appliance, Operation, Volume
from hypervisors.operations.domains.importing.parameters import examined_appliance
from hypervisors.operations.engine.requests import request_operation
from hypervisors.osinfo import all_systems
from hypervisors.privileges import Privilege
from hypervisors.web.answers import refused
from hypervisors.web.boosting import wants_part
from hypervisors.web.domains.appliance_forms import ImportForm
from hypervisors.web.methods import require_POST
from hypervisors.web.permissions import needs, person

_ENDINGS = (".ova", ".ovf", ".vmdk", ".vdi", ".vhd")
_MOST_SHOWN = 200


@require_safe
@needs(Privilege.DOMAIN_CREATE)
def appliance_new(request: HttpRequest) -> HttpResponse:
    """Without `volume` the volumes to choose from; with it, what is in it, or that somebody is looking."""
    number = request.GET.get("volume", "")
    if not number:
        return render(request, "domains/appliances/choose.html", {"volumes": _candidates(request)})
    volume = get_object_or_404(_volumes(request), pk=number if number.isdecimal() and len(number) < 19 else 0)
    return _page(request, volume, status=200)


@require_POST
@needs(Privilege.DOMAIN_CREATE)
def appliance_read(request: HttpRequest, pk: int) -> HttpResponse:
    """Has somebody look into the volume; the page shows what comes of it."""
    volume = get_object_or_404(_volumes(request), pk=pk)
    try:
        request_operation(user=person(request), kind="read_appliance", subject=volume)
    except (Conflict, NotPossible) as error:
        return refused(request, str(error), status=409 if isinstance(error, Conflict) else 422)
    if wants_part(request):
        return _page(request, volume, status=200)
    return redirect(page_url(volume))


@require_POST
@needs(Privilege.DOMAIN_CREATE)
def appliance_import(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks for it, or comes back with what is wrong."""
    volume = get_object_or_404(_volumes(request), pk=pk)
    form = _form(request, volume, data=request.POST)
    if form is None:
        return _page(request, volume, status=422)
    if form.is_valid() and form.chosen_host is not None:
        try:
            operation = request_operation(
                user=person(request),
                kind="import_appliance",
                subject=form.chosen_host,
                parameters=form.parameters,
            )
        except (Conflict, NotPossible) as error:
            form.add_error(None, str(error))
        else:
            return _to_operation(request, operation)
    return _page(request, volume, form=form, status=422)


def page_url(volume: Volume) -> str:
    return f"{reverse('appliance_new')}?volume={volume.pk}"


def _to_operation(request: HttpRequest, operation: Operation) -> HttpResponse:
    """To the page that shows how far it is."""
    url = reverse("operation", args=[operation.pk])
    if "HX-Request" in request.headers:
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return redirect(url)


def _page(request: HttpRequest, volume: Volume, *, form: ImportForm | None = None, status: int) -> HttpResponse:
    context: dict[str, Any] = {"volume": volume, "page_url": page_url(volume)}
    reading = Operation.objects.unfinished().filter(
        kind="read_appliance", subject_type="volume", subject_key=str(volume.pk)
    )
    appliance = Appliance.objects.filter(volume=volume).first()
    if reading.exists():
        context["is_reading"] = True
    elif appliance is not None:
        context["appliance"] = appliance
        context["form"] = form or _form(request, volume, data=None)
        context["problem"] = "" if context["form"] is not None else _problem(volume)
        context["systems"] = all_systems()
    template = "domains/appliances/page.html"
    return render(request, f"{template}#look" if wants_part(request) else template, context, status=status)


def _form(request: HttpRequest, volume: Volume, *, data: Any) -> ImportForm | None:
    """None where it cannot be imported at all. Values in the address are what somebody typed before."""
    try:
        examined = examined_appliance(volume)
    except NotPossible:
        return None
    typed: dict[str, Any] = (
        {name: value for name, value in request.GET.items() if name != "volume"} if data is None else {}
    )
    if typed:
        typed["start"] = "start" in typed
    return ImportForm(data, volume=volume, examined=examined, user=request.user, initial=typed)


def _problem(volume: Volume) -> str:
    try:
        examined_appliance(volume)
    except NotPossible as error:
        return str(error)
    return ""


def _volumes(request: HttpRequest) -> Any:
    """What may become a machine: of pools where the person may make machines, and see the storage."""
    rows = permitted(request.user, Privilege.STORAGE_VIEW, Volume.objects.present())
    rows = permitted(request.user, Privilege.DOMAIN_CREATE, rows)
    return rows.select_related("storage_pool__hypervisor__hypervisor_pool")


def _candidates(request: HttpRequest) -> list[Volume]:
    """Each file once, however many hosts see it."""
    rows = [volume for volume in _volumes(request).order_by("name") if volume.name.lower().endswith(_ENDINGS)]
    seen: dict[Any, Volume] = {}
    for volume in rows[:_MOST_SHOWN]:
        pool = volume.storage_pool
        seen.setdefault((pool.shared_storage_id or f"pool-{pool.pk}", volume.name), volume)
    return list(seen.values())


urlpatterns = [
    path("appliances/new/", appliance_new, name="appliance_new"),
    path("storage/volumes/<row:pk>/appliance/", appliance_read, name="appliance_read"),
    path("storage/volumes/<row:pk>/import/", appliance_import, name="appliance_import"),
]
