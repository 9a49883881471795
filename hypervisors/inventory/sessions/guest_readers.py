"""The thread that asks one hypervisor's guests what they are, by their agents, on a connection of its own.

It connects once a guest runs. One after another is asked, each for seconds at most; one that is slow or does not answer
is left alone for a while, so that it costs the others little. A thread that hangs all the same is replaced.
"""

import time
from collections.abc import Hashable, Mapping
from dataclasses import asdict
from uuid import UUID

from hypervisors import errors
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.guest_agent import read_arp_addresses, read_guest
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.inventory.observations import GuestRead
from hypervisors.inventory.sessions.secondary_workers import SecondaryWorker
from hypervisors.inventory.sessions.states import SessionState

PERIOD_SECONDS = 60.0
# After its agent has just come up, a guest is not yet what it will be.
_FIRST_SECONDS = 2.0
# One that took so long, or did not answer, is asked again after the other.
_SLOW_SECONDS, _REST_SECONDS = 4.0, 300.0
# Each of the agent's commands may take libvirt's patience.
_HUNG_SECONDS = 60.0


class GuestReader(SecondaryWorker):
    """`note` tells it of guests that run, and whether their agents are there."""

    def __init__(self, endpoint: Endpoint, *, state: SessionState, guests: Mapping[UUID, bool] | None = None) -> None:
        super().__init__(endpoint, label=f"guest reader of {endpoint.key}", state=state)
        self.guests: dict[UUID, bool] = dict(guests or {})

    def note(self, guests: Mapping[UUID, bool], *, are_all: bool) -> None:
        """Running domains and whether an agent is connected. Called by the follower."""
        if are_all:
            for uuid in self.guests.keys() - guests.keys():
                self.guests.pop(uuid, None)
        for uuid, has_agent in guests.items():
            is_new = self.guests.get(uuid) != has_agent
            self.guests[uuid] = has_agent
            if is_new:
                self.agenda.add(uuid, after_seconds=_FIRST_SECONDS)

    def others(self) -> dict[UUID, bool]:
        """All but the one that it is busy with."""
        return {uuid: has_agent for uuid, has_agent in self.guests.items() if uuid != self.present_job}

    def may_connect(self) -> bool:
        return super().may_connect() and self.endpoint.uri.transport != "test" and bool(self.guests)

    def hung_seconds(self) -> float:
        return _HUNG_SECONDS

    def on_connected(self, connection: Connection) -> None:
        for uuid in list(self.guests):
            self.agenda.add(uuid)

    def do(self, connection: Connection, job: Hashable) -> None:
        if not isinstance(job, UUID) or job not in self.guests:
            return
        pause = PERIOD_SECONDS
        try:
            if self.guests[job]:
                pause = self._ask(connection, job)
            elif addresses := read_arp_addresses(connection, job):
                self._post(job, {"addresses": addresses}, has_answered=False)
        finally:
            self.agenda.add(job, after_seconds=pause)

    def _ask(self, connection: Connection, uuid: UUID) -> float:
        """The pause until it is asked again."""
        began = time.monotonic()
        try:
            facts = read_guest(connection, uuid)
        except (errors.ConnectionLost, errors.ConnectionFailed):
            raise
        except errors.HypervisorError as error:
            self._post(uuid, None, problem=str(error))
            return _REST_SECONDS
        self._post(uuid, asdict(facts))
        return PERIOD_SECONDS if time.monotonic() - began < _SLOW_SECONDS else _REST_SECONDS

    def _post(
        self, uuid: UUID, facts: Mapping[str, object] | None, *, has_answered: bool = True, problem: str = ""
    ) -> None:
        self._state.post(
            GuestRead(
                hypervisor_id=self._state.hypervisor_id,
                uuid=uuid,
                facts=facts,
                has_answered=has_answered and facts is not None,
                problem=problem,
                read_at=time.time(),
            )
        )
