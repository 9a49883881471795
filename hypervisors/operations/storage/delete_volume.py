"""Delete a volume with all that is in it; refused while a virtual machine or another volume needs it.

The hosts are asked right before the deletion. libvirt has no way to do both in one: an overlay that somebody makes, or
a machine that somebody defines, within the milliseconds between the last answer and the deletion loses its file.
"""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible, StorageBusy
from hypervisors.gateway.storage.volumes import delete_volume, read_volume
from hypervisors.inventory.storage.origins import forget_origin
from hypervisors.models import StoragePool, Volume
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.runs import Result, Run, succeeded
from hypervisors.operations.engine.steps import Made, Step, run_steps
from hypervisors.operations.engine.types import OperationType
from hypervisors.operations.storage.latest_volume_users import why_in_use_now
from hypervisors.operations.storage.storage_operations import (
    TellHosts,
    find_volume,
    why_no_storage_pool,
    why_volume_gone,
)
from hypervisors.operations.storage.volume_users import why_in_use
from hypervisors.privileges import Privilege

_CALL_SECONDS = 600.0


class DeleteVolume(OperationType[Volume]):
    kind = "delete_volume"
    subject_type = "volume"
    label = gettext_lazy("Delete volume")
    icon = "trash"
    privilege = Privilege.STORAGE_MANAGE
    queue = STORAGE_QUEUE
    is_dangerous = True
    question = gettext_lazy("Delete the volume “%s”?")
    warning = gettext_lazy("All that is in it is lost, on every host that shares the storage. This cannot be undone.")

    def why_gone(self, volume: Volume) -> str:
        return why_volume_gone(volume)

    def why_not(self, volume: Volume) -> str:
        return self.why_gone(volume) or why_no_storage_pool(volume.storage_pool) or why_in_use(volume)

    def subject_name(self, volume: Volume, parameters: Any) -> str:
        return f"{volume.storage_pool.name}/{volume.name}"

    def run(self, run: Run) -> Result:
        volume = find_volume(run)
        if volume is None:
            return succeeded(_("It was gone already."))
        steps = [_Delete(volume), TellHosts(volume.storage_pool)]
        return run_steps(run, steps, done=_("It is deleted."))


class _Delete(Step):
    name = "delete"
    label = gettext_lazy("Delete the volume")

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._storage_pool: StoragePool = volume.storage_pool

    def intend(self, run: Run) -> Made:
        # Somebody may have given it to a machine since it was asked for.
        reason = why_in_use(self._volume)
        if reason:
            raise NotPossible(reason)
        return {"name": self._volume.name, "path": self._volume.path}

    def do(self, run: Run, intent: Made) -> Made:
        # Here rather than in intend(), which a worker that goes on after another died does not come by.
        reason = why_in_use_now(run, self._volume)
        if reason:
            raise NotPossible(reason)
        uuid, name = self._storage_pool.uuid, self._volume.name
        run.ask(lambda connection: delete_volume(connection, uuid, name), seconds=_CALL_SECONDS)
        if not self.is_done(run, intent):
            raise StorageBusy(_("The volume “%(name)s” is still there.") % {"name": name})
        forget_origin(self._storage_pool, name)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        uuid, name = self._storage_pool.uuid, self._volume.name
        return run.ask(lambda connection: read_volume(connection, uuid, name)) is None

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """What is deleted stays so; cancelled afterwards, only the other hosts are not told."""

    def leftover(self, intent: Made, made: Made) -> str:
        return ""
