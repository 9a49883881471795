"""Delete a storage pool: stop it and remove its definition. What is in it stays, unless that is asked for expressly.

Refused while virtual machines use volumes in it; the hosts are asked right before anything is done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NotPossible, StorageBusy
from hypervisors.gateway.storage.storage_pool_actions import delete_storage_behind
from hypervisors.gateway.storage.storage_pool_users import read_storage_pool_users
from hypervisors.gateway.storage.volume_users import read_overlays
from hypervisors.gateway.storage.volumes import delete_volume, list_volumes
from hypervisors.inventory.storage.uses import overlays_on
from hypervisors.models import Hypervisor, OperationLock, StoragePool
from hypervisors.operations.definitions.steps import OnDefined, Stop, Undefine
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Result, Run, succeeded
from hypervisors.operations.engine.steps import Made, Step, run_steps
from hypervisors.operations.engine.subjects import volume_lock_key
from hypervisors.operations.storage.storage_pool_operations import CALL_SECONDS, StoragePoolOperation
from hypervisors.operations.storage.storage_pool_steps import StoragePoolStep
from hypervisors.operations.storage.storage_pool_users import (
    StoragePoolUser,
    place_of,
    storage_pool_users,
    why_used,
)
from hypervisors.operations.storage.volume_users import in_use_text

_DELETE_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class DeleteStoragePoolParameters:
    """`deletes_volumes`: with all that is in it, and the folder or the volume group it is on."""

    deletes_volumes: bool = False


class DeleteStoragePool(StoragePoolOperation):
    kind = "delete_storage_pool"
    label = gettext_lazy("Delete storage pool")
    icon = "trash"
    queue = STORAGE_QUEUE
    is_dangerous = True
    question = gettext_lazy("Delete the storage pool “%s”?")
    warning = gettext_lazy("The host forgets it. The files in it stay.")
    Parameters: ClassVar[type[Any]] = DeleteStoragePoolParameters

    def why_not_in_this_state(self, storage_pool: StoragePool) -> str:
        return why_used(storage_pool_users(storage_pool))

    def check(self, storage_pool: StoragePool, given: Mapping[str, Any]) -> DeleteStoragePoolParameters:
        parameters = DeleteStoragePoolParameters(deletes_volumes=bool(given.get("deletes_volumes")))
        reason = why_contents_stay(storage_pool) if parameters.deletes_volumes else ""
        if reason:
            raise NotPossible(reason)
        return parameters

    def result_without_row(self) -> Result:
        return succeeded(_("It was gone already."))

    def run_on(self, run: Run, storage_pool: StoragePool) -> Result:
        steps: list[Step] = [_Stop(storage_pool), _Undefine(storage_pool)]
        if run.parameters.deletes_volumes:
            steps.insert(0, _DeleteVolumes(storage_pool))
            steps.insert(2, _DeleteStorage(storage_pool))
        return run_steps(run, steps, done=_("It is deleted."))


def why_contents_stay(storage_pool: StoragePool) -> str:
    """Why what is in it cannot be deleted with it; "" when it can."""
    others = StoragePool.objects.present().same_storage_as(storage_pool).exclude(pk=storage_pool.pk)
    hosts = ", ".join(others.order_by("hypervisor__name").values_list("hypervisor__name", flat=True)[:5])
    if hosts:
        return _(
            "Other hosts have the same storage (%(hosts)s), as far as is known: delete their storage pools first, "
            "or delete this one without what is in it."
        ) % {"hosts": hosts}
    if not storage_pool.active:
        return _("It is not started: what is in it can be deleted only while it is.")
    return why_used(storage_pool_users(storage_pool, on_every_host=True)) or _why_others_need_it(storage_pool)


def _why_others_need_it(storage_pool: StoragePool) -> str:
    """Volumes of other storage pools that are on top of its own, and what is being done in it."""
    volumes = storage_pool.volumes.present().select_related("storage_pool__hypervisor")
    overlays = (overlay for found in overlays_on(volumes).values() for overlay in found)
    outside = [one.name for one in overlays if one.storage_pool.storage_key != storage_pool.storage_key]
    if outside:
        return in_use_text([], outside)
    if OperationLock.objects.filter(key__startswith=volume_lock_key(storage_pool, "")).exists():
        return _("An operation works on a volume in it: wait for its end, or cancel it.")
    return ""


class _PoolStep(OnDefined, StoragePoolStep):
    def __init__(self, storage_pool: StoragePool) -> None:
        super().__init__(lambda _run: storage_pool.uuid)
        self._storage_pool = storage_pool
        self._uuid = storage_pool.uuid


class _DeleteVolumes(_PoolStep):
    name = "delete_volumes"
    label = gettext_lazy("Delete its volumes")

    def do(self, run: Run, intent: Made) -> Made:
        reason = why_contents_stay(self._storage_pool) or _why_used_now(run, self._storage_pool, on_every_host=True)
        if reason:
            raise NotPossible(reason)
        uuid, deleted, kept = self._uuid, 0, []
        volumes = run.ask(lambda connection: list_volumes(connection, uuid), seconds=CALL_SECONDS)
        overlays = _overlays_outside(run, self._storage_pool, [volume.path for volume in volumes])
        if overlays:
            raise NotPossible(in_use_text([], overlays))
        for volume in volumes:
            name = volume.name
            try:
                run.ask(_deletion(self._storage_pool, name), seconds=_DELETE_SECONDS)
                deleted += 1
            except HypervisorError as error:
                kept.append(f"“{name}”: {error}")
            run.report({"note": _("%(count)d volumes deleted") % {"count": deleted}})
        if kept:
            raise NotPossible(
                _("%(deleted)d volumes are deleted; these are not, and the storage pool stays: %(kept)s")
                % {"deleted": deleted, "kept": " ".join(kept[:5])}
            )
        return {"deleted": deleted}

    def is_done(self, run: Run, intent: Made) -> bool:
        return False


def _overlays_outside(run: Run, storage_pool: StoragePool, paths: list[str]) -> list[str]:
    """The volumes in other storage pools of the host that are on top of these, as it has them now."""
    others = StoragePool.objects.present().filter(hypervisor=storage_pool.hypervisor_id, active=True, trouble="")
    names: list[str] = []
    for uuid in others.exclude(pk=storage_pool.pk).values_list("uuid", flat=True):
        question = partial(read_overlays, pool_uuid=uuid, paths=paths, even_when_busy=True)
        names += run.ask(question, seconds=CALL_SECONDS)
    return sorted(names)


def _deletion(storage_pool: StoragePool, name: str) -> Any:
    return lambda connection: delete_volume(connection, storage_pool.uuid, name)


class _Stop(Stop, _PoolStep):
    label = gettext_lazy("Stop the storage pool")
    stays_stopped = gettext_lazy("The storage pool stays stopped.")

    def check(self, run: Run) -> None:
        reason = _why_used_now(run, self._storage_pool, on_every_host=False)
        if reason:
            raise NotPossible(reason)


class _DeleteStorage(_PoolStep):
    name = "delete_storage"
    label = gettext_lazy("Delete its folder")

    def do(self, run: Run, intent: Made) -> Made:
        run.ask(lambda connection: delete_storage_behind(connection, self._uuid), seconds=_DELETE_SECONDS)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return False


class _Undefine(Undefine, _PoolStep):
    def do(self, run: Run, intent: Made) -> Made:
        super().do(run, intent)
        if not self.is_done(run, intent):
            raise StorageBusy(_("The storage pool is still there."))
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return run.ask(lambda connection: self.definitions.read_definition(connection, self._uuid)) is None


def _why_used_now(run: Run, storage_pool: StoragePool, *, on_every_host: bool) -> str:
    """Asked of the hosts; one of the others that does not answer has its rows."""
    place = place_of(storage_pool)
    users = _users_on(run, storage_pool.hypervisor, [place])
    if on_every_host:
        pool = storage_pool.hypervisor.hypervisor_pool_id
        for other in Hypervisor.objects.filter(hypervisor_pool=pool).exclude(pk=storage_pool.hypervisor_id):
            if why_unreachable(other):
                continue
            try:
                users += _users_on(run, other, [place])
            except HypervisorError:
                users += [
                    user for user in storage_pool_users(storage_pool, on_every_host=True) if user.host == other.name
                ]
    return why_used(sorted(users))


def _users_on(run: Run, hypervisor: Hypervisor, places: Any) -> list[StoragePoolUser]:
    found = run.ask(lambda connection: read_storage_pool_users(connection, places), hypervisor=hypervisor)
    return [StoragePoolUser(name=name, host=hypervisor.name, is_active=is_active) for name, is_active in found.items()]
