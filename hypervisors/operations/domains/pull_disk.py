"""Make a running machine's disk independent: all that its image is on top of is copied into that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.models import Domain, Operation, Volume
from hypervisors.operations.domains.commit_disk import checked_chain, has_snapshots
from hypervisors.operations.domains.creation.disk_steps import TellStorage
from hypervisors.operations.domains.domain_operations import RUNNING_OR_PAUSED, DomainOperation, not_answering
from hypervisors.operations.domains.merging.steps import Pull
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import run_steps
from hypervisors.operations.engine.subjects import lock_key
from hypervisors.operations.storage.room import check_room
from hypervisors.operations.storage.volume_copies import needed_bytes
from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class PullDiskParameters:
    """`paths`: all images of the disk, the top first."""

    disk: str
    paths: list[str]
    volume_id: int


class PullDisk(DomainOperation):
    kind = "pull_disk"
    label = gettext_lazy("Make disk independent")
    icon = "stack-push"
    position = 57
    # Whose it is may be told of the storage, and of who else uses it.
    privilege = Privilege.STORAGE_MANAGE
    queue = STORAGE_QUEUE
    can_be_cancelled = True
    obstacles = (RUNNING_OR_PAUSED, not_answering, has_snapshots)
    Parameters: ClassVar[type[Any]] = PullDiskParameters

    def is_offered(self, domain: Domain) -> bool:
        """In the dialog of its images."""
        return False

    def check(self, domain: Domain, given: Mapping[str, Any]) -> PullDiskParameters:
        chain = checked_chain(domain, given.get("disk"))
        volume = chain.own.volume
        if volume is None:
            raise NotPossible(_("Its own image is in no storage pool."))
        try:
            check_room(
                volume.storage_pool.available_bytes,
                taken_bytes=max(0, needed_bytes(volume) - volume.allocation_bytes),
                growth_bytes=0,
                overcommitted=True,
            )
        except HypervisorError as error:
            raise NotPossible(str(error)) from error
        return PullDiskParameters(disk=chain.target, paths=[image.path for image in chain.images], volume_id=volume.pk)

    def also_needs(
        self, domain: Domain, parameters: PullDiskParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        return [(Privilege.DOMAIN_CONFIGURE, domain)]

    def locks(self, domain: Domain, parameters: PullDiskParameters) -> tuple[str, ...]:
        volume = Volume.objects.select_related("storage_pool").get(pk=parameters.volume_id)
        return (*super().locks(domain, parameters), lock_key(volume))

    def title(self, operation: Operation) -> str:
        disk = operation.parameters.get("disk")
        return _("Make disk %(disk)s independent") % {"disk": disk} if disk else str(self.label)

    def run(self, run: Run) -> Result:
        parameters: PullDiskParameters = run.parameters
        volume = Volume.objects.select_related("storage_pool__hypervisor").filter(pk=parameters.volume_id).first()
        if volume is None:
            raise NotPossible(_("The volume was removed from vmportal."))
        steps = [Pull(parameters.disk, parameters.paths), TellStorage([volume.storage_pool])]
        return run_steps(run, steps, done=_("Disk %(disk)s is on top of nothing now.") % {"disk": parameters.disk})
