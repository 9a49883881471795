"""What is asked for when a snapshot is taken, as its operation's row keeps it."""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.domain_snapshots import EXTERNAL, INTERNAL, NONE, SnapshotDisk, SnapshotSpec
from hypervisors.models import Domain, SnapshotSchedule, StoragePool, Volume
from hypervisors.operations.domains.snapshotting.names import checked_description, checked_snapshot_name, file_name
from hypervisors.operations.domains.snapshotting.plan import (
    EXTERNAL_MEMORY,
    MODES,
    PlannedDisk,
    SnapshotPlan,
    memory_bytes,
    snapshot_plan,
)
from hypervisors.operations.engine.types import checked_choice


@dataclass(frozen=True, kw_only=True)
class NewFile:
    """A file that a snapshot makes in a storage pool of the machine's host: a disk's overlay, or the memory ("").

    `backing_path`: what an overlay is on top of. `needed_bytes`: what is written at once.
    """

    target: str
    storage_pool_id: int
    name: str
    path: str
    backing_path: str = ""
    needed_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class CreateSnapshotParameters:
    """`held`, `left_out`: targets of disks. `files`: NewFile of each as JSON. `schedule_id`: whose it is."""

    name: str
    mode: str
    description: str = ""
    quiesce: bool = False
    held: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    schedule_id: int | None = None

    @property
    def new_files(self) -> list[NewFile]:
        return [NewFile(**stored) for stored in self.files]

    @property
    def is_external(self) -> bool:
        return self.mode != INTERNAL

    def spec(self, *, is_active: bool) -> SnapshotSpec:
        files = {file.target: file.path for file in self.new_files}
        kind = EXTERNAL if self.is_external else INTERNAL
        held = (SnapshotDisk(target=target, kind=kind, overlay=files.get(target, "")) for target in self.held)
        # libvirt leaves them out of an internal one by itself, and refuses to be told so of an empty floppy drive.
        left_out = self.left_out if self.is_external else ()
        return SnapshotSpec(
            name=self.name,
            kind=kind,
            description=self.description,
            disks=(*held, *(SnapshotDisk(target=target, kind=NONE) for target in left_out)),
            has_memory=is_active and self.mode in (INTERNAL, EXTERNAL_MEMORY),
            memory_path=files.get("", "") if is_active else "",
        )


def checked_parameters(domain: Domain, given: Mapping[str, Any]) -> CreateSnapshotParameters:
    """Raises: errors.NotPossible, whose text says what is wrong."""
    plan = snapshot_plan(domain)
    mode = checked_choice(given.get("mode"), MODES, what=_("kind of snapshot"))
    quiesce = bool(given.get("quiesce"))
    schedule_id = given.get("schedule_id")
    if schedule_id is not None:
        # What a schedule wants of a machine that runs has to do for one that is off.
        mode = "external" if mode == EXTERNAL_MEMORY and not domain.is_active else mode
        quiesce = quiesce and not plan.why_no_quiesce
    if plan.why_not[mode]:
        raise NotPossible(plan.why_not[mode])
    quiesce = quiesce and mode == EXTERNAL
    if quiesce and plan.why_no_quiesce:
        raise NotPossible(_("Its file systems cannot be frozen. %(reason)s") % {"reason": plan.why_no_quiesce})
    name = checked_snapshot_name(given.get("name"), set(domain.snapshots.values_list("name", flat=True)))
    return CreateSnapshotParameters(
        name=name,
        mode=mode,
        description=checked_description(given.get("description")),
        quiesce=quiesce,
        held=[disk.target for disk in plan.held],
        left_out=[disk.target for disk in plan.disks if disk.is_left_out],
        files=[vars(file) for file in _new_files(domain, name, mode, plan)],
        schedule_id=schedule_id if _is_its_schedule(domain, schedule_id) else None,
    )


def _is_its_schedule(domain: Domain, schedule_id: object) -> bool:
    return isinstance(schedule_id, int) and SnapshotSchedule.objects.filter(pk=schedule_id, domain=domain).exists()


def _new_files(domain: Domain, name: str, mode: str, plan: SnapshotPlan) -> Iterator[NewFile]:
    if mode == INTERNAL:
        return
    for disk in plan.held:
        yield _file(domain, disk, part=disk.target, name=name, suffix=".qcow2")
    if mode == EXTERNAL_MEMORY:
        first = plan.held[0]
        yield _file(domain, first, part="memory", name=name, suffix=".save", needed_bytes=memory_bytes(domain))


def _file(domain: Domain, disk: PlannedDisk, *, part: str, name: str, suffix: str, needed_bytes: int = 0) -> NewFile:
    """Beside the disk's own file."""
    volume = disk.volume
    if volume is None:
        raise NotPossible(_("“%(disk)s” is in no storage pool.") % {"disk": disk.target})
    same = StoragePool.objects.present().same_storage_as(volume.storage_pool)
    taken = set(Volume.objects.present().filter(storage_pool__in=same).values_list("name", flat=True))
    chosen = file_name(domain.name, part, name, suffix=suffix, taken=taken)
    is_memory = part == "memory" and suffix == ".save"
    return NewFile(
        target="" if is_memory else disk.target,
        storage_pool_id=volume.storage_pool_id,
        name=chosen,
        path=posixpath.join(posixpath.dirname(volume.path), chosen),
        backing_path="" if is_memory else volume.path,
        needed_bytes=needed_bytes,
    )
