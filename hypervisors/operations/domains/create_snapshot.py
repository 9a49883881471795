"""Take a snapshot: inside the disks or outside of them, with the guest's memory or without."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.models import Domain, StoragePool
from hypervisors.operations.domains.creation.disk_steps import TellStorage
from hypervisors.operations.domains.domain_operations import MOVABLE, DomainOperation, not_answering, saved, transient
from hypervisors.operations.domains.snapshotting.parameters import CreateSnapshotParameters, checked_parameters
from hypervisors.operations.domains.snapshotting.taking import LookAgain, Take, WriteDown, storage_pools_by_id
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.runs import Outcome, Result, Run, cancelled
from hypervisors.operations.engine.steps import run_steps
from hypervisors.operations.engine.subjects import volume_lock_key
from hypervisors.privileges import Privilege
from hypervisors.states import OperationState


class CreateSnapshot(DomainOperation):
    """Asked for with `name`, `mode` (see snapshotting/plan.py), `description`, `quiesce`."""

    kind = "create_snapshot"
    label = gettext_lazy("Take a snapshot")
    icon = "camera"
    position = 45
    privilege = Privilege.DOMAIN_SNAPSHOT
    queue = STORAGE_QUEUE
    # Small beside copies of whole disks: it does not wait for those.
    own_slots_per_hypervisor = 6
    can_be_cancelled = True
    obstacles = (transient, MOVABLE, saved, not_answering)
    Parameters: ClassVar[type[Any]] = CreateSnapshotParameters

    def word(self, domain: Domain) -> str:
        return _("Take a snapshot…")

    def check(self, domain: Domain, given: Mapping[str, Any]) -> CreateSnapshotParameters:
        return checked_parameters(domain, given)

    def locks(self, domain: Domain, parameters: CreateSnapshotParameters) -> tuple[str, ...]:
        pools = {pool.pk: pool for pool in StoragePool.objects.filter(pk__in=_pool_ids(parameters))}
        files = (volume_lock_key(pools[file.storage_pool_id], file.name) for file in parameters.new_files)
        return (*super().locks(domain, parameters), *files)

    def run(self, run: Run) -> Result:
        parameters: CreateSnapshotParameters = run.parameters
        pools = list(storage_pools_by_id(parameters.new_files).values())
        steps = [LookAgain(parameters), Take(parameters), WriteDown(parameters), TellStorage(pools)]
        result = run_steps(run, steps, done=_("The snapshot “%(name)s” is taken.") % {"name": parameters.name})
        was_ended = isinstance(result, Outcome) and result.state == OperationState.FAILED
        if was_ended and run.cancel_requested.is_set():
            return cancelled(_("Cancelled; no snapshot was taken, and the machine goes on."))
        return result


def _pool_ids(parameters: CreateSnapshotParameters) -> set[int]:
    return {file.storage_pool_id for file in parameters.new_files}
