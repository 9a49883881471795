"""The list of virtual machines, the menu to filter it by place, and what the machines used lately."""

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from hypervisors.access import can, can_somewhere, permitted
from hypervisors.broadcast import changes_group
from hypervisors.models import Domain, Hypervisor
from hypervisors.models.usage import UsageSample, domain_key, read_recent
from hypervisors.privileges import Privilege
from hypervisors.states import ACTIVE_DOMAIN_STATES
from hypervisors.web.boosting import wants_part
from hypervisors.web.domains.addresses import addresses_of
from hypervisors.web.domains.list_queries import MOST_AT_ONCE, PAGE_SIZES, DomainList, DomainListQuery, ListedDomain
from hypervisors.web.frames import FEW_MACHINES, has_inventory
from hypervisors.web.sequences import sequence_number

# A page of the list at most, and a little more.
_MOST_USAGES = 200
SPARKLINE_SAMPLES = 40
# An older sample says nothing of now.
_LATEST_SECONDS = 15


@require_safe
def domains(request: HttpRequest) -> HttpResponse:
    """The list; a filter, another order or page asks for the table and its frame alone."""
    context = list_context(request, DomainListQuery.from_url(request.GET))
    return render(request, "domains/list.html#table" if wants_part(request) else "domains/list.html", context)


def list_context(request: HttpRequest, query: DomainListQuery) -> dict[str, Any]:
    """What domains/list.html#table shows."""
    # Read before the rows: what changes from here on makes the page look again.
    sequence = sequence_number(changes_group(request.user))
    domain_list = DomainList(query, request.user)
    return {
        "sequence": sequence,
        "query": query,
        "list": domain_list,
        "state_filters": _state_filters(domain_list),
        "pages": _pages(domain_list),
        "has_hypervisors": bool(domain_list.total) or _has_hypervisors(request.user),
        "place": _place(query, request.user),
        "columns": _columns(query),
        "page_sizes": [(size, query.url(page_size=size)) for size in PAGE_SIZES],
        "clear_url": query.cleared().url(),
        "here": query.url(page=query.page),
        "most_at_once": MOST_AT_ONCE,
        "cards": _cards(domain_list),
    }


@require_safe
def domain_places(request: HttpRequest) -> HttpResponse:
    """The menu of pools and hosts that the list can be limited to, keeping its other filters."""
    query = DomainListQuery.from_url(request.GET)
    by_pool: dict[Any, list[tuple[Hypervisor, str]]] = {}
    for hypervisor in _hypervisors_of(request.user):
        link = query.url(hypervisor=hypervisor.pk, hypervisor_pool=None)
        by_pool.setdefault(hypervisor.hypervisor_pool, []).append((hypervisor, link))
    pools = [(pool, query.url(hypervisor_pool=pool.pk, hypervisor=None), hosts) for pool, hosts in by_pool.items()]
    everywhere = query.url(hypervisor_pool=None, hypervisor=None)
    return render(request, "domains/places.html", {"pools": pools, "query": query, "everywhere": everywhere})


@require_safe
def domains_usage(request: HttpRequest) -> JsonResponse:
    """CPU of the last minutes and the latest values, for `?uuid=` repeated.

    Those that do not run or that one may not see are left out.
    """
    asked = _uuids(request.GET.getlist("uuid"))
    seen = Domain.objects.visible_to(request.user).filter(uuid__in=asked, state__in=ACTIVE_DOMAIN_STATES)
    uuids = seen.order_by().values_list("uuid", flat=True)
    usage = read_recent([domain_key(uuid) for uuid in uuids], SPARKLINE_SAMPLES)
    return JsonResponse({"domains": {key.rpartition(":")[2]: _sparkline(samples) for key, samples in usage.items()}})


@dataclass(frozen=True, kw_only=True)
class Card:
    """One of a few machines."""

    domain: ListedDomain
    may_start: bool
    addresses: list[str]


