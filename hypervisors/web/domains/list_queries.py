"""The list of virtual machines as its URL asks for it: search, filters, order and page, in a handful of queries."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Self
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Aggregate, CharField, Count, F, Q, TextField
from django.db.models.functions import Cast
from django.http import QueryDict
from django.urls import reverse

from hypervisors.models import Domain, Hypervisor, Operation
from hypervisors.models.domains import DomainQuerySet, shown_domain_state
from hypervisors.models.usage import Metric, latest_ranking
from hypervisors.states import ACTIVE_DOMAIN_STATES, DomainState
from hypervisors.web.domains.address_search import matches_address

PAGE_SIZES = (50, 100)
# What a person calls a state, and the states it stands for.
STATE_FILTERS: dict[str, frozenset[DomainState]] = {
    "running": frozenset({DomainState.RUNNING, DomainState.BLOCKED, DomainState.SHUTDOWN}),
    "paused": frozenset({DomainState.PAUSED, DomainState.PMSUSPENDED}),
    "off": frozenset({DomainState.SHUTOFF, DomainState.NOSTATE}),
    "crashed": frozenset({DomainState.CRASHED}),
}
_COLUMNS = {
    "name": "natural_name",
    "state": "state",
    "host": "hypervisor__natural_name",
    "vcpu": "vcpu_count",
    "memory": "memory_kib",
}
_RANKED: dict[str, Metric] = {"cpu": "cpu", "used": "memory"}
# A column of measures is read from its greatest value.
_DESCENDING_FIRST = frozenset({"vcpu", "memory", "cpu", "used"})
# What one request may ask of machines of the list.
MOST_AT_ONCE = 500
# So many are asked for, or left out, by UUID.
_MOST_UUIDS = 500
_HEX_PREFIX = re.compile(r"[0-9a-f]{8,32}")


@dataclass(frozen=True, kw_only=True)
class DomainListQuery:
    """What the URL asks for; nonsense in it falls back to the default."""

    text: str = ""
    state: str = ""
    hypervisor_pool: int | None = None
    hypervisor: int | None = None
    sort: str = "name"
    descending: bool = False
    page: int = 1
    page_size: int = PAGE_SIZES[0]
    # Of the page that shows the list of one host's machines; "" for the list of all.
    path: str = ""

    @classmethod
    def from_url(cls, parameters: QueryDict) -> Self:
        sort = parameters.get("sort", "name")
        state = parameters.get("state", "")
        page_size = _number(parameters.get("size"))
        return cls(
            text=parameters.get("q", "").strip()[:200],
            state=state if state in STATE_FILTERS else "",
            hypervisor_pool=_number(parameters.get("pool")),
            hypervisor=_number(parameters.get("host")),
            sort=sort if sort in _COLUMNS or sort in _RANKED else "name",
            descending=parameters.get("order") == "desc",
            page=max(1, _number(parameters.get("page")) or 1),
            page_size=page_size if page_size in PAGE_SIZES else PAGE_SIZES[0],
        )

    def on_host(self, hypervisor_id: int, path: str) -> Self:
        """The same of one host's machines, on a page of that host."""
        return replace(self, hypervisor=hypervisor_id, hypervisor_pool=None, path=path)

    @property
    def is_filtered(self) -> bool:
        return bool(self.text or self.state or self.hypervisor_pool or (self.hypervisor and not self.path))

    def cleared(self) -> Self:
        """Without filters, in the first order."""
        hypervisor = self.hypervisor if self.path else None
        return type(self)(page_size=self.page_size, hypervisor=hypervisor, path=self.path)

    def url(self, **changes: Any) -> str:
        """The URL of this list with some things changed; another filter or order starts at page 1."""
        # Of a host's page the path says which host.
        parameters = self.query_string(**(changes | ({"hypervisor": None} if self.path else {})))
        return (self.path or reverse("domains")) + (f"?{parameters}" if parameters else "")

    def query_string(self, **changes: Any) -> str:
        """What `url` has behind the question mark."""
        query = replace(self, **({"page": 1} | changes))
        default = DomainListQuery()
        parameters = {
            "q": query.text,
            "state": query.state,
            "pool": query.hypervisor_pool or "",
            "host": query.hypervisor or "",
            "sort": query.sort if (query.sort, query.descending) != ("name", False) else "",
            "order": "desc" if query.descending else "",
            "size": query.page_size if query.page_size != default.page_size else "",
            "page": query.page if query.page > 1 else "",
        }
        return urlencode({name: value for name, value in parameters.items() if value != ""})

    def sorted_by(self, column: str) -> str:
        """The URL that sorts by this column, or turns its order round."""
        descending = not self.descending if column == self.sort else column in _DESCENDING_FIRST
        return self.url(sort=column, descending=descending)

    def matching(self, user: AbstractBaseUser | AnonymousUser, *, any_state: bool = False) -> DomainQuerySet:
        """The domains that the filters let through."""
        found = Domain.objects.visible_to(user).present()
        if self.text:
            found = found.filter(_matches(self.text))
        if self.hypervisor:
            found = found.filter(hypervisor=self.hypervisor)
        if self.hypervisor_pool:
            found = found.filter(hypervisor__hypervisor_pool=self.hypervisor_pool)
        if self.state and not any_state:
            found = found.filter(state__in=STATE_FILTERS[self.state])
        return found


