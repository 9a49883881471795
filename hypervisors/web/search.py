"""The one search: virtual machines, hosts and networks that match what somebody types, the best first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_safe

from hypervisors.access import permitted
from hypervisors.models import Domain, Hypervisor, Network
from hypervisors.models.rights import Requester
from hypervisors.privileges import Privilege
from hypervisors.web.domains.address_search import is_address, matching_addresses
from hypervisors.web.domains.addresses import cards_of
from hypervisors.web.domains.list_queries import DomainListQuery

_MOST_RESULTS = 8
# So many of them are hosts at most, and so many networks: each host may have one of the same name.
_MOST_HOSTS = 3
_MOST_NETWORKS = 3
# Of equals.
_ORDER = ("machine", "host", "network")
# So many addresses are said of one machine.
_MOST_ADDRESSES = 3


@dataclass(frozen=True, kw_only=True)
class Result:
    """One line of the proposals: `row` is a Domain, a Hypervisor or a Network."""

    row: Domain | Hypervisor | Network
    noun: Literal["machine", "host", "network"]
    rank: int
    # Of a machine that was found by an address.
    addresses: Sequence[str] = ()


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
    hosts: QuerySet[Any] = _hosts(user, query.text).annotate(rank=rank).order_by(*by_name)
    networks: QuerySet[Any] = _networks(user, query.text).annotate(rank=rank).order_by("rank", "name", "pk")
    results = _machines(user, query)
    results += [Result(row=row, noun="host", rank=row.rank) for row in hosts[:_MOST_HOSTS]]
    results += [Result(row=row, noun="network", rank=row.rank) for row in networks[:_MOST_NETWORKS]]
    return sorted(results, key=lambda result: (result.rank, _ORDER.index(result.noun)))


def _machines(user: Requester, query: DomainListQuery) -> list[Result]:
    """With the addresses that are meant, where an address may be."""
    matching: QuerySet[Any] = query.matching(user).select_related("hypervisor").annotate(rank=_rank(query.text))
    rows = list(matching.order_by("rank", "natural_name", "name", "pk")[: _MOST_RESULTS + 1])
    meant: dict[int, list[str]] = {}
    if rows and is_address(query.text):
        meant = {pk: matching_addresses(query.text, cards) for pk, cards in cards_of(rows).items()}
    return [
        Result(row=row, noun="machine", rank=row.rank, addresses=meant.get(row.pk, [])[:_MOST_ADDRESSES])
        for row in rows
    ]


def _hosts(user: Requester, text: str) -> QuerySet[Hypervisor]:
    seen = permitted(user, Privilege.HYPERVISOR_VIEW, Hypervisor.objects.all())
    return seen.filter(Q(name__icontains=text) | Q(hostname__icontains=text)).only(
        "name", "status", "status_reason", "admin_state", "hypervisor_pool"
    )


def _networks(user: Requester, text: str) -> QuerySet[Network]:
    """By their names, bridges and addresses; on each host that has one."""
    seen = permitted(user, Privilege.NETWORK_VIEW, Network.objects.present())
    matches = Q(name__icontains=text) | Q(bridge__icontains=text)
    if is_address(text):
        matches |= Q(addresses__icontains=text)
    found = seen.filter(matches).select_related("hypervisor")
    return found.only("name", "bridge", "active", "autostart", "hypervisor__name")


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
