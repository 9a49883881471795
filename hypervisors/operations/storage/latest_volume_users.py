"""Which virtual machines and which other volumes need a volume at this moment: asked of the hosts, not of rows.

The host of the volume has to answer. The others have a bounded time together; for one that does not answer within it,
or is away, its rows have to do. What nobody can close: an overlay or a definition that is made between the answer and
the deletion, and an overlay that is in no storage pool and that no machine has.
"""

import logging
import posixpath
import time
from collections.abc import Callable, Collection, Iterator
from typing import Generic, TypeVar

from hypervisors.errors import HypervisorError, VmportalError
from hypervisors.gateway.connections import Connection, cached_connection
from hypervisors.gateway.storage.volume_users import DomainReference, VolumePlace, read_overlays, read_references
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import Domain, Hypervisor, StoragePool, Volume
from hypervisors.operations.engine.bounded_calls import BackgroundCall
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.storage.storage_operations import storage_pools_of
from hypervisors.operations.storage.volume_users import VolumeUser, in_use_text, is_only_read, names_of_its_storage

logger = logging.getLogger(__name__)

T = TypeVar("T")

# libvirt opens every file of the storage pool, which takes a while where there are thousands.
OWN_POOL_SECONDS = 120.0
OTHERS_SECONDS = 15.0


def why_in_use_now(run: Run, volume: Volume, *, apart_from: Domain | None = None) -> str:
    """Who needs it, by name and host; "" when nobody does, or only that domain.

    Raises: errors.StorageBusy while its storage pool cannot be read anew, and other HypervisorErrors of its own host.
    """
    return in_use_text(*users_now(run, volume, apart_from=apart_from))


def why_running_now(run: Run, volume: Volume) -> str:
    """Which active machines write to it; "" when none does. Raises: as why_in_use_now()."""
    users, overlays = users_now(run, volume, even_when_busy=True)
    if is_only_read(volume, overlays):
        return ""
    return in_use_text([user for user in users if user.is_active], [])


def users_now(
    run: Run, volume: Volume, *, apart_from: Domain | None = None, even_when_busy: bool = False
) -> tuple[list[VolumeUser], list[str]]:
    """The machines that name it, and the names of the volumes on top of it. Raises: as why_in_use_now()."""
    places = places_of(volume)
    paths = {place.path for place in places}
    overlays = Questions[list[str]]()
    references = Questions[list[DomainReference]]()
    for storage_pool in _other_storage_pools(volume.storage_pool):
        overlays.begin(storage_pool.hypervisor, _overlays_question(storage_pool, paths))
    for hypervisor in _other_hypervisors(volume.storage_pool):
        references.begin(hypervisor, lambda connection: read_references(connection, places))
    uuid, seconds = volume.storage_pool.uuid, OWN_POOL_SECONDS
    names = run.ask(
        lambda connection: read_overlays(connection, uuid, paths, even_when_busy=even_when_busy), seconds=seconds
    )
    users = users_among(run.source, run.ask(lambda connection: read_references(connection, places)), apart_from)
    until = time.monotonic() + OTHERS_SECONDS
    for _hypervisor, found in overlays.answers(until):
        names += found
    for hypervisor, named in references.answers(until):
        users += users_among(hypervisor, named, apart_from)
    return sorted(users, key=lambda user: (user.name, user.role)), sorted(names)


class Questions(Generic[T]):
    """Questions to hosts, each in a thread of its own, so that one which hangs holds up no other."""

    def __init__(self) -> None:
        self._calls: list[tuple[Hypervisor, BackgroundCall[T]]] = []

    def begin(self, hypervisor: Hypervisor, question: Callable[[Connection], T]) -> None:
        try:
            endpoint = endpoint_of(hypervisor)
        except VmportalError as error:
            logger.info("%s cannot be asked who uses a volume: %s", hypervisor, error)
            return
        call = BackgroundCall(lambda: question(cached_connection(endpoint)), name="volume-users")
        self._calls.append((hypervisor, call))

    def answers(self, until: float) -> Iterator[tuple[Hypervisor, T]]:
        """Those that came by then (of time.monotonic)."""
        for hypervisor, call in self._calls:
            if not call.wait(max(0.0, until - time.monotonic())):
                logger.warning("%s did not answer who uses a volume: its rows have to do.", hypervisor)
                continue
            try:
                yield hypervisor, call.result()
            except HypervisorError as error:
                logger.warning("%s could not tell who uses a volume: %s", hypervisor, error)


