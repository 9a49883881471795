"""Pages that show hypervisors: the overview of all pools, and one hypervisor with its facts, load and contents."""

from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.views.decorators.http import require_safe

from hypervisors.access import can, permitted
from hypervisors.broadcast import changes_group
from hypervisors.models import Domain, DomainCopy, Hypervisor, HypervisorPool, Network, StoragePool
from hypervisors.models.usage import hypervisor_key, read_usage
from hypervisors.privileges import Privilege
from hypervisors.states import DomainState
from hypervisors.web.domains.list_queries import DomainListQuery
from hypervisors.web.domains.lists import list_context
from hypervisors.web.networks.lists import network_lines
from hypervisors.web.permissions import needs
from hypervisors.web.sequences import sequence_number
from hypervisors.web.storage.lists import storage_lines


@require_safe
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisors(request: HttpRequest) -> HttpResponse:
    """Every pool with its hypervisors."""
    sequence = sequence_number(changes_group(request.user))
    pools = list(permitted(request.user, Privilege.HYPERVISOR_VIEW, HypervisorPool.objects.all()))
    rows = hypervisor_rows(permitted(request.user, Privilege.HYPERVISOR_VIEW, Hypervisor.objects.all()))
    for pool in pools:
        pool.rows = [row for row in rows if row.hypervisor_pool_id == pool.pk]  # type: ignore[attr-defined]
    online = sum(row.is_online for row in rows)
    context = {"pools": pools, "hypervisor_count": len(rows), "online_count": online, "sequence": sequence}
    context["sees_all"] = can(request.user, Privilege.HYPERVISOR_VIEW)
    return render(request, "hypervisors/overview.html", context)


@require_safe
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor(request: HttpRequest, pk: int) -> HttpResponse:
    return host_page(request, pk, "facts", {})


@require_safe
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_domains(request: HttpRequest, pk: int) -> HttpResponse:
    """The list of virtual machines, of this host's; a filter, another order or page asks for the table alone."""
    get_object_or_404(permitted(request.user, Privilege.HYPERVISOR_VIEW, Hypervisor.objects.all()).only("pk"), pk=pk)
    query = DomainListQuery.from_url(request.GET).on_host(pk, reverse("hypervisor_domains", args=[pk]))
    context = list_context(request, query)
    if request.headers.get("HX-Target") == "list":
        return render(request, "domains/list.html#table", context)
    return host_page(request, pk, "domains", context)


@require_safe
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_storage_pools(request: HttpRequest, pk: int) -> HttpResponse:
    return host_page(request, pk, "storage_pools", {"lines": storage_lines(request.user, hypervisor=pk)})


@require_safe
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_networks(request: HttpRequest, pk: int) -> HttpResponse:
    return host_page(request, pk, "networks", {"lines": network_lines(request.user, hypervisor_id=pk)})


@require_safe
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_usage(request: HttpRequest, pk: int) -> JsonResponse:
    """The last hour as {"at": [epoch seconds], "cpu": [percent], "memory": [KiB]} and the host's memory."""
    row = get_object_or_404(
        permitted(request.user, Privilege.HYPERVISOR_VIEW, Hypervisor.objects.all()).only("pk", "memory_kib"), pk=pk
    )
    samples = read_usage(hypervisor_key(row.pk))
    return JsonResponse(
        {
            "at": [sample.epoch for sample in samples],
            "cpu": [round(sample.cpu_percent, 1) for sample in samples],
            "memory": [None if sample.memory_kib is None else round(sample.memory_kib) for sample in samples],
            "memory_kib": row.memory_kib,
        }
    )


def hypervisor_rows(hypervisors: "QuerySet[Hypervisor]") -> list[Hypervisor]:
    """The hypervisors with `domain_count` and `running_count`, in two queries."""
    counts = {
        hypervisor_id: (total, running)
        for hypervisor_id, total, running in Domain.objects.present()
        .order_by()
        .values_list("hypervisor")
        .annotate(total=Count("pk"), running=Count("pk", filter=Q(state=DomainState.RUNNING)))
    }
    rows = list(hypervisors.defer(*_UNSHOWN))
    for row in rows:
        row.domain_count, row.running_count = counts.get(row.pk, (0, 0))  # type: ignore[attr-defined]
    return rows


# Long, and of no use on a page.
_UNSHOWN = ("cpu_xml", "machine_types", "interface_names")


def host_page(request: HttpRequest, pk: int, tab: str, context: dict[str, Any]) -> HttpResponse:
    """One of its tabs. Raises: Http404 for who may not see the host."""
    sequence = sequence_number(changes_group(request.user))
    row = get_object_or_404(
        permitted(request.user, Privilege.HYPERVISOR_VIEW, Hypervisor.objects.all())
        .select_related("hypervisor_pool")
        .defer(*_UNSHOWN),
        pk=pk,
    )
    storage_pools = list(_storage_pools(request, pk).only("name", "trouble"))
    context |= {
        "sequence": sequence,
        "hypervisor": row,
        "tab": tab,
        "domain_count": Domain.objects.present().filter(hypervisor=row).count(),
        "running_count": Domain.objects.present().filter(hypervisor=row, state=DomainState.RUNNING).count(),
        "storage_pool_count": len(storage_pools),
        "troubled": [one for one in storage_pools if one.trouble],
        "copies": _copies(request, row),
        "network_count": _networks(request, pk).count(),
    }
    return render(request, f"hypervisors/{tab}.html", context)


def _storage_pools(request: HttpRequest, hypervisor_id: int) -> "QuerySet[StoragePool]":
    return permitted(
        request.user, Privilege.STORAGE_VIEW, StoragePool.objects.present().filter(hypervisor=hypervisor_id)
    )


def _networks(request: HttpRequest, hypervisor_id: int) -> "QuerySet[Network]":
    rows = Network.objects.present().filter(hypervisor=hypervisor_id)
    return permitted(request.user, Privilege.NETWORK_VIEW, rows)


def _copies(request: HttpRequest, hypervisor: Hypervisor) -> list[DomainCopy]:
    """What it has of machines that belong to others, and those of its machines that run elsewhere, too."""
    here = Q(hypervisor=hypervisor) | Q(domain__hypervisor=hypervisor, runs_too_since__isnull=False)
    related = ("hypervisor", "domain__hypervisor")
    seen = DomainCopy.objects.filter(here, domain__in=Domain.objects.visible_to(request.user).order_by().values("pk"))
    return list(seen.select_related(*related).defer(*_UNSHOWN_OF_COPIES)[:_COPIES_SHOWN])


_COPIES_SHOWN = 50
_UNSHOWN_OF_COPIES = tuple(f"{path}__{name}" for path in ("hypervisor", "domain__hypervisor") for name in _UNSHOWN)


urlpatterns = [
    path("hypervisors/", hypervisors, name="hypervisors"),
    path("hypervisors/<row:pk>/", hypervisor, name="hypervisor"),
    path("hypervisors/<row:pk>/vms/", hypervisor_domains, name="hypervisor_domains"),
    path("hypervisors/<row:pk>/storage/", hypervisor_storage_pools, name="hypervisor_storage_pools"),
    path("hypervisors/<row:pk>/networks/", hypervisor_networks, name="hypervisor_networks"),
    path("hypervisors/<row:pk>/usage.json", hypervisor_usage, name="hypervisor_usage"),
]
