"""The thread that reads one hypervisor's storage pools and their volumes, storage pool by storage pool.

Whatever is asked of a storage pool on a dead network share may never return, and libvirt's own listing waits for it
too. So the watchdog gives up a thread that hangs; the next one leaves that storage pool alone until the call returns,
and goes on with the others, by the UUIDs it knows.
"""

import logging
import random
import time
from collections.abc import Callable, Hashable, Iterable
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisors import errors
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.events import HypervisorEvent
from hypervisors.gateway.storage.storage_pools import (
    list_storage_pool_uuids,
    read_storage_pool,
    refresh_storage_pool,
)
from hypervisors.gateway.storage.volumes import VolumeFacts, list_volumes, read_volume_bytes
from hypervisors.imaging.image_headers import HEAD_BYTES
from hypervisors.inventory.observations import (
    StoragePoolRead,
    StoragePoolsListed,
    StoragePoolTroubled,
    VolumeHeadRead,
    VolumesListed,
)
from hypervisors.inventory.sessions.connection_workers import ConnectionWorker
from hypervisors.inventory.sessions.secondary_workers import SecondaryWorker
from hypervisors.inventory.sessions.states import SessionState
from hypervisors.inventory.storage.heads import head_fingerprint, looks_like_image, read_head

logger = logging.getLogger(__name__)

_ALL_SECONDS = 30.0
# Volumes change without an event when others than we create, resize or delete them.
_VOLUMES_SECONDS = 300.0
# Events come in bursts: libvirt refreshes a storage pool at the end of every upload.
_SETTLE_SECONDS = 0.3
# A refresh that finds the storage pool busy is tried again after so long.
_BUSY_SECONDS = 5.0
_HUNG_SECONDS = 15.0
# libvirt looks at every file then.
_REFRESH_HUNG_SECONDS = 30.0


class StorageJob(NamedTuple):
    """`read` the storage pool, list its `volumes`, look at its images' `heads`, or have libvirt `refresh` it before."""

    what: Literal["read", "volumes", "heads", "refresh"]
    pool_uuid: UUID


class StorageKnowledge:
    """What outlives one reader: which storage pools there are, which hang, and what their volumes were."""

    def __init__(self, uuids: Iterable[UUID] = ()) -> None:
        self.uuids = set(uuids)
        self.volumes: dict[UUID, dict[str, VolumeFacts]] = {}
        # What each image was when its head was read.
        self.heads: dict[UUID, dict[str, tuple[Any, ...]]] = {}
        # Storage pools whose volumes' XML is to be read again: something happened to them.
        self.stale: set[UUID] = set()
        # Storage pools that somebody asked to have refreshed, and that were not yet: a reader's agenda goes with it.
        self.wanted: set[UUID] = set()
        self.troubles: dict[UUID, str] = {}
        # Readers that were given up, and what each was at: None for the listing.
        self.hung: dict[ConnectionWorker, UUID | None] = {}

    def is_hung(self, pool_uuid: UUID) -> bool:
        return pool_uuid in self.hung.values()

    def forget(self, pool_uuid: UUID) -> None:
        self.volumes.pop(pool_uuid, None)
        self.heads.pop(pool_uuid, None)
        self.troubles.pop(pool_uuid, None)
        self.stale.discard(pool_uuid)
        self.wanted.discard(pool_uuid)

    def take_ended(self) -> list[UUID | None]:
        """What no longer hangs: the calls of these have returned."""
        ended = [worker for worker in self.hung if worker.has_ended]
        return [self.hung.pop(worker) for worker in ended]


