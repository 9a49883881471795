"""What one hypervisor has told of one domain, as the mirror holds it in memory."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from hypervisors.gateway.domains.reading import DomainFacts
from hypervisors.inventory.domains.copies import Copy
from hypervisors.inventory.domains.definitions import fingerprint_of
from hypervisors.inventory.domains.records import NO_SNAPSHOTS, DomainRecord
from hypervisors.inventory.domains.snapshots import snapshots_fingerprint
from hypervisors.states import ACTIVE_DOMAIN_STATES, DomainState

RUNNING_STATES = ACTIVE_DOMAIN_STATES - {DomainState.PAUSED, DomainState.CRASHED}


@dataclass(frozen=True, kw_only=True, slots=True)
class ObservedDomain:
    """One domain as one hypervisor has it."""

    name: str
    state: DomainState
    state_reason: str
    persistent: bool
    autostart: bool
    has_managed_save: bool
    xml_fingerprint: int
    has_snapshots: bool = False
    has_checkpoints: bool = False
    # Differs when what was told of its snapshots does; of this process only. 0: not known.
    snapshots_fingerprint: int = NO_SNAPSHOTS
    disk_errors: tuple[str, ...] = ()
    # A migration takes it away from here.
    leaving: bool = False
    # time.monotonic() of the last event that told its state: a reading begun earlier may be older than that.
    state_told_at: float = 0.0


def keyed(facts: DomainFacts, key: UUID) -> DomainFacts:
    return facts if facts.uuid == key else replace(facts, uuid=key)


def observation_of(facts: DomainFacts, before: ObservedDomain | None, *, started_at: float) -> ObservedDomain:
    told_later = before is not None and before.state_told_at > started_at
    state, reason = (before.state, before.state_reason) if before and told_later else (facts.state, facts.state_reason)
    return ObservedDomain(
        name=facts.name[:255],
        state=state,
        state_reason=reason,
        persistent=facts.persistent,
        autostart=facts.autostart,
        has_managed_save=facts.has_managed_save,
        xml_fingerprint=fingerprint_of(facts),
        has_snapshots=facts.has_snapshots,
        has_checkpoints=facts.has_checkpoints,
        snapshots_fingerprint=snapshots_fingerprint(facts),
        disk_errors=facts.disk_errors if not told_later else (),
        leaving=before is not None and before.leaving and state not in RUNNING_STATES,
        state_told_at=before.state_told_at if before is not None else 0.0,
    )


def observed_before(record: DomainRecord) -> ObservedDomain:
    return ObservedDomain(
        name=record.name,
        state=record.state,
        state_reason=record.state_reason,
        persistent=record.persistent,
        autostart=record.autostart,
        has_managed_save=record.has_managed_save,
        xml_fingerprint=record.xml_fingerprint,
        has_snapshots=record.has_snapshots,
        has_checkpoints=record.has_checkpoints,
        snapshots_fingerprint=record.snapshots_fingerprint,
    )


def observed_copy(copy: Copy) -> ObservedDomain:
    return ObservedDomain(
        name=copy.name,
        state=copy.state,
        state_reason="",
        persistent=True,
        autostart=False,
        has_managed_save=False,
        xml_fingerprint=0,
    )


def is_passing(observation: ObservedDomain) -> bool:
    """A migration that comes in has no definition yet; what one took away has, for a moment."""
    comes_in = observation.state == DomainState.PAUSED and not observation.persistent
    return comes_in or observation.leaving or observation.state_reason == "migrated"


def owner_of(observed: Mapping[int, ObservedDomain], online: Collection[int], *, former: int | None) -> int:
    """The hypervisor that a domain belongs to, of those that have it."""
    if len(observed) == 1:
        return next(iter(observed))

    def rank(hypervisor_id: int) -> tuple[int, bool, bool, int]:
        observation = observed[hypervisor_id]
        if observation.state in RUNNING_STATES:
            activity = 2 if observation.leaving else 3
        else:
            activity = 1 if observation.state in ACTIVE_DOMAIN_STATES else 0
        return (activity, hypervisor_id in online, hypervisor_id == former, -hypervisor_id)

    return max(observed, key=rank)