def _cards(domain_list: DomainList) -> list[Card] | None:
    """For who uses a few; None where the list is a table."""
    user = domain_list.user
    if domain_list.query.is_filtered or has_inventory(user) or not 0 < domain_list.total <= FEW_MACHINES:
        return None
    keys = [domain.pk for domain in domain_list.domains]
    operable = set(Domain.objects.operable_by(user).filter(pk__in=keys).order_by().values_list("pk", flat=True))
    addresses = addresses_of(domain_list.domains)
    return [
        Card(domain=domain, may_start=domain.pk in operable, addresses=addresses[domain.pk])
        for domain in domain_list.domains
    ]


def _place(query: DomainListQuery, user: AbstractBaseUser | AnonymousUser) -> str:
    """The name of the host or pool that the list is limited to; "?" for one that the person knows nothing of."""
    known = _known_hypervisors(user)
    if query.hypervisor:
        return known.filter(pk=query.hypervisor).values_list("name", flat=True).first() or "?"
    if query.hypervisor_pool:
        pools = known.filter(hypervisor_pool=query.hypervisor_pool)
        return pools.values_list("hypervisor_pool__name", flat=True).first() or "?"
    return ""


def _has_hypervisors(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Who may not see hosts is not told that there are none."""
    return not can_somewhere(user, Privilege.HYPERVISOR_VIEW) or Hypervisor.objects.exists()


def _hypervisors_of(user: AbstractBaseUser | AnonymousUser) -> list[Hypervisor]:
    return list(_known_hypervisors(user).only("name", "status", "hypervisor_pool__name"))


def _known_hypervisors(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Hypervisor]:
    """Those that one may see, and those that hold machines that one may see."""
    hypervisors = Hypervisor.objects.select_related("hypervisor_pool").order_by("hypervisor_pool__name", "name")
    if not can(user, Privilege.HYPERVISOR_VIEW):
        seen = permitted(user, Privilege.HYPERVISOR_VIEW, Hypervisor.objects.all()).order_by().values("pk")
        holding = Domain.objects.visible_to(user).present().order_by().values("hypervisor")
        hypervisors = hypervisors.filter(Q(pk__in=seen) | Q(pk__in=holding))
    return hypervisors


def _columns(query: DomainListQuery) -> dict[str, dict[str, str]]:
    """By name: the title of the column, the query string that sorts by it, and how it sorts now."""
    titles = {
        "state": _("State"),
        "name": _("Name"),
        "host": _("Host"),
        "vcpu": _("vCPU"),
        "cpu": _("CPU"),
        "memory": _("Memory"),
        "used": _("used"),
    }
    now = {query.sort: "descending" if query.descending else "ascending"}
    return {
        name: {"title": title, "url": query.sorted_by(name), "order": now.get(name, "")}
        for name, title in titles.items()
    }


def _state_filters(domain_list: DomainList) -> list[dict[str, Any]]:
    query = domain_list.query
    words = {"running": _("Running"), "paused": _("Paused"), "off": _("Off"), "crashed": _("Crashed")}
    return [
        {
            "name": name,
            "word": word,
            "count": domain_list.counts[name],
            "is_chosen": query.state == name,
            "url": query.url(state="" if query.state == name else name),
        }
        for name, word in words.items()
        if domain_list.counts[name] or query.state == name
    ]


def _pages(domain_list: DomainList) -> list[tuple[int | None, str]]:
    return [(page, domain_list.query.url(page=page) if page else "") for page in domain_list.pages]


def _sparkline(samples: list[UsageSample]) -> dict[str, Any]:
    if samples and samples[-1].epoch < time.time() - _LATEST_SECONDS:
        samples = []
    latest = samples[-1] if samples else None
    return {
        "at": latest.epoch if latest else 0,
        "cpu": [round(sample.cpu_percent, 1) for sample in samples],
        "latest": [None if value is None else round(value, 1) for value in latest.values()] if latest else [],
    }


def _uuids(values: list[str]) -> list[UUID]:
    found = []
    for value in values[:_MOST_USAGES]:
        try:
            found.append(UUID(value))
        except ValueError:
            continue
    return found


urlpatterns = [
    path("vms/", domains, name="domains"),
    path("vms/places/", domain_places, name="domain_places"),
    path("vms/usage.json", domains_usage, name="domains_usage"),
]
