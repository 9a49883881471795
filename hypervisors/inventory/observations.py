"""What the threads that talk to hypervisors tell the writer. Times are of time.monotonic()."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hypervisors.gateway.domains.reading import DomainFacts
from hypervisors.gateway.hypervisors.capabilities import CapabilitiesFacts
from hypervisors.gateway.hypervisors.hosts import HostFacts
from hypervisors.gateway.networks.networks import NetworkFacts
from hypervisors.gateway.storage.storage_pools import StoragePoolFacts
from hypervisors.gateway.storage.volumes import VolumeFacts
from hypervisors.inventory.storage.heads import ReadHead
from hypervisors.states import DomainState, HypervisorStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """Something seen on one hypervisor."""

    hypervisor_id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainsListed(Observation):
    """All domains of the hypervisor: what is not in it is not there."""

    domains: tuple[DomainFacts, ...]
    started_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainRead(Observation):
    """One domain; None: the hypervisor does not have it."""

    uuid: UUID
    facts: DomainFacts | None
    started_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainStateSeen(Observation):
    """What a lifecycle event itself told. `state` is None when it only told that a migration takes the domain away."""

    uuid: UUID
    state: DomainState | None
    state_reason: str
    seen_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainsAnswering(Observation):
    """Domains whose QEMU stopped or began to answer again."""

    answering: Mapping[UUID, bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestRead(Observation):
    """What a guest said of itself, or (None) why it did not; `read_at` of time.time().

    Without an answer, the facts are the addresses that its host has heard of.
    """

    uuid: UUID
    facts: Mapping[str, Any] | None
    has_answered: bool
    problem: str
    read_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ObservationsWithdrawn(Observation):
    """What was seen on it does not count: it is the same machine as another hypervisor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusSeen(Observation):
    status: HypervisorStatus
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HostRead(Observation):
    facts: HostFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class CapabilitiesRead(Observation):
    facts: CapabilitiesFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class StoragePoolsListed(Observation):
    """All storage pools of the hypervisor: what is not in it is not there."""

    uuids: tuple[UUID, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoragePoolRead(Observation):
    facts: StoragePoolFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class StoragePoolTroubled(Observation):
    """What is wrong with a storage pool, for people; empty: nothing any more."""

    uuid: UUID
    trouble: str


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumesListed(Observation):
    """All volumes of the storage pool."""

    pool_uuid: UUID
    volumes: tuple[VolumeFacts, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeHeadRead(Observation):
    """What the first bytes of an image say."""

    pool_uuid: UUID
    name: str
    head: ReadHead


@dataclass(frozen=True, kw_only=True, slots=True)
class ThingsListed(Observation):
    """All that the hypervisor has of one of models.host_listings.LISTED, as columns of rows."""

    what: str
    things: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworksListed(Observation):
    networks: tuple[NetworkFacts, ...]
