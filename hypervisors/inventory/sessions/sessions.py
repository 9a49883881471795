"""One hypervisor's part of the watcher: follower, sampler, readers, and the replacing of those that hang."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.events import HypervisorEvent
from hypervisors.inventory.sessions.connection_workers import ConnectionWorker
from hypervisors.inventory.sessions.followers import Follower, NameOf
from hypervisors.inventory.sessions.guest_readers import GuestReader
from hypervisors.inventory.sessions.host_claims import HostClaims
from hypervisors.inventory.sessions.memory_reports import MemoryReports
from hypervisors.inventory.sessions.samplers import ASKED_FOR, Sampler
from hypervisors.inventory.sessions.states import Known, Post, SessionState, own_uuid
from hypervisors.inventory.sessions.storage_readers import (
    StorageKnowledge,
    StorageReader,
    hung_trouble,
    tell_trouble,
)
from hypervisors.inventory.sessions.usage_meters import AnswerJudge
from hypervisors.states import HypervisorStatus

logger = logging.getLogger(__name__)

# A hypervisor that leaves a call unanswered for so long is shown as stale.
STALE_SECONDS = 5.0
# Keepalive breaks a dead connection after 19 s; a call that outlives this will never return.
_HOPELESS_SECONDS = 45.0


class Session:
    """The watcher's hold on one hypervisor, in one revision of its row."""

    def __init__(
        self,
        hypervisor_id: int,
        *,
        revision: int,
        endpoint: Endpoint,
        claims: HostClaims,
        name_of: NameOf,
        post: Post,
        is_ours: Callable[[], bool],
        known: Known = own_uuid,
        storage_pools: Iterable[UUID] = (),
    ) -> None:
        """`storage_pools` are those that the rows know: libvirt's listing may hang."""
        self.hypervisor_id = hypervisor_id
        self.revision = revision
        self.state = SessionState(hypervisor_id, post=post, is_ours=is_ours, known=known)
        self._endpoint = endpoint
        self._claims = claims
        self._name_of = name_of
        self._answers = AnswerJudge()
        self._memory_reports = MemoryReports()
        self._left_behind: list[ConnectionWorker] = []
        self._storage = StorageKnowledge(storage_pools)
        self._sampler = self._new_sampler()
        self._guest_reader = self._new_guest_reader({})
        self._storage_reader = self._new_storage_reader()
        self._follower = self._new_follower()

    def start(self) -> None:
        self.state.post_status()
        for worker in (self._follower, self._sampler, self._guest_reader, self._storage_reader):
            worker.start()

    def stop(self) -> None:
        """Returns at once; the threads end when their calls do."""
        self.state.stop()
        for worker in (self._follower, self._sampler, self._guest_reader, self._storage_reader):
            worker.stop()

    def read_again(self, uuid: UUID) -> None:
        """Read one domain soon."""
        self._follower.agenda.add(uuid)

    def refresh_storage_pool(self, pool_uuid: UUID) -> None:
        """Have libvirt look at it anew soon, and read it."""
        self._storage_reader.refresh_soon(pool_uuid)

    def look_again(self, what: str) -> None:
        """Look at it soon, if it is one of samplers.ASKED_FOR."""
        if what in ASKED_FOR:
            self._sampler.agenda.add(what)

    def tell_all_again(self) -> None:
        """Tell the writer everything: it lost what it knew."""
        self.state.post_status()
        self._follower.agenda.add("full")
        for job in ("host", "capabilities", *ASKED_FOR):
            self._sampler.agenda.add(job)
        self._storage_reader.tell_all_again()
        for pool_uuid in self._storage.hung.values():
            if pool_uuid is not None:
                tell_trouble(self.state, pool_uuid, hung_trouble(0))

    def check(self) -> None:
        """Called every second by the watchdog, which no hypervisor can block."""
        blocked = self._follower.blocked_seconds()
        if blocked > STALE_SECONDS and self.state.is_online:
            self.state.set_status(HypervisorStatus.STALE, _stale_reason(blocked))
        if blocked > _HOPELESS_SECONDS and self._leave_behind(self._follower):
            self._follower = self._new_follower()
            self._follower.start()
        if self._sampler.blocked_seconds() > self._sampler.hung_seconds() and self._leave_behind(self._sampler):
            self._sampler = self._new_sampler()
            self._sampler.start()
        guests = self._guest_reader
        if guests.blocked_seconds() > guests.hung_seconds() and self._leave_behind(guests):
            # The guest that it hangs at is asked again once it is seen anew.
            self._guest_reader = self._new_guest_reader(guests.others())
            self._guest_reader.start()
        self._check_storage_reader()

    def _check_storage_reader(self) -> None:
        """Leave alone the storage pool that hangs, until the call returns; go on with the others."""
        reader, pool_uuid = self._storage_reader, self._storage_reader.present_pool
        blocked = reader.blocked_seconds()
        if blocked > reader.hung_seconds():
            if pool_uuid is not None and not reader.is_named:
                reader.is_named = True
                tell_trouble(self.state, pool_uuid, hung_trouble(blocked))
            if self._leave_behind(reader):
                self._storage.hung[reader] = pool_uuid
                self._storage_reader = self._new_storage_reader()
                self._storage_reader.start()
        for pool_uuid in self._storage.take_ended():
            if pool_uuid is not None and not self._storage.is_hung(pool_uuid):
                tell_trouble(self.state, pool_uuid, "")
                self._storage_reader.read_soon(pool_uuid)
            self._storage_reader.agenda.add("list")

    def _new_follower(self) -> Follower:
        return Follower(
            self._endpoint,
            state=self.state,
            claims=self._claims,
            name_of=self._name_of,
            on_other_event=self._on_other_event,
            on_guests=lambda guests, are_all: self._guest_reader.note(guests, are_all=are_all),
        )

    def _new_sampler(self) -> Sampler:
        return Sampler(
            self._endpoint,
            state=self.state,
            answers=self._answers,
            memory_reports=self._memory_reports,
            claims=self._claims,
            on_host_known=lambda: self._follower.agenda.add("claim"),
        )

    def _new_guest_reader(self, guests: Mapping[UUID, bool]) -> GuestReader:
        return GuestReader(self._endpoint, state=self.state, guests=guests)

    def _new_storage_reader(self) -> StorageReader:
        return StorageReader(self._endpoint, state=self.state, knowledge=self._storage)

    def _on_other_event(self, event: HypervisorEvent) -> None:
        if event.subject == "storage_pool":
            self._storage_reader.on_storage_event(event)
        else:
            self._sampler.on_event(event)

    def _leave_behind(self, worker: ConnectionWorker) -> bool:
        """Give the thread up, unless too many hang already."""
        self._left_behind = [w for w in self._left_behind if not w.has_ended]
        if sum(type(w) is type(worker) for w in self._left_behind) >= worker.most_left_behind:
            return False
        logger.warning("The %s hangs; another takes its place.", worker.label)
        worker.stop()
        self._left_behind.append(worker)
        return True


def _stale_reason(blocked_seconds: float) -> str:
    since = timezone.localtime(datetime.fromtimestamp(time.time() - blocked_seconds, tz=UTC))
    return _("The connection stands, but it has not answered since %(time)s.") % {"time": f"{since:%H:%M:%S}"}