@dataclass(kw_only=True, slots=True)
class ListedDomain:
    """A row of the list: what it shows of the domain and of its hypervisor, and the domain's unfinished operation."""

    pk: int
    uuid: UUID
    name: str
    title: str
    state: str
    state_reason: str
    has_managed_save: bool
    is_template: bool
    trouble: str
    vcpu_count: int
    memory_kib: int
    vanished_at: datetime | None
    hypervisor_id: int | None
    hypervisor_name: str | None
    hypervisor_status: str | None
    operation: Operation | None = None

    @property
    def shown_state(self) -> str:
        return shown_domain_state(self.state, vanished=self.vanished_at is not None, saved=self.has_managed_save)


class DomainList:
    """One page of the list, and what its frame shows."""

    def __init__(self, query: DomainListQuery, user: AbstractBaseUser | AnonymousUser) -> None:
        self.query = query
        self.user = user

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many match in each state filter, and "" for any state."""
        grouped = self.query.matching(self.user, any_state=True).order_by().values_list("state")
        by_state = dict(grouped.annotate(Count("pk")))
        counts = {name: sum(by_state.get(s, 0) for s in states) for name, states in STATE_FILTERS.items()}
        return {"": sum(by_state.values())} | counts

    @property
    def total(self) -> int:
        return self.counts[self.query.state]

    @property
    def page_count(self) -> int:
        return max(1, -(-self.total // self.query.page_size))

    @property
    def page(self) -> int:
        return min(self.query.page, self.page_count)

    @property
    def first_shown(self) -> int:
        return (self.page - 1) * self.query.page_size + 1

    @property
    def last_shown(self) -> int:
        return min(self.total, self.page * self.query.page_size)

    @property
    def pages(self) -> list[int | None]:
        """The page numbers to offer; None is a gap."""
        shown = sorted({1, self.page_count, *range(max(1, self.page - 1), min(self.page_count, self.page + 1) + 1)})
        pages: list[int | None] = []
        for number in shown:
            if pages and number - (pages[-1] or 0) > 1:
                pages.append(None)
            pages.append(number)
        return pages

    @cached_property
    def domains(self) -> Sequence[ListedDomain]:
        """The page's rows."""
        if not self.total:
            return []
        window = slice(self.first_shown - 1, self.last_shown)
        ranked = _RANKED.get(self.query.sort)
        found = self._ranked(ranked, window) if ranked else self._ordered(window)
        _attach_operations(found)
        return found

    def _ordered(self, window: slice) -> list[ListedDomain]:
        column = _COLUMNS[self.query.sort]
        order = ["-" + column if self.query.descending else column]
        ties = ["name"] if column == "natural_name" else ["natural_name", "name"]
        return _rows(self.query.matching(self.user).order_by(*order, *ties, "uuid")[window])

    def _ranked(self, metric: Metric, window: slice) -> list[ListedDomain]:
        """By what was measured last; those that were not measured come last, by name, in either direction."""
        matching = self.query.matching(self.user)
        ranking = latest_ranking(metric)
        active = _uuids(matching.filter(state__in=ACTIVE_DOMAIN_STATES))
        measured = [uuid for uuid in ranking if uuid in active]
        if not self.query.descending:
            measured.reverse()
        shown = [UUID(uuid) for uuid in measured[window]]
        found = {row.uuid: row for row in _rows(Domain.objects.filter(uuid__in=shown).order_by())} if shown else {}
        domains = [found[uuid] for uuid in shown if uuid in found]
        if window.stop > len(measured):
            rest = slice(max(0, window.start - len(measured)), window.stop - len(measured))
            domains += _unmeasured(matching, active, set(measured), rest)
        return domains


