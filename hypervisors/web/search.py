"""The one search: virtual machines and hosts that match what somebody types, the best first."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_safe

from hypervisors.access import permitted
from hypervisors.models import Domain, Hypervisor
from hypervisors.models.rights import Requester
from hypervisors.privileges import Privilege
from hypervisors.web.domains.list_queries import DomainListQuery

_MOST_RESULTS = 8
# So many of them are hosts at most.
_MOST_HOSTS = 3


@dataclass(frozen=True, kw_only=True)
class Result:
    """One line of the proposals: `row` is a Domain or a Hypervisor."""

    row: Domain | Hypervisor
    is_host: bool
    rank: int


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """What matches `?q=`, as entries of the search's list; those in the list of machines come last, as a link."""
    query = DomainListQuery.from_url(request.GET)
    if not query.text:
        return HttpResponse()
    results = _results(request.user, query)
    context = {
        "results": results[:_MOST_RESULTS],
        "text": query.text,
        "list_url": f"{reverse('domains')}?{query.query_string()}" if len(results) > _MOST_RESULTS else "",
    }
    return render(request, "search/results.html", context)


def _results(user: Requester, query: DomainListQuery) -> list[Result]:
    """One more than is shown, when there are more; names that begin so come first, and of equals machines."""
    by_name = ("rank", "natural_name", "name", "pk")
    rank = _rank(query.text)
    machines: QuerySet[Any] = query.matching(user).select_related("hypervisor").annotate(rank=rank).order_by(*by_name)
    hosts: QuerySet[Any] = _hosts(user, query.text).annotate(rank=rank).order_by(*by_name)
    results = [Result(row=row, is_host=True, rank=row.rank) for row in hosts[:_MOST_HOSTS]]
    results += [Result(row=row, is_host=False, rank=row.rank) for row in machines[: _MOST_RESULTS + 1]]
    return sorted(results, key=lambda result: (result.rank, result.is_host))


def _hosts(user: Requester, text: str) -> QuerySet[Hypervisor]:
    seen = permitted(user, Privilege.HYPERVISOR_VIEW, Hypervisor.objects.all())
    return seen.filter(Q(name__icontains=text) | Q(hostname__icontains=text)).only(
        "name", "status", "status_reason", "admin_state", "hypervisor_pool"
    )


def _rank(text: str) -> Case:
    """0 for the name itself, 1 for its beginning, 2 for a part of it, 3 for what matches by something else."""
    return Case(
        When(name__iexact=text, then=Value(0)),
        When(name__istartswith=text, then=Value(1)),
        When(name__icontains=text, then=Value(2)),
        default=Value(3),
        output_field=IntegerField(),
    )


urlpatterns = [path("search/", search, name="search")]
