"""The thread that follows one hypervisor: it subscribes to events, reads what they concern, and often looks at all.

libvirt's event thread calls `_on_event`: what a lifecycle event itself tells goes to the writer at once; then this
thread reads the domain again.
"""

import random
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _

from hypervisors import errors
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.reading import (
    DomainFacts,
    DomainSummary,
    list_domain_summaries,
    list_domains,
    read_domain,
)
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.events import HypervisorEvent, subscribe
from hypervisors.gateway.hypervisors.hosts import check_answers
from hypervisors.inventory.domains.reboots import note_reboot
from hypervisors.inventory.observations import DomainRead, DomainsListed, DomainStateSeen, ObservationsWithdrawn
from hypervisors.inventory.sessions.concurrency_limits import READING
from hypervisors.inventory.sessions.connection_workers import ConnectionWorker
from hypervisors.inventory.sessions.host_claims import HostClaims
from hypervisors.inventory.sessions.states import SessionState
from hypervisors.models.domains import CONNECTED_AGENT
from hypervisors.states import HypervisorStatus

_HEARTBEAT_SECONDS = 2.0
# Autostart and managed save change without an event: a look at all domains without their XML finds them.
_SUMMARY_SECONDS = 10.0
_FULL_SECONDS = 60.0

NameOf = Callable[[int], str]


@dataclass(frozen=True, kw_only=True)
class Rebooted:
    """A guest rebooted, at this time of time.time()."""

    uuid: UUID
    at: float


class Follower(ConnectionWorker):
    """Mirrors the domains. `on_other_event` takes events on all else.

    `on_guests` is told of domains that run, and whether an agent is connected to each; and whether these are all.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        state: SessionState,
        claims: HostClaims,
        name_of: NameOf,
        on_other_event: Callable[[HypervisorEvent], None],
        on_guests: Callable[[Mapping[UUID, bool], bool], None],
    ) -> None:
        super().__init__(endpoint, label=f"follower of {endpoint.key}")
        self._state = state
        self._claims = claims
        self._name_of = name_of
        self._on_other_event = on_other_event
        self._on_guests = on_guests
        self._summaries: dict[UUID, DomainSummary] = {}

    def on_connected(self, connection: Connection) -> None:
        self._claim_machine()
        # Before the listing, so that nothing falls between the two.
        subscribe(connection, self._on_event)
        self._state.connection = connection
        self._state.note_answer()
        self._state.set_status(HypervisorStatus.ONLINE)
        self._list_domains(connection)
        # Hundreds of hypervisors that were connected together are not all looked at in the same moment for ever.
        self.agenda.add("heartbeat", after_seconds=random.uniform(0, _HEARTBEAT_SECONDS))  # noqa: S311
        self.agenda.add("summaries", after_seconds=random.uniform(0, _SUMMARY_SECONDS))  # noqa: S311

    def perform(self, connection: Connection, job: Hashable) -> None:
        if isinstance(job, Rebooted):
            note_reboot(self._state.hypervisor_id, job.uuid, at=job.at)
        elif isinstance(job, UUID):
            self._read_domain(connection, job)
        elif job == "heartbeat":
            self.agenda.add("heartbeat", after_seconds=_HEARTBEAT_SECONDS)
            check_answers(connection)
        elif job == "summaries":
            self.agenda.add("summaries", after_seconds=_SUMMARY_SECONDS)
            self._compare_summaries(connection)
        elif job == "full":
            self._list_domains(connection)
        elif job == "claim":
            self._claim_machine()

    def after_job(self) -> None:
        self._state.note_answer()
        self._state.set_status(HypervisorStatus.ONLINE)

    def on_failed(self, error: errors.HypervisorError) -> None:
        self._state.connection = None
        self._state.set_status(HypervisorStatus.OFFLINE, str(error))

    def _claim_machine(self) -> None:
        """Raises: errors.ConnectionFailed when another hypervisor's row is this machine."""
        holder = self._claims.claim(self._state.host_uuid, self._state.hypervisor_id)
        if holder is None:
            return
        self._state.post(ObservationsWithdrawn(hypervisor_id=self._state.hypervisor_id))
        raise errors.ConnectionFailed(
            _(
                "This is the same machine as “%(name)s” (host UUID %(uuid)s). Remove one of the two; or, if the "
                "machines were cloned, give one its own host_uuid in /etc/libvirt/libvirtd.conf."
            )
            % {"name": self._name_of(holder), "uuid": self._state.host_uuid}
        )

    def _list_domains(self, connection: Connection) -> None:
        self.agenda.add("full", after_seconds=_FULL_SECONDS * random.uniform(0.7, 1.0))  # noqa: S311
        self.rest()
        with READING.held():
            self.touch()
            started_at = time.monotonic()
            domains = tuple(list_domains(connection, on_progress=self.touch))
        self._summaries = {facts.uuid: facts.summary() for facts in domains}
        self._state.post(DomainsListed(hypervisor_id=self._state.hypervisor_id, domains=domains, started_at=started_at))
        self._on_guests({facts.uuid: _has_agent(facts) for facts in domains if facts.live_xml}, True)

    def _compare_summaries(self, connection: Connection) -> None:
        seen = {summary.uuid: summary for summary in list_domain_summaries(connection)}
        for uuid in seen.keys() | self._summaries.keys():
            if seen.get(uuid) != self._summaries.get(uuid):
                self.agenda.add(uuid)

    def _read_domain(self, connection: Connection, uuid: UUID) -> None:
        started_at = time.monotonic()
        facts = read_domain(connection, uuid)
        if facts is None:
            self._summaries.pop(uuid, None)
        else:
            self._summaries[uuid] = facts.summary()
            if facts.live_xml:
                self._on_guests({uuid: _has_agent(facts)}, False)
        self._state.post(
            DomainRead(hypervisor_id=self._state.hypervisor_id, uuid=uuid, facts=facts, started_at=started_at)
        )

    def _on_event(self, event: HypervisorEvent) -> None:
        """In libvirt's event thread: queue and return."""
        if self.is_stopped:
            return
        if event.subject == "connection":
            self.agenda.add("lost")
        elif event.subject != "domain" or event.uuid is None:
            self._on_other_event(event)
        else:
            if event.has_rebooted:
                # Redis may take its time, which libvirt's event thread has not.
                self.agenda.add(Rebooted(uuid=event.uuid, at=time.time()))
            if event.state is not None or event.state_reason:
                self._state.post(
                    DomainStateSeen(
                        hypervisor_id=self._state.hypervisor_id,
                        uuid=event.uuid,
                        state=event.state,
                        state_reason=event.state_reason,
                        seen_at=time.monotonic(),
                    )
                )
            self.agenda.add(event.uuid, after_seconds=event.read_after_seconds)


def _has_agent(facts: DomainFacts) -> bool:
    """Whether an agent is connected, as libvirt writes it."""
    return CONNECTED_AGENT in facts.live_xml
