"""Delete what is left of a machine that is gone: the disks that its deletion could not delete."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.models import Domain, StoragePool
from hypervisors.operations.domains.delete_domain import DeleteDomainParameters
from hypervisors.operations.domains.deletion.outcomes import deletion_outcome, leftovers
from hypervisors.operations.domains.deletion.steps import DeleteDisk, tell_storage_of
from hypervisors.operations.domains.domain_operations import DomainOperation
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import run_steps
from hypervisors.operations.engine.subjects import volume_lock_key
from hypervisors.privileges import Privilege


def still_there(domain: Domain) -> str:
    return "" if domain.vanished_at is not None else _("It is not deleted.")


class DeleteLeftovers(DomainOperation):
    kind = "delete_leftovers"
    label = gettext_lazy("Delete what is left")
    icon = "trash-x"
    position = 91
    privilege = Privilege.DOMAIN_DELETE
    queue = STORAGE_QUEUE
    is_dangerous = True
    question = gettext_lazy("Delete what is left of “%s”?")
    warning = gettext_lazy("All that is on these disks is lost. This cannot be undone.")
    obstacles = (still_there,)
    Parameters: ClassVar[type[Any]] = DeleteDomainParameters

    def is_offered(self, domain: Domain) -> bool:
        return domain.vanished_at is not None

    def why_gone(self, domain: Domain) -> str:
        """The machine is, and its disks are not."""
        return ""

    def check(self, domain: Domain, given: Mapping[str, Any]) -> DeleteDomainParameters:
        left = leftovers(domain)
        if not left:
            raise NotPossible(_("Nothing is known to be left of it."))
        return DeleteDomainParameters(disks=[asdict(one.disk) for one in left])

    def also_needs(
        self, domain: Domain, parameters: DeleteDomainParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        if any(not disk.storage_pool_uuid for disk in parameters.doomed):
            return [(Privilege.STORAGE_MANAGE, domain.hypervisor)]
        return ()

    def locks(self, domain: Domain, parameters: DeleteDomainParameters) -> tuple[str, ...]:
        """Nobody may make a volume of that name meanwhile."""
        pools = {str(pool.uuid): pool for pool in StoragePool.objects.filter(hypervisor=domain.hypervisor_id)}
        volumes = ((pools.get(disk.storage_pool_uuid), disk.volume) for disk in parameters.doomed)
        keys = [volume_lock_key(pool, name) for pool, name in volumes if pool is not None]
        return (*super().locks(domain, parameters), *dict.fromkeys(keys))

    def run(self, run: Run) -> Result:
        disks = run.parameters.doomed
        steps = [*(DeleteDisk(number, disk) for number, disk in enumerate(disks, start=1)), tell_storage_of(run, disks)]
        return deletion_outcome(run, run_steps(run, steps, done=_("Done.")))
