"""Whether something fits into a storage pool, and what is said when it does not."""

from contextlib import suppress

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible, StorageBusy, StoragePoolFull
from hypervisors.gateway.storage.storage_pools import StoragePoolFacts, read_storage_pool, refresh_storage_pool
from hypervisors.models import StoragePool
from hypervisors.operations.engine.runs import Run

# A full file system loses the end of what is written to it: so much is left free.
RESERVE_BYTES = 64 * 1024**2
_GIB, _MIB = 1024**3, 1024**2
# libvirt looks at every file of the storage pool.
_REFRESH_SECONDS = 120.0


def read_room(run: Run, storage_pool: StoragePool) -> StoragePoolFacts:
    """The storage pool as it is now: `available_bytes` are as old as libvirt's last look, so it looks first.

    While something is being copied there libvirt refuses to look; what it knew before has to do then.
    Raises: errors.HypervisorError, NotPossible when it is gone.
    """
    uuid = storage_pool.uuid
    with suppress(StorageBusy):
        run.ask(lambda connection: refresh_storage_pool(connection, uuid), seconds=_REFRESH_SECONDS)
    read = run.ask(lambda connection: read_storage_pool(connection, uuid))
    if read is None:
        raise NotPossible(_("The storage pool is gone."))
    return read


def check_room(free_bytes: int, *, taken_bytes: int, growth_bytes: int, overcommitted: bool) -> None:
    """`taken_bytes`: what is written at once; `growth_bytes`: what it can take in the end. Raises: StoragePoolFull."""
    if taken_bytes + RESERVE_BYTES > free_bytes:
        raise StoragePoolFull(
            _("The storage pool is full: %(free)s are free, %(taken)s are needed, and %(reserve)s stay in reserve.")
            % {"free": size_text(free_bytes), "taken": size_text(taken_bytes), "reserve": size_text(RESERVE_BYTES)}
        )
    if not overcommitted and growth_bytes > free_bytes:
        raise StoragePoolFull(beyond_free_text(growth_bytes, free_bytes))


def beyond_free_text(growth_bytes: int, free_bytes: int) -> str:
    return _(
        "It can grow to %(size)s, and %(free)s are free: when the storage is full, "
        "virtual machines that write to it are paused."
    ) % {"size": size_text(growth_bytes), "free": size_text(free_bytes)}


def size_text(count_bytes: int) -> str:
    """ "1.5 GiB"; what is less than one, in MiB."""
    if count_bytes >= _GIB:
        return f"{count_bytes / _GIB:.1f} GiB"
    return f"{count_bytes / _MIB:.0f} MiB"
