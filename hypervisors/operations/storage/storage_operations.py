"""What operations on storage pools and volumes share: reasons why not, and the step that tells the other hosts."""

import logging
from collections.abc import Iterator

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError
from hypervisors.gateway.storage.storage_pools import refresh_storage_pool
from hypervisors.inventory.refresh_requests import request_storage_pool_refresh
from hypervisors.models import StoragePool, Volume
from hypervisors.operations.engine.locks import clock
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made, Step

logger = logging.getLogger(__name__)

_REFRESH_SECONDS = 30.0


def why_no_storage_pool(storage_pool: StoragePool) -> str:
    """Why nothing can be done in it now; "" when it can."""
    if storage_pool.vanished_at is not None:
        return _("The storage pool is gone; it was last seen at %(time)s.") % {"time": clock(storage_pool.vanished_at)}
    unreachable = why_unreachable(storage_pool.hypervisor)
    if unreachable:
        return unreachable
    return "" if storage_pool.active else _("The storage pool is not started.")


def why_volume_gone(volume: Volume) -> str:
    """Why nothing can ever be done with it again; "" while it is there."""
    if volume.vanished_at is not None:
        return _("The volume is gone; it was last seen at %(time)s.") % {"time": clock(volume.vanished_at)}
    return ""


def find_volume(run: Run) -> Volume | None:
    """The volume that the operation is about, with its storage pool and host."""
    volumes = Volume.objects.select_related("storage_pool__hypervisor")
    return volumes.filter(pk=int(run.operation.subject_key)).first()


class TellHosts(Step):
    """Have every host that sees the storage read it again: libvirt tells of no change that another made."""

    name = "tell_hosts"
    label = gettext_lazy("Refresh the storage pool on its hosts")

    def __init__(self, storage_pool: StoragePool) -> None:
        self._storage_pool = storage_pool

    def do(self, run: Run, intent: Made) -> Made:
        for storage_pool in storage_pools_of(self._storage_pool):
            tell_host(run, storage_pool)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        # Nothing shows it, and twice does no harm.
        return False


def tell_host(run: Run, storage_pool: StoragePool) -> None:
    """A host that cannot be told finds out by itself within minutes."""
    try:
        run.ask(
            lambda connection: refresh_storage_pool(connection, storage_pool.uuid),
            hypervisor=storage_pool.hypervisor,
            seconds=_REFRESH_SECONDS,
        )
    except HypervisorError as error:
        logger.info("%s was not refreshed on %s: %s", storage_pool, storage_pool.hypervisor, error)
    request_storage_pool_refresh(storage_pool.hypervisor_id, storage_pool.uuid)


def storage_pools_of(storage_pool: StoragePool) -> Iterator[StoragePool]:
    """Itself, and what other hosts that can be asked have of the same storage."""
    yield storage_pool
    others = StoragePool.objects.present().same_storage_as(storage_pool).exclude(pk=storage_pool.pk)
    for other in others.filter(active=True).select_related("hypervisor"):
        if not why_unreachable(other.hypervisor):
            yield other
