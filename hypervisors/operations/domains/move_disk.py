"""Move a disk to another storage pool, or into another format, while its machine runs or is off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import Domain, Operation, StoragePool, Volume
from hypervisors.operations.domains.creation.disk_steps import CopiedDisk, TellStorage
from hypervisors.operations.domains.creation.places import is_block, path_of, volume_on
from hypervisors.operations.domains.domain_operations import (
    IS_OFF,
    MOVABLE,
    DomainOperation,
    not_answering,
    saved,
    transient,
)
from hypervisors.operations.domains.moving.disks import (
    MovableDisk,
    find_movable_disk,
    formats_for,
    free_volume_name,
    why_no_target,
)
from hypervisors.operations.domains.moving.steps import (
    CopyRunningDisk,
    DeleteOldImage,
    NewImage,
    Place,
    PointAtImage,
)
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.runs import Outcome, Result, Run, succeeded
from hypervisors.operations.engine.steps import Step, run_steps
from hypervisors.operations.engine.subjects import lock_key, volume_lock_key
from hypervisors.operations.engine.types import checked_choice
from hypervisors.operations.storage.image_checks import check_copied
from hypervisors.operations.storage.room import check_room
from hypervisors.operations.storage.volume_copies import needed_bytes
from hypervisors.privileges import Privilege
from hypervisors.states import OperationState

_LEAST_BYTES_PER_SECOND, _MOST_BYTES_PER_SECOND = 1024**2, 2**40


@dataclass(frozen=True, kw_only=True)
class MoveDiskParameters:
    """`disk`: its target ("vda"). `name`: the new volume's, chosen by `check`. The volumes are rows' keys.

    `bytes_per_second`: at most, while it is copied from what runs; 0 for as fast as it goes.
    """

    disk: str
    storage_pool_id: int
    format: str
    name: str
    source_volume_id: int
    capacity_bytes: int
    needed_bytes: int
    was_off: bool
    delete_source: bool = False
    overcommitted: bool = False
    bytes_per_second: int = 0


def has_snapshots(domain: Domain) -> str:
    if domain.has_snapshots:
        return _("It has snapshots, which know its disks by where they are: delete or merge them first.")
    if domain.has_checkpoints:
        return _("It has checkpoints of its disks, which would not move along: delete them first.")
    return ""


class MoveDisk(DomainOperation):
    kind = "move_disk"
    label = gettext_lazy("Move disk")
    icon = "database-export"
    position = 55
    # Whose it is may be told of the storage, and of who else uses it.
    privilege = Privilege.STORAGE_MANAGE
    queue = STORAGE_QUEUE
    can_be_cancelled = True
    obstacles = (MOVABLE, transient, saved, not_answering, has_snapshots)
    Parameters: ClassVar[type[Any]] = MoveDiskParameters

    def word(self, domain: Domain) -> str:
        return _("Move disk…")

    def check(self, domain: Domain, given: Mapping[str, Any]) -> MoveDiskParameters:
        disk = _checked_disk(domain, given.get("disk"))
        pool = _checked_pool(domain, given.get("storage_pool_id"))
        volume = _volume_of(disk)
        format_ = checked_choice(
            given.get("format") or _format_there(volume, pool),
            {one: one for one in formats_for(pool)},
            what=_("format"),
        )
        if pool.pk == volume.storage_pool_id and format_ == volume.format and not volume.backing_path:
            raise NotPossible(_("It is there already, in that format."))
        parameters = MoveDiskParameters(
            disk=disk.target,
            storage_pool_id=pool.pk,
            format=format_,
            name=free_volume_name(pool, volume.name, format_),
            source_volume_id=volume.pk,
            capacity_bytes=volume.capacity_bytes,
            needed_bytes=needed_bytes(volume),
            was_off=domain.state in IS_OFF,
            delete_source=bool(given.get("delete_source")),
            overcommitted=bool(given.get("overcommitted")),
            bytes_per_second=_checked_speed(given.get("bytes_per_second")),
        )
        _check_row_room(pool, parameters)
        return parameters

    def also_needs(
        self, domain: Domain, parameters: MoveDiskParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        target = StoragePool.objects.get(pk=parameters.storage_pool_id)
        needs: list[tuple[Privilege, models.Model | None]] = [
            (Privilege.DOMAIN_CONFIGURE, domain),
            (Privilege.STORAGE_MANAGE, target),
        ]
        if parameters.delete_source:
            source = Volume.objects.select_related("storage_pool").get(pk=parameters.source_volume_id)
            needs.append((Privilege.STORAGE_MANAGE, source.storage_pool))
        return needs

    def locks(self, domain: Domain, parameters: MoveDiskParameters) -> tuple[str, ...]:
        target = StoragePool.objects.get(pk=parameters.storage_pool_id)
        source = Volume.objects.select_related("storage_pool").get(pk=parameters.source_volume_id)
        return (*super().locks(domain, parameters), lock_key(source), volume_lock_key(target, parameters.name))

    def title(self, operation: Operation) -> str:
        disk = operation.parameters.get("disk")
        return _("Move disk %(disk)s") % {"disk": disk} if disk else str(self.label)

    def run(self, run: Run) -> Result:
        parameters: MoveDiskParameters = run.parameters
        pool = StoragePool.objects.select_related("hypervisor").filter(pk=parameters.storage_pool_id).first()
        volumes = Volume.objects.select_related("storage_pool__hypervisor")
        source = volumes.filter(pk=parameters.source_volume_id).first()
        if pool is None or source is None:
            raise NotPossible(_("The volume or its storage pool was removed from vmportal."))
        words = {"disk": parameters.disk, "pool": pool.name, "name": parameters.name}
        done = _("Disk %(disk)s is “%(name)s” in the storage pool “%(pool)s” now.") % words
        return _with_notes(run, run_steps(run, _steps(parameters, source, pool), done=done), source)


def _steps(parameters: MoveDiskParameters, source: Volume, pool: StoragePool) -> list[Step]:
    old = Place(path=source.path, format=source.format, is_block=is_block(source.storage_pool))
    new = Place(path=path_of(pool, parameters.name), format=parameters.format, is_block=is_block(pool))
    copying = _steps_of_off(parameters, source, pool) if parameters.was_off else _steps_live(parameters, pool, old, new)
    steps = [*copying, PointAtImage(parameters.disk, old, new, is_off=parameters.was_off)]
    if parameters.delete_source:
        steps.append(DeleteOldImage(source))
    return [*steps, TellStorage([pool, source.storage_pool])]


def _steps_live(parameters: MoveDiskParameters, pool: StoragePool, old: Place, new: Place) -> list[Step]:
    copy = CopyRunningDisk(parameters.disk, old, new, bytes_per_second=parameters.bytes_per_second)
    return [NewImage(pool, _spec(parameters), needed_bytes=parameters.needed_bytes), copy]


def _steps_of_off(parameters: MoveDiskParameters, source: Volume, pool: StoragePool) -> list[Step]:
    return [
        CopiedDisk(
            pool,
            _spec(parameters),
            source_storage_pool=source.storage_pool,
            source_name=source.name,
            check=lambda run: check_copied(run, volume_on(run.source, source.pk).row),
        )
    ]


def _spec(parameters: MoveDiskParameters) -> VolumeSpec:
    return VolumeSpec(
        name=parameters.name,
        format="raw" if parameters.format == "raw" else "qcow2",
        capacity_bytes=parameters.capacity_bytes,
    )


def _with_notes(run: Run, result: Result, source: Volume) -> Result:
    """What became of the old image is said."""
    if not isinstance(result, Outcome) or result.state != OperationState.SUCCEEDED:
        return result
    made = {entry["name"]: entry.get("made") or {} for entry in run.operation.steps}
    words = {"name": source.name, "pool": source.storage_pool.name}
    if "delete_old_1" not in made:
        note = _("The old volume “%(name)s” is still in the storage pool “%(pool)s”.") % words
    elif made["delete_old_1"].get("kept"):
        note = _("The old volume “%(name)s” was not deleted: %(why)s") % {**words, "why": made["delete_old_1"]["kept"]}
    else:
        note = _("The old volume is deleted.")
    return succeeded(f"{result.text} {note}")


def _checked_disk(domain: Domain, target: object) -> MovableDisk:
    disk = find_movable_disk(domain, str(target or ""))
    if disk is None:
        raise NotPossible(_("Choose the disk that is to move."))
    if disk.reason:
        raise NotPossible(_("Disk %(disk)s cannot move. %(why)s") % {"disk": disk.target, "why": disk.reason})
    return disk


def _checked_pool(domain: Domain, given: object) -> StoragePool:
    pools = StoragePool.objects.present().filter(hypervisor=domain.hypervisor_id).select_related("hypervisor")
    found = pools.filter(pk=given).first() if isinstance(given, int) else None
    if found is None:
        raise NotPossible(_("Choose a storage pool of its host."))
    reason = why_no_target(found)
    if reason:
        raise NotPossible(f"{found.name}: {reason}")
    return found


def _volume_of(disk: MovableDisk) -> Volume:
    assert disk.volume is not None
    return disk.volume


def _format_there(volume: Volume, pool: StoragePool) -> str:
    formats = formats_for(pool)
    return volume.format if volume.format in formats else formats[0]


def _checked_speed(given: object) -> int:
    if not given:
        return 0
    if not isinstance(given, int) or not _LEAST_BYTES_PER_SECOND <= given <= _MOST_BYTES_PER_SECOND:
        raise NotPossible(_("A speed limit is at least 1 MiB/s."))
    return given


def _check_row_room(pool: StoragePool, parameters: MoveDiskParameters) -> None:
    try:
        check_room(
            pool.available_bytes,
            taken_bytes=parameters.needed_bytes,
            growth_bytes=parameters.capacity_bytes,
            overcommitted=parameters.overcommitted,
        )
    except HypervisorError as error:
        raise NotPossible(str(error)) from error
