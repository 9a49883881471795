"""Merge all that is above an image of a running machine's disk into that image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.models import Domain, Operation, Volume
from hypervisors.operations.domains.creation.disk_steps import TellStorage
from hypervisors.operations.domains.creation.places import is_block
from hypervisors.operations.domains.domain_operations import (
    RUNNING_OR_PAUSED,
    DomainOperation,
    not_answering,
    transient,
)
from hypervisors.operations.domains.merging.chains import DiskChain, find_chain
from hypervisors.operations.domains.merging.steps import Commit
from hypervisors.operations.domains.moving.steps import DeleteOldImage, Place, PointAtImage
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.runs import Outcome, Result, Run, succeeded
from hypervisors.operations.engine.steps import Step, run_steps
from hypervisors.operations.engine.subjects import lock_key
from hypervisors.privileges import Privilege
from hypervisors.states import OperationState


@dataclass(frozen=True, kw_only=True)
class CommitDiskParameters:
    """`into`: the path of the image that stays. `paths`: all images, the top first; the keys are of those up to it."""

    disk: str
    into: str
    paths: list[str]
    volume_ids: list[int]
    delete_merged: bool = True


def has_snapshots(domain: Domain) -> str:
    if domain.has_snapshots:
        return _("It has snapshots, which its images belong to: delete those, and they are merged.")
    return ""


class CommitDisk(DomainOperation):
    kind = "commit_disk"
    label = gettext_lazy("Merge disk images")
    icon = "stack-pop"
    position = 56
    # Whose it is may be told of the storage, and of who else uses it.
    privilege = Privilege.STORAGE_MANAGE
    queue = STORAGE_QUEUE
    can_be_cancelled = True
    obstacles = (RUNNING_OR_PAUSED, transient, not_answering, has_snapshots)
    Parameters: ClassVar[type[Any]] = CommitDiskParameters

    def word(self, domain: Domain) -> str:
        return _("Disk images…")

    def check(self, domain: Domain, given: Mapping[str, Any]) -> CommitDiskParameters:
        chain = checked_chain(domain, given.get("disk"))
        number = chain.find(str(given.get("into") or ""))
        if number < 1:
            raise NotPossible(_("Choose the image that the others are merged into."))
        if chain.images[number].reason:
            raise NotPossible(_("Nothing can be merged into it. %(why)s") % {"why": chain.images[number].reason})
        written = [image.volume for image in chain.images[: number + 1]]
        volumes = [volume for volume in written if volume is not None]
        if len(volumes) != len(written):
            raise NotPossible(_("One of its images is in no storage pool."))
        return CommitDiskParameters(
            disk=chain.target,
            into=chain.images[number].path,
            paths=[image.path for image in chain.images],
            volume_ids=[volume.pk for volume in volumes],
            delete_merged=bool(given.get("delete_merged", True)),
        )

    def also_needs(
        self, domain: Domain, parameters: CommitDiskParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        pools = [volume.storage_pool for volume in _volumes(parameters)]
        return [(Privilege.DOMAIN_CONFIGURE, domain), *((Privilege.STORAGE_MANAGE, pool) for pool in pools)]

    def locks(self, domain: Domain, parameters: CommitDiskParameters) -> tuple[str, ...]:
        return (*super().locks(domain, parameters), *(lock_key(volume) for volume in _volumes(parameters)))

    def title(self, operation: Operation) -> str:
        disk = operation.parameters.get("disk")
        return _("Merge the images of disk %(disk)s") % {"disk": disk} if disk else str(self.label)

    def run(self, run: Run) -> Result:
        parameters: CommitDiskParameters = run.parameters
        volumes = _volumes(parameters)
        if len(volumes) != len(parameters.volume_ids):
            raise NotPossible(_("A volume was removed from vmportal."))
        done = _("Disk %(disk)s is merged into “%(name)s”.") % {"disk": parameters.disk, "name": volumes[-1].name}
        return _with_notes(run, run_steps(run, _steps(parameters, volumes), done=done))


def checked_chain(domain: Domain, target: object) -> DiskChain:
    """Raises: errors.NotPossible."""
    chain = find_chain(domain, str(target or ""))
    if chain is None:
        raise NotPossible(_("Choose a disk that is on top of another image."))
    if chain.job:
        raise NotPossible(_("Its host is at work on disk %(disk)s already.") % {"disk": chain.target})
    return chain


def _volumes(parameters: CommitDiskParameters) -> list[Volume]:
    """From the top to the image that stays."""
    rows = Volume.objects.select_related("storage_pool__hypervisor").in_bulk(parameters.volume_ids)
    return [rows[pk] for pk in parameters.volume_ids if pk in rows]


def _steps(parameters: CommitDiskParameters, volumes: list[Volume]) -> list[Step]:
    *merged, into = volumes
    old, new = (Place(path=v.path, format=v.format, is_block=is_block(v.storage_pool)) for v in (volumes[0], into))
    steps: list[Step] = [
        Commit(parameters.disk, parameters.paths, into=parameters.into, written=volumes),
        PointAtImage(parameters.disk, old, new, is_off=False),
    ]
    if parameters.delete_merged:
        # What is below the topmost is on top of nothing that is left.
        steps += [DeleteOldImage(volume, number=number) for number, volume in enumerate(merged, start=1)]
    return [*steps, TellStorage([volume.storage_pool for volume in volumes])]


def _with_notes(run: Run, result: Result) -> Result:
    if not isinstance(result, Outcome) or result.state != OperationState.SUCCEEDED:
        return result
    kept = [str((entry.get("made") or {}).get("kept", "")) for entry in run.operation.steps]
    notes = [_("An image that is merged stays: %(why)s") % {"why": why} for why in kept if why]
    return succeeded(" ".join([result.text, *notes]))