def why_file_in_use_now(run: Run, path: str, *, apart_from: Domain | None = None) -> str:
    """The same for a file of the run's host that is in no storage pool.

    Raises: errors.HypervisorError of its own host.
    """
    places = [VolumePlace(storage_pool="", volume="", path=path)]
    references = Questions[list[DomainReference]]()
    in_pool = Hypervisor.objects.filter(hypervisor_pool=run.source.hypervisor_pool_id)
    for hypervisor in in_pool.exclude(pk=run.source.pk):
        if not why_unreachable(hypervisor):
            references.begin(hypervisor, lambda connection: read_references(connection, places))
    overlays = Questions[list[str]]()
    here = StoragePool.objects.present().filter(hypervisor=run.source, active=True, trouble="")
    for storage_pool in here.select_related("hypervisor"):
        overlays.begin(storage_pool.hypervisor, _overlays_question(storage_pool, [path]))
    users = users_among(run.source, run.ask(lambda connection: read_references(connection, places)), apart_from)
    until = time.monotonic() + OTHERS_SECONDS
    for hypervisor, named in references.answers(until):
        users += users_among(hypervisor, named, apart_from)
    names = [name for _hypervisor, found in overlays.answers(until) for name in found]
    return in_use_text(sorted(users, key=lambda user: (user.name, user.role)), sorted(names))


def places_of(volume: Volume) -> list[VolumePlace]:
    """Its own, and what the other hosts call it if theirs is the same storage."""
    own = volume.storage_pool
    names = names_of_its_storage(volume)
    places = [VolumePlace(storage_pool=name, volume=volume.name, path=volume.path) for name in names]
    for other in StoragePool.objects.present().same_storage_as(own).exclude(pk=own.pk):
        # A volume that is new has no row there yet.
        path = posixpath.join(other.target_path, volume.name) if other.target_path else volume.path
        places.append(VolumePlace(storage_pool=other.name, volume=volume.name, path=path))
    return list(dict.fromkeys(places))


def _other_storage_pools(own: StoragePool) -> Iterator[StoragePool]:
    """The active ones of its host, and the same storage on other hosts; none of which is known to hang."""
    here = StoragePool.objects.present().filter(hypervisor=own.hypervisor_id, active=True, trouble="")
    yield from here.exclude(pk=own.pk).select_related("hypervisor")
    yield from (one for one in storage_pools_of(own) if one.pk != own.pk and not one.trouble)


def _other_hypervisors(own: StoragePool) -> list[Hypervisor]:
    in_pool = Hypervisor.objects.filter(hypervisor_pool=own.hypervisor.hypervisor_pool_id)
    return [one for one in in_pool.exclude(pk=own.hypervisor_id) if not why_unreachable(one)]


def _overlays_question(storage_pool: StoragePool, paths: Collection[str]) -> Callable[[Connection], list[str]]:
    uuid = storage_pool.uuid
    return lambda connection: read_overlays(connection, uuid, paths, even_when_busy=True)


def users_among(
    hypervisor: Hypervisor, references: Collection[DomainReference], apart_from: Domain | None
) -> list[VolumeUser]:
    own = None if apart_from is None else (apart_from.hypervisor_id, apart_from.name)
    return [
        VolumeUser(name=one.domain, role=one.role, host=hypervisor.name, is_active=one.is_active)
        for one in references
        if (hypervisor.pk, one.domain) != own
    ]
