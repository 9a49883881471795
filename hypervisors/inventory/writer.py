"""The one thread that writes what was seen into the database and then publishes it. See docs/decisions/0002.

It takes everything that waits, works it into the mirrors, and saves what differs in one transaction: a lone event is
written at once, a storm in few statements. After a database error it forgets all it knew, reads the rows again and
has every session tell everything once more.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable

from django.db import Error as DatabaseError
from django.db import connection, transaction

from hypervisors.broadcast import Change, publish
from hypervisors.inventory.domains.mirror import DomainMirror
from hypervisors.inventory.hypervisors.mirror import HypervisorMirror
from hypervisors.inventory.networks.mirror import network_mirror
from hypervisors.inventory.observations import (
    DomainRead,
    DomainsAnswering,
    DomainsListed,
    DomainStateSeen,
    HostRead,
    NetworksListed,
    Observation,
    ObservationsWithdrawn,
    StatusSeen,
    StoragePoolsListed,
)
from hypervisors.inventory.sessions.supervisor import SessionSupervisor, read_rows
from hypervisors.inventory.storage.storage_pools import storage_pool_mirror
from hypervisors.states import HypervisorStatus

logger = logging.getLogger(__name__)

_ROWS_SECONDS = 1.0
_LOADS_SECONDS = 5.0
# Observations to one transaction, and rows at which it is closed: an event waits for no more than that.
_MAX_OBSERVATIONS = 500
_MAX_ROWS = 300
_MAX_PAUSE_SECONDS = 5.0


class Writer:
    """The queue's other end, and the owner of all sessions."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._queue: queue.SimpleQueue[Observation | None] = queue.SimpleQueue()
        # States that events told overtake listings: they carry their time, so order does not matter to them.
        self._told_states: deque[DomainStateSeen] = deque()
        self.supervisor = SessionSupervisor(post=self._post)
        self._domains = DomainMirror()
        self._hypervisors = HypervisorMirror()
        self._storage_pools = storage_pool_mirror()
        self._networks = network_mirror()
        self._takers: dict[type[Observation], Callable[..., None]] = {
            DomainsListed: self._domains.take_listing,
            DomainRead: self._domains.take_reading,
            DomainsAnswering: self._domains.take_answering,
            ObservationsWithdrawn: self._domains.take_withdrawal,
            StatusSeen: self._take_status,
            HostRead: self._hypervisors.take_host,
            StoragePoolsListed: lambda seen: self._storage_pools.take_listing(seen.hypervisor_id, seen.storage_pools),
            NetworksListed: lambda seen: self._networks.take_listing(seen.hypervisor_id, seen.networks),
        }
        self._is_loaded = False
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
                self._stopping.wait(min(_MAX_PAUSE_SECONDS, 0.2 * 2**failures))
            self.turned_at = time.monotonic()
        self.supervisor.stop()
        connection.close()

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
        self._domains.make_tombstones()
        if self._has_outdated:
            self._has_outdated = self._domains.parse_stored()
        self._save_and_publish()

    def _load(self) -> None:
        """Start from the rows; what waits in the queue is older than what will be told again."""
        while not self._queue.empty():
            self._queue.get()
        self._told_states.clear()
        for mirror in (self._domains, self._hypervisors, self._storage_pools, self._networks):
            mirror.load()
        self._match_rows()
        self._is_loaded = True
        self._has_outdated = True
        self.supervisor.tell_all_again()

    def _take_waiting(self, timeout_seconds: float) -> None:
        try:
            observation = self._queue.get(timeout=timeout_seconds) if timeout_seconds else self._queue.get_nowait()
            for _ in range(_MAX_OBSERVATIONS):
                while self._told_states:
                    self._domains.take_state(self._told_states.popleft())
                if observation is not None:
                    self._takers[type(observation)](observation)
                if self._domains.unsaved_count() >= _MAX_ROWS:
                    return
                observation = self._queue.get_nowait()
        except queue.Empty:
            return

    def _take_status(self, seen: StatusSeen) -> None:
        self._hypervisors.take_status(seen)
        self._domains.set_online(seen.hypervisor_id, online=seen.status == HypervisorStatus.ONLINE)

    def _match_rows(self) -> None:
        rows = read_rows()
        for row in rows.values():
            self._hypervisors.note_row(row.pk, row.status)
        removed = self.supervisor.match(rows)
        watched = {session.hypervisor_id for session in self.supervisor.sessions()}
        for pk in rows.keys() - watched:
            self._domains.set_online(pk, online=False)
        for pk in removed:
            self._domains.forget_hypervisor(pk)
            self._storage_pools.forget_hypervisor(pk)
            self._networks.forget_hypervisor(pk)

    def _save_and_publish(self) -> None:
        if not self._has_unsaved():
            return
        with transaction.atomic():
            changes: list[Change] = [
                *self._hypervisors.save(),
                *self._domains.save(self.supervisor.names),
                *self._storage_pools.save(),
                *self._networks.save(),
            ]
        publish(changes)
        for hypervisor_id, uuid in self._domains.take_unread():
            self.supervisor.read_again(hypervisor_id, uuid)

    def _has_unsaved(self) -> bool:
        mirrors = (self._domains, self._hypervisors, self._storage_pools, self._networks)
        return any(mirror.has_unsaved() for mirror in mirrors)
