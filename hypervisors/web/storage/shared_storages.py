"""Shared storage, shown once for its hypervisor pool: what it holds, and which host sees it since when, or why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from hypervisors.access import can, permitted
from hypervisors.broadcast import changes_group
from hypervisors.models import Hypervisor, SharedStorage, StoragePool
from hypervisors.operations.engine.requests import why_not
from hypervisors.privileges import Privilege
from hypervisors.web.boosting import wants_part
from hypervisors.web.naming import natural_key
from hypervisors.web.permissions import needs
from hypervisors.web.sequences import sequence_number
from hypervisors.web.storage.operations import unfinished_operations
from hypervisors.web.storage.pages import volumes_context


@dataclass(frozen=True, kw_only=True)
class HostSight:
    """One host of the hypervisor pool, its storage pool if it has one, and what is known: "seen", "another", …"""

    hypervisor: Hypervisor
    storage_pool: StoragePool | None
    state: str
    reason: str = ""


@require_safe
@needs(Privilege.STORAGE_VIEW)
def shared_storage(request: HttpRequest, pk: int) -> HttpResponse:
    sequence = sequence_number(changes_group(request.user))
    rows = permitted(request.user, Privilege.STORAGE_VIEW, SharedStorage.objects.all())
    shared = get_object_or_404(rows.select_related("hypervisor_pool"), pk=pk)
    sights = host_sights(shared)
    row = representative(sights)
    context: dict[str, Any] = {
        "sequence": sequence,
        "shared": shared,
        "pool": shared.hypervisor_pool,
        "sights": sights,
        "seen_count": sum(sight.state == "seen" for sight in sights),
        "sharers": [sight.storage_pool for sight in sights if sight.storage_pool is not None],
        "storage_pool": row,
    }
    if row is not None:
        context |= volumes_context(request, row, base_url=shared.get_absolute_url())
        context |= {
            "operations": unfinished_operations(row, request.user),
            "may_manage": can(request.user, Privilege.STORAGE_MANAGE, row),
            "why_not_prove": why_not(row, "prove_sharing"),
        }
    is_table = row is not None and wants_part(request) and request.headers.get("HX-Target") == "volumes"
    return render(request, "storage/volumes.html" if is_table else "storage/shared.html", context)


def host_sights(shared: SharedStorage) -> list[HostSight]:
    """Every host of the hypervisor pool, by name; two queries."""
    pools: Mapping[int, StoragePool] = {
        row.hypervisor_id: row
        for row in StoragePool.objects.present().filter(shared_storage=shared).select_related("hypervisor")
    }
    hosts = Hypervisor.objects.filter(hypervisor_pool=shared.hypervisor_pool_id).defer("cpu_xml", "machine_types")
    return [_sight(host, pools.get(host.pk)) for host in sorted(hosts, key=lambda host: natural_key(host.name))]


def representative(sights: list[HostSight]) -> StoragePool | None:
    """The storage pool whose volumes and sizes stand for all: proved, started and on a host that is online, if any."""

    def rank(sight: HostSight) -> tuple[bool, bool, bool]:
        assert sight.storage_pool is not None
        return (sight.state != "seen", not sight.storage_pool.active, not sight.hypervisor.is_online)

    having = [sight for sight in sights if sight.storage_pool is not None]
    return min(having, key=rank).storage_pool if having else None


def _sight(host: Hypervisor, storage_pool: StoragePool | None) -> HostSight:
    state, reason = _state(storage_pool)
    if storage_pool is not None:
        storage_pool.hypervisor = host
    return HostSight(hypervisor=host, storage_pool=storage_pool, state=state, reason=reason)


def _state(storage_pool: StoragePool | None) -> tuple[str, str]:
    if storage_pool is None:
        return "absent", _("It has no such storage pool.")
    if storage_pool.proved_at is not None:
        return "seen", storage_pool.unproved_reason
    if storage_pool.is_another:
        return "another", storage_pool.unproved_reason
    if not storage_pool.active:
        return "unknown", _("The storage pool is not started there.")
    return "unknown", storage_pool.unproved_reason or _("Nobody has looked yet.")


urlpatterns = [path("storage/shared/<row:pk>/", shared_storage, name="shared_storage")]