class StorageReader(SecondaryWorker):
    """One of a session's, replaced when it hangs."""

    # Each is a call that libvirtd waits for too, of the twenty that it serves at once.
    most_left_behind = 4

    def __init__(self, endpoint: Endpoint, *, state: SessionState, knowledge: StorageKnowledge) -> None:
        super().__init__(endpoint, label=f"storage reader of {endpoint.key}", state=state)
        self._knowledge = knowledge
        # Storage pools whose volumes are on the agenda of this connection.
        self._scheduled: set[UUID] = set()
        # Whether it was said that the present call hangs.
        self.is_named = False
        self._jobs: dict[str, Callable[[Connection, UUID], None]] = {
            "read": self._read,
            "volumes": self._list_volumes,
            "heads": self._read_heads,
            "refresh": self._refresh,
        }

    @property
    def present_pool(self) -> UUID | None:
        """The storage pool that is being asked about; None while all are listed."""
        return self.present_job.pool_uuid if isinstance(self.present_job, StorageJob) else None

    def hung_seconds(self) -> float:
        """After how long a call counts as hung."""
        job = self.present_job
        return _REFRESH_HUNG_SECONDS if isinstance(job, StorageJob) and job.what == "refresh" else _HUNG_SECONDS

    def on_storage_event(self, event: HypervisorEvent) -> None:
        """Called in libvirt's event thread. The event does not say what happened, only to which storage pool."""
        self.agenda.add("list")
        if event.uuid is not None:
            self.read_soon(event.uuid, after_seconds=_SETTLE_SECONDS)

    def refresh_soon(self, pool_uuid: UUID) -> None:
        self._knowledge.wanted.add(pool_uuid)
        self.agenda.add(StorageJob("refresh", pool_uuid))

    def read_soon(self, pool_uuid: UUID, *, after_seconds: float = 0.0) -> None:
        """Read it and its volumes, XML and all."""
        self._knowledge.stale.add(pool_uuid)
        self.agenda.add(StorageJob("read", pool_uuid), after_seconds=after_seconds)
        self.agenda.add(StorageJob("volumes", pool_uuid), after_seconds=after_seconds)

    def tell_all_again(self) -> None:
        self._knowledge.troubles.clear()
        self._knowledge.heads.clear()
        self.agenda.add("all")
        for uuid in list(self._knowledge.uuids):
            self.agenda.add(StorageJob("volumes", uuid))

    def on_connected(self, connection: Connection) -> None:
        self._scheduled.clear()
        self.agenda.add("all")
        for pool_uuid in tuple(self._knowledge.wanted):
            self.agenda.add(StorageJob("refresh", pool_uuid))

    def do(self, connection: Connection, job: Hashable) -> None:
        if isinstance(job, StorageJob):
            if not self._knowledge.is_hung(job.pool_uuid):
                self._jobs[job.what](connection, job.pool_uuid)
        elif job == "list":
            self._list(connection)
        elif job == "all":
            self.agenda.add("all", after_seconds=_ALL_SECONDS * random.uniform(0.8, 1.0))  # noqa: S311 - spread
            self._list(connection)
            for uuid in self._knowledge.uuids:
                self.agenda.add(StorageJob("read", uuid))

    def _list(self, connection: Connection) -> None:
        if self._knowledge.hung:
            # It would wait for the one that hangs.
            return
        uuids = list_storage_pool_uuids(connection)
        for uuid in self._knowledge.uuids - set(uuids):
            self._knowledge.forget(uuid)
        for uuid in set(uuids) - self._knowledge.uuids:
            self.agenda.add(StorageJob("read", uuid))
        self._knowledge.uuids = set(uuids)
        self._state.post(StoragePoolsListed(hypervisor_id=self._state.hypervisor_id, uuids=tuple(sorted(uuids))))

    def _read(self, connection: Connection, pool_uuid: UUID) -> None:
        facts = read_storage_pool(connection, pool_uuid)
        if facts is None:
            self.agenda.add("list")
            return
        self._state.post(StoragePoolRead(hypervisor_id=self._state.hypervisor_id, facts=facts))
        if facts.active and pool_uuid not in self._scheduled:
            self.agenda.add(StorageJob("volumes", pool_uuid))

    def _list_volumes(self, connection: Connection, pool_uuid: UUID) -> None:
        self._scheduled.add(pool_uuid)
        self.agenda.add(
            StorageJob("volumes", pool_uuid),
            after_seconds=_VOLUMES_SECONDS * random.uniform(0.8, 1.0),  # noqa: S311 - hosts are not all read at once
        )
        is_stale = pool_uuid in self._knowledge.stale
        self._knowledge.stale.discard(pool_uuid)
        known = {} if is_stale else self._knowledge.volumes.get(pool_uuid, {})
        try:
            volumes = list_volumes(connection, pool_uuid, known=known, on_progress=self.touch)
        except (errors.NotFound, errors.StoragePoolInactive):
            # What was seen of its volumes stays; the next reading begins anew.
            self._knowledge.forget(pool_uuid)
            self._scheduled.discard(pool_uuid)
            return
        except errors.OperationRefused as error:
            self._tell_trouble(pool_uuid, _("Its volumes cannot be listed. %(error)s") % {"error": error})
            return
        self._knowledge.volumes[pool_uuid] = {volume.name: volume for volume in volumes}
        self._tell_trouble(pool_uuid, "")
        self._state.post(
            VolumesListed(hypervisor_id=self._state.hypervisor_id, pool_uuid=pool_uuid, volumes=tuple(volumes))
        )
        if any(self._has_new_head(pool_uuid, volume) for volume in volumes):
            self.agenda.add(StorageJob("heads", pool_uuid))

    def _has_new_head(self, pool_uuid: UUID, volume: VolumeFacts) -> bool:
        if not looks_like_image(volume.name, volume.format, volume.volume_type):
            return False
        return self._knowledge.heads.get(pool_uuid, {}).get(volume.name) != head_fingerprint(volume)

    def _read_heads(self, connection: Connection, pool_uuid: UUID) -> None:
        """Each once; of one that cannot be read nothing is told."""
        known = self._knowledge.heads.setdefault(pool_uuid, {})
        for volume in self._knowledge.volumes.get(pool_uuid, {}).values():
            if not self._has_new_head(pool_uuid, volume):
                continue
            self.touch()
            known[volume.name] = head_fingerprint(volume)
            try:
                head = read_volume_bytes(connection, pool_uuid, volume.name, 0, HEAD_BYTES)
            except (errors.OperationRefused, errors.NotFound) as error:
                logger.info("%s", error)
                continue
            self._state.post(
                VolumeHeadRead(
                    hypervisor_id=self._state.hypervisor_id,
                    pool_uuid=pool_uuid,
                    name=volume.name,
                    head=read_head(head, volume),
                )
            )

    def _refresh(self, connection: Connection, pool_uuid: UUID) -> None:
        self._knowledge.wanted.discard(pool_uuid)
        try:
            refresh_storage_pool(connection, pool_uuid)
        except errors.StorageBusy:
            self._knowledge.wanted.add(pool_uuid)
            self.agenda.add(StorageJob("refresh", pool_uuid), after_seconds=_BUSY_SECONDS)
        except (errors.NotFound, errors.StoragePoolInactive) as error:
            logger.info("%s", error)
        except errors.OperationRefused as error:
            # libvirt stops a storage pool that it cannot refresh.
            self.read_soon(pool_uuid)
            self._tell_trouble(pool_uuid, str(error))
            return
        self.read_soon(pool_uuid)

    def _tell_trouble(self, pool_uuid: UUID, trouble: str) -> None:
        if self._knowledge.troubles.get(pool_uuid, "") != trouble:
            self._knowledge.troubles[pool_uuid] = trouble
            tell_trouble(self._state, pool_uuid, trouble)


def tell_trouble(state: SessionState, pool_uuid: UUID, trouble: str) -> None:
    state.post(StoragePoolTroubled(hypervisor_id=state.hypervisor_id, uuid=pool_uuid, trouble=trouble))


def hung_trouble(blocked_seconds: float) -> str:
    """What is said of a storage pool that does not answer."""
    since = timezone.localtime(datetime.fromtimestamp(time.time() - blocked_seconds, tz=UTC))
    return _(
        "It has not answered since %(time)s: its host waits for the storage behind it, such as a network share that is "
        "away. What is shown is as of then."
    ) % {"time": f"{since:%H:%M:%S}"}