def _uuids(domains: DomainQuerySet) -> set[str]:
    """32 digits each."""
    joined: str | None = domains.order_by().aggregate(joined=_JoinedUuids("uuid"))["joined"]
    return set(joined.split(",")) if joined else set()


class _JoinedUuids(Aggregate):
    """All of them as one text, 32 digits each, with commas: ten thousand rows would take longer than all else."""

    function = "GROUP_CONCAT"
    output_field = TextField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "STRING_AGG(REPLACE((%(expressions)s)::text, '-', ''), ',')"
        return self.as_sql(compiler, connection, template=template, **context)


def _unmeasured(matching: DomainQuerySet, active: set[str], measured: set[str], window: slice) -> list[ListedDomain]:
    """Of those that are off and those that run unmeasured, by name."""
    rest = active - measured
    if len(rest) <= _MOST_UUIDS:
        off = ~Q(state__in=ACTIVE_DOMAIN_STATES)
        matching = matching.filter(off | Q(uuid__in=[UUID(uuid) for uuid in rest]))
    elif len(measured) <= _MOST_UUIDS:
        matching = matching.exclude(uuid__in=[UUID(uuid) for uuid in measured])
    else:
        # A database takes no such number of UUIDs.
        texts = matching.order_by("natural_name", "name", "uuid").values_list("pk", Cast("uuid", CharField()))
        keys = [key for key, text in texts if text.replace("-", "") not in measured]
        matching, window = Domain.objects.filter(pk__in=keys[window]), slice(None)
    return _rows(matching.order_by("natural_name", "name", "uuid")[window])


def _rows(domains: DomainQuerySet) -> list[ListedDomain]:
    """As plain values: 50 pairs of model instances would take three times as long."""
    return [
        ListedDomain(**row)
        for row in domains.values(
            "pk",
            "uuid",
            "name",
            "title",
            "state",
            "state_reason",
            "has_managed_save",
            "is_template",
            "trouble",
            "vcpu_count",
            "memory_kib",
            "vanished_at",
            "hypervisor_id",
            hypervisor_name=F("hypervisor__name"),
            hypervisor_status=F("hypervisor__status"),
        )
    ]


def _attach_operations(domains: Sequence[ListedDomain]) -> None:
    unfinished = Operation.objects.unfinished().filter(domain__in=[domain.pk for domain in domains])
    unfinished = unfinished.only("domain", "kind", "progress")
    by_domain = {operation.domain_id: operation for operation in unfinished}
    for domain in domains:
        domain.operation = by_domain.get(domain.pk)


def _matches(text: str) -> Q:
    by_text = Q(name__icontains=text) | Q(title__icontains=text)
    by_host = Q(hypervisor__in=Hypervisor.objects.filter(name__icontains=text).values("pk"))
    return by_text | by_host | _matches_uuid(text) | matches_address(text)


def _matches_uuid(text: str) -> Q:
    """A UUID or its beginning, from eight digits on, with or without dashes."""
    digits = text.lower().replace("-", "")
    if not _HEX_PREFIX.fullmatch(digits):
        return Q()
    first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    return Q(uuid__gte=first, uuid__lte=last) | Q(shared_uuid__gte=first, shared_uuid__lte=last)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None
