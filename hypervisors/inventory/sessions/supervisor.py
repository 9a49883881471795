"""Keeps one session for each hypervisor row of our pools that is not disabled, in the row's present revision."""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from hypervisors.errors import CredentialsUnreadable, InvalidUri
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.inventory.observations import StatusSeen
from hypervisors.inventory.sessions.host_claims import HostClaims
from hypervisors.inventory.sessions.sessions import Session
from hypervisors.inventory.sessions.states import Known, Post, SessionState, own_uuid
from hypervisors.models import Hypervisor
from hypervisors.states import AdminState, HypervisorStatus

logger = logging.getLogger(__name__)

# Of a disabled hypervisor nothing is seen; why, its row's own columns tell.
_LEFT_ALONE = HypervisorStatus.OFFLINE


@dataclass(frozen=True, kw_only=True, slots=True)
class HypervisorRow:
    """What the writer needs of each row every second."""

    pk: int
    name: str
    hypervisor_pool_id: int
    revision: int
    status: str
    status_reason: str
    admin_state: str
    host_uuid: UUID | None


def read_rows() -> dict[int, HypervisorRow]:
    names = tuple(HypervisorRow.__dataclass_fields__)
    return {row["pk"]: HypervisorRow(**row) for row in Hypervisor.objects.values(*names)}


class SessionSupervisor:
    """Used by the writer's thread; `sessions()`, `read_again`, `refresh_storage_pool` and `look_again` by any."""

    def __init__(self, *, post: Post, is_ours: Callable[[], bool] = lambda: True, known: Known = own_uuid) -> None:
        self._post = post
        self._known = known
        self._is_ours = is_ours
        self._claims = HostClaims()
        self._sessions: dict[int, Session] = {}
        # Revisions whose URI or credentials cannot be used: nothing to try until the row changes.
        self._unusable: dict[int, int] = {}
        self.names: dict[int, str] = {}

    def sessions(self) -> list[Session]:
        return list(self._sessions.values())

    def states(self) -> Iterable[SessionState]:
        return [session.state for session in self.sessions()]

    def read_again(self, hypervisor_id: int, uuid: UUID) -> None:
        """Have one domain read again soon."""
        if session := self._sessions.get(hypervisor_id):
            session.read_again(uuid)

    def refresh_storage_pool(self, hypervisor_id: int, pool_uuid: UUID) -> None:
        """Have libvirt look at one storage pool anew soon, and read it."""
        if session := self._sessions.get(hypervisor_id):
            session.refresh_storage_pool(pool_uuid)

    def look_again(self, hypervisor_id: int, what: str) -> None:
        """Have the host's sampler look at something soon: one of samplers.ASKED_FOR."""
        if session := self._sessions.get(hypervisor_id):
            session.look_again(what)

    def tell_all_again(self) -> None:
        for session in self.sessions():
            session.tell_all_again()

    def match(self, rows: dict[int, HypervisorRow], *, pools: Collection[int]) -> None:
        """Start and stop sessions so that they match those of the rows (which are all there are) in these pools."""
        for pk in self.names.keys() - rows.keys():
            self._claims.release(pk)
            self._unusable.pop(pk, None)
        self.names = {row.pk: row.name for row in rows.values()}
        # A machine may be the row's of a pool that another watcher has.
        self._claims.seed({row.host_uuid: row.pk for row in rows.values() if row.host_uuid is not None})
        rows = {row.pk: row for row in rows.values() if row.hypervisor_pool_id in pools}
        for pk, session in list(self._sessions.items()):
            row = rows.get(pk)
            if row is None or row.revision != session.revision or row.admin_state == AdminState.DISABLED:
                del self._sessions[pk]
                session.stop()
        self._start_missing(rows)
        self._correct_statuses(rows)

    def stop_sessions(self, hypervisor_ids: Collection[int]) -> None:
        """Stop those; the next match() begins anew with those that are still to be watched."""
        for pk in hypervisor_ids:
            if session := self._sessions.pop(pk, None):
                session.stop()

    def stop(self) -> None:
        for session in self.sessions():
            session.stop()
        self._sessions.clear()

    def _start_missing(self, rows: dict[int, HypervisorRow]) -> None:
        missing = [
            row.pk
            for row in rows.values()
            if row.pk not in self._sessions
            and row.admin_state != AdminState.DISABLED
            and self._unusable.get(row.pk) != row.revision
        ]
        for hypervisor in Hypervisor.objects.filter(pk__in=missing):
            self._start(hypervisor)

    def _start(self, hypervisor: Hypervisor) -> None:
        try:
            endpoint = endpoint_of(hypervisor)
        except (InvalidUri, CredentialsUnreadable) as error:
            self._unusable[hypervisor.pk] = hypervisor.revision
            self._post(StatusSeen(hypervisor_id=hypervisor.pk, status=HypervisorStatus.OFFLINE, reason=str(error)))
            return
        session = Session(
            hypervisor.pk,
            revision=hypervisor.revision,
            endpoint=endpoint,
            claims=self._claims,
            name_of=lambda pk: self.names.get(pk, str(pk)),
            post=self._post,
            is_ours=self._is_ours,
            known=self._known,
            storage_pools=hypervisor.storage_pools.filter(vanished_at=None).values_list("uuid", flat=True),
        )
        self._sessions[hypervisor.pk] = session
        session.start()

    def _correct_statuses(self, rows: dict[int, HypervisorRow]) -> None:
        """What the rows say after another watcher's death, or of hosts that we leave alone."""
        for pk, session in self._sessions.items():
            row, state = rows[pk], session.state
            if (row.status, row.status_reason) != (state.status, state.reason):
                state.post_status()
        for row in rows.values():
            if row.admin_state != AdminState.DISABLED:
                continue
            self._unusable.pop(row.pk, None)
            if (row.status, row.status_reason) != (_LEFT_ALONE, ""):
                self._post(StatusSeen(hypervisor_id=row.pk, status=_LEFT_ALONE, reason=""))
