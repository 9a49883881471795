"""The one thread that writes what was seen into the database and then publishes it. See docs/decisions/0002.

It takes everything that waits, works it into the mirrors, and saves what differs in one transaction: a lone event is
written at once, a storm in few statements. After a database error it forgets all it knew, reads the rows again and
has every session tell everything once more. Data that the database cannot take costs no more than its own object: see
inventory.isolation.

It writes only for the hypervisor pools whose leases this watcher holds (inventory.leases); of the others' hypervisors
it keeps nothing in memory.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Protocol

from django.db import Error as DatabaseError
from django.db import connection, transaction

from hypervisors.broadcast import Change, publish
from hypervisors.inventory.domains.guests import GuestMirror
from hypervisors.inventory.domains.mirror import DomainMirror
from hypervisors.inventory.hypervisors.capabilities_mirror import CapabilitiesMirror
from hypervisors.inventory.hypervisors.listings_mirror import ListingsMirror
from hypervisors.inventory.hypervisors.mirror import HypervisorMirror
from hypervisors.inventory.isolation import AT_ONCE, DATA_ERRORS, Isolation
from hypervisors.inventory.leases import LeaseKeeper
from hypervisors.inventory.networks.mirror import NetworkMirror
from hypervisors.inventory.observations import (
    CapabilitiesRead,
    DomainRead,
    DomainsAnswering,
    DomainsListed,
    DomainStateSeen,
    GuestRead,
    HostRead,
    NetworksListed,
    Observation,
    ObservationsWithdrawn,
    StatusSeen,
    StoragePoolRead,
    StoragePoolsListed,
    StoragePoolTroubled,
    ThingsListed,
    VolumeHeadRead,
    VolumesListed,
)
from hypervisors.inventory.refresh_requests import request_hypervisors_refresh
from hypervisors.inventory.sessions.supervisor import SessionSupervisor, read_rows
from hypervisors.inventory.storage.mirror import StorageMirror
from hypervisors.models import troubles
from hypervisors.states import HypervisorStatus

logger = logging.getLogger(__name__)

_ROWS_SECONDS = 1.0
_LOADS_SECONDS = 5.0
# Observations to one transaction, and rows at which it is closed: an event waits for no more than that.
_MAX_OBSERVATIONS = 500
_MAX_ROWS = 300
_MAX_PAUSE_SECONDS = 5.0


class _Mirror(Protocol):
    def clear(self) -> None: ...
    def drop(self, hypervisor_ids: Collection[int]) -> None: ...
    def has_unsaved(self) -> bool: ...
    def unsaved_hypervisors(self) -> set[int]: ...
    def note_saved(self) -> None: ...


class Writer:
    """The queue's other end, and the owner of all sessions."""

    def __init__(self, stopping: threading.Event, leases: LeaseKeeper) -> None:
        self._stopping = stopping
        self._leases = leases
        # The hypervisors whose rows the mirrors hold, and the pool of each with its lease's token.
        self._held: dict[int, tuple[int, int]] = {}
        self._queue: queue.SimpleQueue[Observation | None] = queue.SimpleQueue()
        # States that events told overtake listings: they carry their time, so order does not matter to them.
        self._told_states: deque[DomainStateSeen] = deque()
        self._domains = DomainMirror()
        known = self._domains.identities.known
        self.supervisor = SessionSupervisor(post=self._post, is_ours=leases.is_sure, known=known)
        self._hypervisors = HypervisorMirror()
        self._capabilities = CapabilitiesMirror()
        self._storage = StorageMirror()
        self._networks = NetworkMirror()
        self._guests = GuestMirror()
        self._listings = ListingsMirror()
        self._takers: dict[type[Observation], Callable[..., None]] = {
            DomainsListed: self._domains.take_listing,
            DomainRead: self._domains.take_reading,
            DomainsAnswering: self._domains.take_answering,
            ObservationsWithdrawn: self._domains.take_withdrawal,
            StatusSeen: self._take_status,
            GuestRead: self._guests.take_reading,
            HostRead: self._hypervisors.take_host,
            CapabilitiesRead: self._capabilities.take_reading,
            StoragePoolsListed: self._storage.take_listing,
            StoragePoolRead: self._storage.take_reading,
            StoragePoolTroubled: self._storage.take_trouble,
            VolumesListed: self._storage.take_volumes,
            VolumeHeadRead: self._storage.take_head,
            NetworksListed: self._networks.take_listing,
            ThingsListed: self._listings.take_listing,
        }
        self._is_loaded = self._knows_orphans = False
        # Definitions that an older parser has read; they are parsed anew between events.
        self._has_outdated = False
        self._rows_due = self._loads_due = 0.0
        # time.monotonic() of the last turn, for the heartbeat.
        self.turned_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_seconds: float) -> None:
        self._queue.put(None)
        self._thread.join(timeout_seconds)

    def look_at_rows(self) -> None:
        """Look at the hypervisors' rows at once."""
        self._rows_due = 0.0
        self._queue.put(None)

    def _post(self, observation: Observation) -> None:
        """Called by any thread."""
        if isinstance(observation, DomainStateSeen):
            self._told_states.append(observation)
            self._queue.put(None)
        else:
            self._queue.put(observation)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                self._turn()
                failures = 0
            except Exception as error:
                # Whatever it is, the mirror may differ from the rows now; reading them again is always right.
                failures += 1
                expected = isinstance(error, DatabaseError)
                logger.log(
                    logging.WARNING if expected else logging.ERROR,
                    "The inventory could not be written, it will be told anew: %s",
                    error,
                    exc_info=not expected,
                )
                self._is_loaded = False
                connection.close()
                troubles.note_failure(error)
                self._stopping.wait(min(_MAX_PAUSE_SECONDS, 0.2 * 2**failures))
            self.turned_at = time.monotonic()
        self.supervisor.stop()
        self._release()
        connection.close()

    def _release(self) -> None:
        try:
            self._leases.release()
            request_hypervisors_refresh()
        except DatabaseError as error:
            logger.warning("The leases were not given up, and run out by themselves: %s", error)

    def _turn(self) -> None:
        """Wait for something, take what there is, save and publish it."""
        if not self._is_loaded:
            self._load()
        waits = 0.0 if self._has_outdated else max(0.0, min(self._rows_due, self._loads_due) - time.monotonic())
        self._take_waiting(min(waits, 0.5))
        now = time.monotonic()
        if now >= self._rows_due:
            self._rows_due = now + _ROWS_SECONDS
            self._match_rows()
        if now >= self._loads_due:
            self._loads_due = now + _LOADS_SECONDS
            self._hypervisors.take_loads(self.supervisor.states())
            # Whether what is larger than our own few bytes can be written too; ends what was noted before.
            troubles.look()
        self._domains.make_tombstones()
        self._domains.raise_alarms()
        if self._has_outdated:
            self._has_outdated = self._domains.parse_stored()
        self._save_and_publish()

    def _load(self) -> None:
        """Start from the rows; what waits in the queue is older than what will be told again."""
        while not self._queue.empty():
            self._queue.get()
        self._told_states.clear()
        for mirror in self._mirrors():
            mirror.clear()
        self._held, self._knows_orphans = {}, False
        self._match_rows()
        self._is_loaded = True
        self.supervisor.tell_all_again()

    def _take_waiting(self, timeout_seconds: float) -> None:
        try:
            observation = self._queue.get(timeout=timeout_seconds) if timeout_seconds else self._queue.get_nowait()
            for _ in range(_MAX_OBSERVATIONS):
                while self._told_states:
                    if (told := self._told_states.popleft()).hypervisor_id in self._held:
                        self._domains.take_state(told)
                # What waited while its pool went to another watcher is nothing to us.
                if observation is not None and observation.hypervisor_id in self._held:
                    self._take(observation)
                if self._domains.unsaved_count() >= _MAX_ROWS:
                    return
                observation = self._queue.get_nowait()
        except queue.Empty:
            return

    def _take(self, observation: Observation) -> None:
        try:
            self._takers[type(observation)](observation)
        except Exception:
            # The others' must not suffer; it is told again with the next listing.
            name = self.supervisor.names.get(observation.hypervisor_id, observation.hypervisor_id)
            logger.exception("What %s told (%s) is passed over.", name, type(observation).__name__)

    def _take_status(self, seen: StatusSeen) -> None:
        self._hypervisors.take_status(seen)
        self._domains.set_online(seen.hypervisor_id, online=seen.status == HypervisorStatus.ONLINE)

    def _match_rows(self) -> None:
        """Have sessions and mirrors follow the leases that are held and the rows that there are."""
        self._leases.turn()
        rows, pools = read_rows(), self._leases.pools
        pool_of = {pk: row.hypervisor_pool_id for pk, row in rows.items()}
        ours = {pk: (pool, pools[pool]) for pk, pool in pool_of.items() if pool in pools}
        removed = self._held.keys() - rows.keys()
        # Also those of a lease that was another's for a while.
        self._drop({pk for pk, held in self._held.items() if pk in rows and ours.get(pk) != held})
        added = ours.keys() - self._held.keys()
        self._domains.identities.note_hypervisor_pools({pk: pool for pk, (pool, _token) in ours.items()})
        keeps_house = self._leases.keeps_house()
        if added or (keeps_house and not self._knows_orphans):
            self._domains.load(added, with_orphans=keeps_house)
            self._has_outdated = True
        self._knows_orphans = keeps_house
        self._held = ours
        self._storage.note_hypervisor_pools({pk: pool for pk, (pool, _token) in ours.items()})
        for pk in ours:
            self._hypervisors.note_row(pk, rows[pk].status)
        self.supervisor.match(rows, pools=pools)
        self._domains.note_names(self.supervisor.names)
        watched = {session.hypervisor_id for session in self.supervisor.sessions()}
        for pk in ours.keys() - watched:
            self._domains.set_online(pk, online=False)
        self._capabilities.drop(removed)
        for pk in removed:
            self._domains.forget_hypervisor(pk)
            self._storage.forget_hypervisor(pk)
            self._networks.forget_hypervisor(pk)
            self._guests.forget_hypervisor(pk)

    def _drop(self, hypervisor_ids: Collection[int]) -> None:
        """Another watcher has them now, or had them."""
        if not hypervisor_ids:
            return
        self.supervisor.stop_sessions(hypervisor_ids)
        for mirror in self._mirrors():
            mirror.drop(hypervisor_ids)
        for pk in hypervisor_ids:
            del self._held[pk]

    def _save_and_publish(self) -> None:
        if not self._has_unsaved():
            return
        if not self._leases.is_sure():
            # This process was frozen, or the database away: others may have taken what it held.
            self._match_rows()
        lost, changes = self._save()
        if lost:
            logger.warning("Another watcher has %d pools of this one by now: nothing is written for them.", len(lost))
            self._match_rows()
            return
        for mirror in self._mirrors():
            mirror.note_saved()
        publish(changes)
        for hypervisor_id, uuid in self._domains.take_unread():
            self.supervisor.read_again(hypervisor_id, uuid)

    def _save(self) -> tuple[set[int], list[Change]]:
        """All in one transaction; if something in it cannot be written, once more, and each object by itself."""
        try:
            return self._save_in_transaction(AT_ONCE)
        except DATA_ERRORS as error:
            logger.warning("Something cannot be written; each object is written by itself now: %s", error)
            return self._save_in_transaction(Isolation(each=True))

    def _save_in_transaction(self, isolation: Isolation) -> tuple[set[int], list[Change]]:
        """The pools that are another watcher's, for which nothing is written; else what to publish."""
        with transaction.atomic():
            if lost := self._leases.lost(self._unsaved_pools()):
                return set(lost), []
            return set(), [
                *self._hypervisors.save(isolation),
                *self._capabilities.save(isolation),
                *self._domains.save(self.supervisor.names, isolation),
                *self._storage.save(isolation),
                *self._networks.save(isolation),
                *self._guests.save(isolation),
                *self._listings.save(isolation),
            ]

    def _mirrors(self) -> tuple[_Mirror, ...]:
        told = (self._storage, self._networks, self._guests, self._listings)
        return (self._domains, self._hypervisors, self._capabilities, *told)

    def _has_unsaved(self) -> bool:
        return any(mirror.has_unsaved() for mirror in self._mirrors())

    def _unsaved_pools(self) -> set[int]:
        """The pools that would be written for now; a hypervisor whose row was removed has none."""
        unsaved = {pk for mirror in self._mirrors() for pk in mirror.unsaved_hypervisors()}
        return {self._held[pk][0] for pk in unsaved if pk in self._held}
