"""One volume's page: what it is and who uses it, and its XML, which its host is asked for while the page stands."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from hypervisors.access import can, permitted
from hypervisors.broadcast import changes_group
from hypervisors.inventory.storage.uses import overlays_on
from hypervisors.models import Volume
from hypervisors.operations.storage.volume_xml_readings import volume_xml as reading_of
from hypervisors.privileges import Privilege
from hypervisors.web.boosting import wants_part
from hypervisors.web.permissions import needs
from hypervisors.web.sequences import sequence_number
from hypervisors.web.storage.volume_uses import add_uses


@require_safe
@needs(Privilege.STORAGE_VIEW)
def volume(request: HttpRequest, pk: int) -> HttpResponse:
    sequence = sequence_number(changes_group(request.user))
    row = _visible(request, pk)
    add_uses([row], request.user)
    context = {
        "sequence": sequence,
        "overlays": _may_be_seen(request, overlays_on([row]).get(row.pk, [])),
        "backing": _backing(request, row),
    }
    return _page(request, row, "details", context)


@require_safe
@needs(Privilege.STORAGE_VIEW)
def volume_xml(request: HttpRequest, pk: int) -> HttpResponse:
    """It asks for itself anew until the host has answered."""
    sequence = sequence_number(changes_group(request.user))
    row = _visible(request, pk)
    context = {"sequence": sequence, "volume": row, "reading": reading_of(row)}
    if wants_part(request):
        return render(request, "storage/volume_xml_part.html", context)
    return _page(request, row, "xml", context)


def _page(request: HttpRequest, row: Volume, tab: str, context: dict[str, Any]) -> HttpResponse:
    tabs = [
        {"name": "details", "word": _("Details"), "url": row.get_absolute_url()},
        {"name": "xml", "word": "XML", "url": reverse("volume_xml", args=[row.pk])},
    ]
    may_manage = can(request.user, Privilege.STORAGE_MANAGE, row)
    shared = {"volume": row, "storage_pool": row.storage_pool, "tab": tab, "tabs": tabs, "may_manage": may_manage}
    return render(request, f"storage/volume_{tab}.html", {**shared, **context})


def _backing(request: HttpRequest, row: Volume) -> Volume | None:
    """The volume of its host that it is on top of."""
    if not row.backing_path:
        return None
    same_host = Volume.objects.present().filter(storage_pool__hypervisor=row.storage_pool.hypervisor_id)
    return permitted(request.user, Privilege.STORAGE_VIEW, same_host.filter(path=row.backing_path)).first()


def _may_be_seen(request: HttpRequest, volumes: list[Volume]) -> list[Volume]:
    keys = [one.pk for one in volumes]
    return list(permitted(request.user, Privilege.STORAGE_VIEW, Volume.objects.filter(pk__in=keys)))


def _visible(request: HttpRequest, pk: int) -> Volume:
    """Raises: Http404."""
    volumes = permitted(request.user, Privilege.STORAGE_VIEW, Volume.objects.all())
    related = volumes.select_related("storage_pool__hypervisor__hypervisor_pool")
    return get_object_or_404(
        related.defer("storage_pool__hypervisor__cpu_xml", "storage_pool__hypervisor__machine_types"), pk=pk
    )


urlpatterns = [
    path("storage/volumes/<row:pk>/", volume, name="volume"),
    path("storage/volumes/<row:pk>/xml/", volume_xml, name="volume_xml"),
]
