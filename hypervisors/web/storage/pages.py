"""One storage pool's page: its capacity, its volumes and who uses them, and the hosts that see the same storage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from hypervisors.access import can, permitted
from hypervisors.broadcast import changes_group
from hypervisors.models import StoragePool, Volume
from hypervisors.privileges import Privilege
from hypervisors.web.boosting import wants_part
from hypervisors.web.naming import natural_key
from hypervisors.web.permissions import needs
from hypervisors.web.sequences import sequence_number
from hypervisors.web.storage.definitions import STORAGE_POOL
from hypervisors.web.storage.operations import unfinished_operations
from hypervisors.web.storage.storage_pool_actions import actions_of
from hypervisors.web.storage.volume_uses import add_uses

PAGE_SIZE = 200


@require_safe
@needs(Privilege.STORAGE_VIEW)
def storage_pool(request: HttpRequest, pk: int) -> HttpResponse:
    sequence = sequence_number(changes_group(request.user))
    row = STORAGE_POOL.row_of(request, pk)
    if row.vanished_at is not None:
        lost = row.volumes.filter(vanished_at=row.vanished_at).count()
        return render(
            request, "storage/tombstone.html", {"storage_pool": row, "volume_count": lost, "sequence": sequence}
        )
    context = {
        "sequence": sequence,
        "storage_pool": row,
        "pool": row.hypervisor.hypervisor_pool,
        "operations": unfinished_operations(row, request.user),
        **_same_storage(request, row),
        **volumes_context(request, row, base_url=row.get_absolute_url()),
        "actions": actions_of(row) if can(request.user, Privilege.STORAGE_MANAGE, row) else [],
    }
    # The filter asks for the table alone; what else is fetched anew is picked out of the page.
    is_table = wants_part(request) and request.headers.get("HX-Target") == "volumes"
    return render(request, "storage/volumes.html" if is_table else "storage/page.html", context)


@dataclass(frozen=True, kw_only=True)
class VolumeQuery:
    """What the list is limited to, and its order."""

    text: str = ""
    sort: str = "name"
    descending: bool = False

    @classmethod
    def from_url(cls, values: Mapping[str, str]) -> "VolumeQuery":
        sort = values.get("sort", "")
        return cls(
            text=values.get("q", "").replace("\x00", "").strip()[:200],
            sort=sort if sort in _ORDERS else "name",
            descending=values.get("order") == "desc",
        )

    def url(self, **changed: str) -> str:
        values = {"q": self.text, "sort": self.sort, "order": "desc" if self.descending else ""} | changed
        if values["sort"] == "name":
            values["sort"] = ""
        return f"?{urlencode({name: value for name, value in values.items() if value})}"


@dataclass(frozen=True, kw_only=True)
class _Column:
    name: str
    label: str
    url: str
    order: str
    css: str = ""


def volumes_context(request: HttpRequest, row: StoragePool, *, base_url: str) -> dict[str, Any]:
    """What storage/volumes.html shows, on the page at `base_url`."""
    query = VolumeQuery.from_url(request.GET)
    everything = list(
        row.volumes.present().whole().values_list("pk", "name", "capacity_bytes", "allocation_bytes", "format")
    )
    chosen = [line for line in everything if query.text.casefold() in line[1].casefold()]
    chosen.sort(key=_ORDERS[query.sort], reverse=query.descending)
    page = Paginator(chosen, PAGE_SIZE).get_page(request.GET.get("page"))
    rows = Volume.objects.in_bulk([line[0] for line in page.object_list])
    volumes = [rows[line[0]] for line in page.object_list if line[0] in rows]
    for one in volumes:
        one.storage_pool = row
    add_uses(volumes, request.user)
    promised = sum(line[2] for line in everything)
    return {
        "base_url": base_url,
        "query": query,
        "volumes": volumes,
        "page": page,
        "page_query": query.url().removeprefix("?"),
        "volume_count": len(everything),
        "promised_bytes": promised,
        "overcommit": promised / row.capacity_bytes if 0 < row.capacity_bytes < promised else None,
        "columns": _columns(query),
    }


def _columns(query: VolumeQuery) -> list[_Column]:
    labels = {"name": _("Name"), "format": _("Format"), "capacity": _("Size"), "allocation": _("Allocated")}
    columns = []
    for name, label in labels.items():
        is_chosen = query.sort == name
        # Large ones first, at the first click.
        turns = not query.descending if is_chosen else name in ("capacity", "allocation")
        order = ("descending" if query.descending else "ascending") if is_chosen else ""
        css = {"capacity": "vp-num", "allocation": "vp-load-column"}.get(name, "")
        url = query.url(sort=name, order="desc" if turns else "")
        columns.append(_Column(name=name, label=label, url=url, order=order, css=css))
    return columns


def _same_storage(request: HttpRequest, row: StoragePool) -> dict[str, Any]:
    """The storage pools, this one among them, that look like the same storage."""
    if row.shared_storage_id is None:
        return {"sharers": []}
    same = permitted(request.user, Privilege.STORAGE_VIEW, StoragePool.objects.present().same_storage_as(row))
    sharers = list(same.select_related("hypervisor").order_by("hypervisor__natural_name"))
    return {"sharers": sharers if len(sharers) > 1 else []}


# By the values of one volume: primary key, name, capacity, allocation, format.
_ORDERS: dict[str, Any] = {
    "name": lambda line: natural_key(line[1]),
    "format": lambda line: (line[4], natural_key(line[1])),
    "capacity": lambda line: (line[2], natural_key(line[1])),
    "allocation": lambda line: (line[3], natural_key(line[1])),
}

urlpatterns = [
    path("storage/<row:pk>/", storage_pool, name="storage_pool"),
]
