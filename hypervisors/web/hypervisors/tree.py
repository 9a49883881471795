"""The inventory on the left: pools, their hypervisors, and one hypervisor's machines when it is opened."""

from collections import defaultdict
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from hypervisors.access import can, permitted
from hypervisors.models import Domain, Hypervisor, HypervisorPool
from hypervisors.models.domains import DomainQuerySet
from hypervisors.privileges import Privilege

# Beyond this a host's machines are better looked through in the list.
MOST_LEAVES = 500


@require_safe
def tree(request: HttpRequest) -> HttpResponse:
    """Pools and hypervisors with the number of their machines."""
    counts = dict(_domains(request.user).order_by().values_list("hypervisor").annotate(Count("pk")))
    shown = None if can(request.user, Privilege.HYPERVISOR_VIEW) else set(counts)
    if shown is not None:
        shown |= set(
            permitted(request.user, Privilege.HYPERVISOR_VIEW, Hypervisor.objects.all()).values_list("pk", flat=True)
        )
    return render(request, "tree/tree.html", {"pools": _pools(shown, counts)})


@require_safe
def tree_hypervisor(request: HttpRequest, pk: int) -> HttpResponse:
    """One hypervisor's machines. Raises: Http404 for who sees none of them."""
    domains = list(
        _domains(request.user).filter(hypervisor=pk).order_by("natural_name", "name", "uuid")[: MOST_LEAVES + 1]
    )
    seen = permitted(request.user, Privilege.HYPERVISOR_VIEW, Hypervisor.objects.filter(pk=pk))
    if not domains and not seen.exists():
        raise Http404
    context = {"domains": domains[:MOST_LEAVES], "hypervisor_id": pk, "has_more": len(domains) > MOST_LEAVES}
    return render(request, "tree/leaves.html", context)


def _domains(user: AbstractBaseUser | AnonymousUser) -> DomainQuerySet:
    return (
        Domain.objects.visible_to(user)
        .present()
        .only("uuid", "name", "title", "state", "state_reason", "has_managed_save", "hypervisor", "vanished_at")
    )


def _pools(shown: set[int | None] | None, counts: dict[int | None, int]) -> list[dict[str, Any]]:
    """Pools by name with their hypervisors; `shown` limits the hypervisors, and drops the pools left empty."""
    hypervisors = Hypervisor.objects.only(
        "name", "status", "status_reason", "admin_state", "seen_at", "hypervisor_pool"
    )
    by_pool: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in hypervisors.order_by("natural_name", "name"):
        if shown is None or row.pk in shown:
            by_pool[row.hypervisor_pool_id].append({"row": row, "count": counts.get(row.pk, 0)})
    pools = HypervisorPool.objects.only("name").order_by("name")
    return [{"row": pool, "hosts": by_pool[pool.pk]} for pool in pools if shown is None or pool.pk in by_pool]


urlpatterns = [
    path("tree/", tree, name="tree"),
    path("tree/hypervisors/<row:pk>/", tree_hypervisor, name="tree_hypervisor"),
]
