"""Delete a machine, with those of its disks that were chosen. What stays all the same is named, and tried again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.models import Domain, Volume
from hypervisors.operations.domains.deletion.outcomes import deletion_outcome
from hypervisors.operations.domains.deletion.plan import DeletionDisk, DeletionPlan, deletion_plan
from hypervisors.operations.domains.deletion.steps import (
    DeleteDisk,
    DoomedDisk,
    Examine,
    ForgetInstall,
    PullThePlug,
    Undefine,
    doomed_disk,
    tell_storage_of,
)
from hypervisors.operations.domains.domain_operations import DomainOperation, delete_protected
from hypervisors.operations.domains.linked_clones import clones_under_way, linked_clones_live
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import run_steps
from hypervisors.operations.engine.subjects import volume_lock_key
from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class DeleteDomainParameters:
    """`disks`: DoomedDisks as JSON. `force_off`: somebody knows that it runs, and wants it to be forced off."""

    disks: list[dict[str, Any]] = field(default_factory=list)
    force_off: bool = False

    @property
    def doomed(self) -> tuple[DoomedDisk, ...]:
        return tuple(doomed_disk(disk) for disk in self.disks)


class DeleteDomain(DomainOperation):
    """Asked for with `disks`, the sources of those to delete, or `own_disks`: those that the plan chooses by itself."""

    kind = "delete_domain"
    label = gettext_lazy("Delete")
    icon = "trash"
    position = 90
    privilege = Privilege.DOMAIN_DELETE
    queue = STORAGE_QUEUE
    in_bulk = True
    is_dangerous = True
    question = gettext_lazy("Delete “%s”?")
    warning = gettext_lazy("Its definition is lost, and the disks that are chosen with all that is on them.")
    obstacles = (delete_protected, linked_clones_live, clones_under_way)
    is_for_templates = True
    Parameters: ClassVar[type[Any]] = DeleteDomainParameters

    def word(self, domain: Domain) -> str:
        return _("Delete…")

    def check(self, domain: Domain, given: Mapping[str, Any]) -> DeleteDomainParameters:
        force_off = bool(given.get("force_off"))
        if domain.is_active and not force_off:
            raise NotPossible(_("It is running: shut it down first, or say that it is to be forced off."))
        plan = deletion_plan(domain)
        disks = plan.chosen if given.get("own_disks") else _asked_for(plan, given.get("disks") or ())
        doomed = [*map(_doomed, disks), *map(_doomed_file, plan.files)]
        return DeleteDomainParameters(disks=[asdict(one) for one in doomed], force_off=force_off)

    def also_needs(
        self, domain: Domain, parameters: DeleteDomainParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        """A file in no storage pool, a medium, what others share: only who manages the storage may delete it."""
        plan = deletion_plan(domain)
        # A template's disks are read-only, and its own all the same.
        own = [disk for disk in plan.disks if domain.is_template and disk.device == "disk"]
        foreign = {disk.source for disk in plan.disks if disk.is_loose or (disk.notes and disk not in own)}
        if any(not disk.storage_pool_uuid or disk.source in foreign for disk in parameters.doomed):
            return [(Privilege.STORAGE_MANAGE, domain.hypervisor)]
        return ()

    def locks(self, domain: Domain, parameters: DeleteDomainParameters) -> tuple[str, ...]:
        plan = deletion_plan(domain)
        volumes = [*(disk.volume for disk in plan.disks if _is_doomed(disk, parameters)), *plan.files]
        return (
            *super().locks(domain, parameters),
            *(volume_lock_key(volume.storage_pool, volume.name) for volume in volumes if volume is not None),
        )

    def run(self, run: Run) -> Result:
        parameters: DeleteDomainParameters = run.parameters
        disks = parameters.doomed
        steps = [
            Examine(disks),
            ForgetInstall(),
            PullThePlug(may_run=parameters.force_off),
            Undefine(),
            *(DeleteDisk(number, disk) for number, disk in enumerate(disks, start=1)),
            tell_storage_of(run, disks),
        ]
        return deletion_outcome(run, run_steps(run, steps, done=_("It is deleted.")))


def _asked_for(plan: DeletionPlan, sources: Sequence[str]) -> tuple[DeletionDisk, ...]:
    """Raises: errors.NotPossible for one that is not its own, or that others need."""
    found = []
    for source in dict.fromkeys(sources):
        disk = plan.find(source)
        if disk is None:
            raise NotPossible(_("“%(disk)s” is none of its disks.") % {"disk": source})
        if disk.obstacle:
            raise NotPossible(_("“%(disk)s” stays: %(reason)s") % {"disk": disk.name, "reason": disk.obstacle})
        found.append(disk)
    return tuple(found)


def _doomed(disk: DeletionDisk) -> DoomedDisk:
    if disk.volume is None:
        return DoomedDisk(source=disk.source)
    uuid = str(disk.volume.storage_pool.uuid)
    return DoomedDisk(source=disk.source, storage_pool_uuid=uuid, volume=disk.volume.name)


def _doomed_file(volume: Volume) -> DoomedDisk:
    uuid = str(volume.storage_pool.uuid)
    return DoomedDisk(source=volume.path, storage_pool_uuid=uuid, volume=volume.name, is_file=True)


def _is_doomed(disk: DeletionDisk, parameters: DeleteDomainParameters) -> bool:
    return disk.source in {doomed.source for doomed in parameters.doomed}
