"""Copies of domains as the writer holds them in memory, and how they get into the database.

A copy is a hypervisor that has the domain besides the one that it belongs to: see models/domain_copies.py.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from hypervisors.models import DomainCopy, Operation
from hypervisors.states import DomainState


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """One domain as another hypervisor has it; `runs_too_since` is for alarms."""

    name: str
    state: DomainState
    runs_too_since: datetime | None = None


def load_copies(hypervisor_ids: Collection[int]) -> dict[UUID, dict[int, Copy]]:
    """By domain and hypervisor."""
    found: dict[UUID, dict[int, Copy]] = defaultdict(dict)
    rows = DomainCopy.objects.filter(hypervisor__in=hypervisor_ids, domain__hypervisor__in=hypervisor_ids)
    for uuid, pk, name, state, since in rows.values_list(
        "domain__uuid", "hypervisor_id", "name", "state", "runs_too_since"
    ):
        found[uuid][pk] = Copy(name=name, state=DomainState(state), runs_too_since=since)
    return found


def save_copies(copies: Iterable[tuple[int, Mapping[int, Copy]]]) -> None:
    """Have the rows of these domains (by primary key) be these."""
    for domain_id, wanted in copies:
        DomainCopy.objects.filter(domain=domain_id).exclude(hypervisor__in=wanted).delete()
        for hypervisor_id, copy in wanted.items():
            values = {"name": copy.name, "state": copy.state, "runs_too_since": copy.runs_too_since}
            DomainCopy.objects.update_or_create(domain_id=domain_id, hypervisor_id=hypervisor_id, defaults=values)


def is_moving(domain_id: int) -> bool:
    """Whether a move of ours is under way: its end says itself when something is wrong."""
    return Operation.objects.unfinished().filter(domain=domain_id, kind="migrate", started_at__isnull=False).exists()
