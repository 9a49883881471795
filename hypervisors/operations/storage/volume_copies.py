"""Copies of a volume, in its own format (clone_volume) or in another (convert_volume), by libvirt on the host itself.

libvirt can neither cancel a copy nor say what became of one whose caller is gone: so what a worker did not see end is
never taken for whole. It is waited for until it can be deleted, deleted, and made anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NameTaken, NotPossible, StorageBusy, VmportalError
from hypervisors.gateway.storage.volumes import clone_volume, delete_volume, read_volume, resize_volume
from hypervisors.inventory.storage.origins import forget_origin, note_origin
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import StoragePool, Volume
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.records import NOTE
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import Made, Step, run_steps
from hypervisors.operations.engine.subjects import lock_key, volume_lock_key
from hypervisors.operations.engine.types import OperationType
from hypervisors.operations.storage.image_checks import check_image, why_quarantined
from hypervisors.operations.storage.latest_volume_users import users_now, why_running_now
from hypervisors.operations.storage.long_calls import call_and_follow
from hypervisors.operations.storage.room import check_room, read_room
from hypervisors.operations.storage.storage_operations import (
    TellHosts,
    find_volume,
    tell_host,
    why_no_storage_pool,
    why_volume_gone,
)
from hypervisors.operations.storage.volume_users import in_use_text, why_in_use, why_running
from hypervisors.privileges import Privilege

_MOST_BYTES = 2**50
_DELETE_SECONDS = 600.0
_DELETE_AGAIN_SECONDS = 2.0
_MOST_BACKING_FILES = 32


@dataclass(frozen=True, kw_only=True)
class CopyVolumeParameters:
    """`storage_pool_id`: where the copy goes, on the same host. `capacity_bytes`: at least the source's."""

    name: str
    storage_pool_id: int
    format: str
    capacity_bytes: int
    overcommitted: bool = False


class CopyOfVolume(OperationType[Volume]):
    """Base of the kinds. A subclass says which formats its copies may have."""

    subject_type = "volume"
    privilege = Privilege.STORAGE_MANAGE
    queue = STORAGE_QUEUE
    # Before and after libvirt copies.
    can_be_cancelled = True
    Parameters: ClassVar[type[Any]] = CopyVolumeParameters
    done: ClassVar[Any] = ""

    def formats_of(self, volume: Volume) -> tuple[str, ...]:
        """What its copies may be made as, the best first; none: it cannot be asked for."""
        raise NotImplementedError

    def why_gone(self, volume: Volume) -> str:
        return why_volume_gone(volume)

    def why_not(self, volume: Volume) -> str:
        return (
            self.why_gone(volume)
            or why_no_storage_pool(volume.storage_pool)
            or self._why_no_copy(volume)
            or why_quarantined(volume)
            or why_running(volume)
        )

    def locks(self, volume: Volume, parameters: CopyVolumeParameters) -> tuple[str, ...]:
        target = StoragePool.objects.get(pk=parameters.storage_pool_id)
        return (lock_key(volume), volume_lock_key(target, parameters.name))

    def check(self, volume: Volume, given: Mapping[str, Any]) -> CopyVolumeParameters:
        target = target_pool(volume, given.get("storage_pool_id"))
        formats = self.formats_of(volume)
        if not formats:
            raise NotPossible(self._why_no_copy(volume))
        format_ = str(given.get("format") or formats[0])
        if format_ not in formats:
            raise NotPossible(_("Choose the format: %(formats)s.") % {"formats": ", ".join(formats)})
        parameters = CopyVolumeParameters(
            name=str(given.get("name", "")),
            storage_pool_id=target.pk,
            format=format_,
            capacity_bytes=_checked_capacity(volume, given.get("capacity_bytes")),
            overcommitted=bool(given.get("overcommitted")),
        )
        try:
            copy_spec(parameters)
        except ValueError as error:
            raise NotPossible(str(error)) from error
        _check_name(target, parameters.name)
        _check_row_room(volume, target, parameters)
        return parameters

    def subject_name(self, volume: Volume, parameters: CopyVolumeParameters) -> str:
        return f"{volume.storage_pool.name}/{volume.name}"

    def run(self, run: Run) -> Result:
        volume = find_volume(run)
        target = StoragePool.objects.select_related("hypervisor").filter(pk=run.parameters.storage_pool_id).first()
        if volume is None or target is None:
            raise NotPossible(_("The volume or its storage pool was removed from vmportal."))
        steps = [CopyVolume(volume, target, run.parameters), GrowCopy(target, run.parameters), TellHosts(target)]
        return run_steps(run, steps, done=str(self.done) % {"name": run.parameters.name, "pool": target.name})

    def _why_no_copy(self, volume: Volume) -> str:
        if self.formats_of(volume):
            return ""
        return _("It cannot be copied so: it is of the format %(format)s.") % {
            "format": volume.format or volume.volume_type or "?"
        }


class CopyVolume(Step):
    """Have libvirt copy it; the copy is as large as the source."""

    name = "copy"
    label = gettext_lazy("Copy the volume")

    def __init__(self, source: Volume, target: StoragePool, parameters: CopyVolumeParameters) -> None:
        self._source = source
        self._target = target
        self._parameters = parameters

    def intend(self, run: Run) -> Made:
        """Looks that nothing is there and that it fits: what stands under the name later is ours."""
        wanted = self._parameters
        free = read_room(run, self._target).available_bytes
        if self._read(run) is not None:
            raise NameTaken(
                _("There is a volume called “%(name)s” in the storage pool already.") % {"name": wanted.name}
            )
        needed = needed_bytes(self._source)
        growth = 0 if wanted.overcommitted else wanted.capacity_bytes
        check_room(free, taken_bytes=needed, growth_bytes=growth, overcommitted=wanted.overcommitted)
        return {"name": wanted.name, "needed_bytes": needed}

    def do(self, run: Run, intent: Made) -> Made:
        # Here rather than in intend(), which a worker that goes on after another died does not come by.
        reason = why_running_now(run, self._source)
        if reason:
            raise NotPossible(reason)
        check_image(run, self._source)
        spec, uuid = copy_spec(self._parameters), self._target.uuid
        source = {"source_pool_uuid": self._source.storage_pool.uuid, "source_name": self._source.name}
        try:
            made = call_and_follow(
                run,
                lambda connection: clone_volume(connection, uuid, spec, **source),  # type: ignore[arg-type]
                progress=lambda: self._progress(run, int(intent["needed_bytes"])),
                name="clone-volume",
            )
        except VmportalError as error:
            self._clear(run, error)
            raise
        note_origin(self._target, spec.name, format_=spec.format)
        return {"path": made.path, "capacity_bytes": made.capacity_bytes}

    def is_done(self, run: Run, intent: Made) -> bool:
        """A copy that was not seen to end is never whole: it is deleted as soon as libvirt lets go of it.

        Raises: errors.NotPossible when a machine has what is there by now.
        """
        facts = self._read(run)
        if facts is None:
            return False
        volume = Volume(storage_pool=self._target, name=self._parameters.name, path=facts.path)
        users, overlays = users_now(run, volume, even_when_busy=True)
        if users or overlays:
            raise NotPossible(in_use_text(users, overlays))
        self._delete(run)
        return False

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        if self._read(run) is None:
            return
        volume = Volume.objects.present().filter(storage_pool=self._target, name=intent["name"]).first()
        reason = why_in_use(volume) if volume is not None else ""
        if reason:
            raise NotPossible(reason)
        self._delete(run)
        forget_origin(self._target, intent["name"])
        tell_host(run, self._target)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("The volume “%(name)s” stays in the storage pool “%(pool)s”.") % {
            "name": intent["name"],
            "pool": self._target.name,
        }

    def _progress(self, run: Run, needed_bytes: int) -> Mapping[str, Any] | None:
        facts = self._read(run)
        if facts is None:
            return None
        note = {NOTE: _("Cannot be cancelled while libvirt copies: removed when that ends.")}
        total = max(needed_bytes, 1)
        return {
            "percent": min(99.0, round(100 * facts.allocation_bytes / total, 1)),
            "transferred_bytes": facts.allocation_bytes,
            "total_bytes": needed_bytes,
            **(note if run.cancel_requested.is_set() else {}),
        }

    def _clear(self, run: Run, error: VmportalError) -> None:
        """libvirt removes what it could not finish; where it did not, we do, if it can be asked at all."""
        if isinstance(error, HypervisorError) and not isinstance(error, NameTaken | StorageBusy):
            try:
                if self._read(run) is not None:
                    run.ask(self._delete_call, seconds=_DELETE_SECONDS)
            except HypervisorError:
                # It is looked at again by whoever goes on.
                return

    def _delete(self, run: Run) -> None:
        """Waits for as long as libvirt still copies. Raises: errors.HypervisorError."""
        while True:
            try:
                run.ask(self._delete_call, seconds=_DELETE_SECONDS)
                return
            except StorageBusy:
                run.report({NOTE: _("Waits until libvirt has ended a copy that nobody follows, to remove it.")})
                if run.lost.wait(_DELETE_AGAIN_SECONDS):
                    raise

    def _delete_call(self, connection: Any) -> None:
        delete_volume(connection, self._target.uuid, self._parameters.name)

    def _read(self, run: Run) -> Any:
        uuid, name = self._target.uuid, self._parameters.name
        return run.ask(lambda connection: read_volume(connection, uuid, name))


class GrowCopy(Step):
    """libvirt copies the size too; what was asked for may be more."""

    name = "grow"
    label = gettext_lazy("Give it its size")

    def __init__(self, target: StoragePool, parameters: CopyVolumeParameters) -> None:
        self._target = target
        self._parameters = parameters

    def do(self, run: Run, intent: Made) -> Made:
        if not self.is_done(run, intent):
            uuid, wanted = self._target.uuid, self._parameters
            run.ask(lambda connection: resize_volume(connection, uuid, wanted.name, wanted.capacity_bytes), seconds=120)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        uuid, name = self._target.uuid, self._parameters.name
        facts = run.ask(lambda connection: read_volume(connection, uuid, name))
        if facts is None:
            raise NotPossible(_("The volume “%(name)s” is gone.") % {"name": name})
        return facts.capacity_bytes >= self._parameters.capacity_bytes

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """Nothing: the copy goes as a whole."""


def copy_spec(parameters: CopyVolumeParameters) -> VolumeSpec:
    """Raises: ValueError, fit for people."""
    return VolumeSpec(
        name=parameters.name,
        format=parameters.format,  # type: ignore[arg-type]
        capacity_bytes=parameters.capacity_bytes,
    )


def target_pool(volume: Volume, given: object) -> StoragePool:
    """Where a copy is to go: by default where the volume is. Raises: errors.NotPossible."""
    if given in (None, ""):
        return volume.storage_pool
    pools = StoragePool.objects.present().filter(hypervisor=volume.storage_pool.hypervisor_id)
    found = pools.select_related("hypervisor").filter(pk=str(given)).first() if str(given).isdecimal() else None
    if found is None:
        raise NotPossible(_("Choose a storage pool of the same host."))
    reason = why_no_storage_pool(found)
    if reason:
        raise NotPossible(f"{found.name}: {reason}")
    return found


def needed_bytes(volume: Volume) -> int:
    """What a copy takes: all that is written in the volume and in the files under it, and never more than its size."""
    needed, seen, path = volume.allocation_bytes, {volume.path}, volume.backing_path
    while path and path not in seen and len(seen) < _MOST_BACKING_FILES:
        seen.add(path)
        rows = Volume.objects.present().filter(path=path, storage_pool__hypervisor=volume.storage_pool.hypervisor_id)
        base = rows.first()
        if base is None:
            return volume.capacity_bytes
        needed, path = needed + base.allocation_bytes, base.backing_path
    return min(needed, max(volume.capacity_bytes, volume.allocation_bytes))


def _checked_capacity(volume: Volume, given: object) -> int:
    if given in (None, ""):
        return volume.capacity_bytes
    if not isinstance(given, int) or not volume.capacity_bytes <= given <= _MOST_BYTES:
        raise NotPossible(_("A copy is at least as large as what is copied, and at most 1 PiB."))
    return given


def _check_name(target: StoragePool, name: str) -> None:
    same = StoragePool.objects.present().same_storage_as(target)
    if Volume.objects.present().filter(storage_pool__in=same, name=name).exists():
        raise NotPossible(_("There is a volume called “%(name)s” in this storage pool already.") % {"name": name})


def _check_row_room(volume: Volume, target: StoragePool, parameters: CopyVolumeParameters) -> None:
    try:
        check_room(
            target.available_bytes,
            taken_bytes=needed_bytes(volume),
            growth_bytes=parameters.capacity_bytes,
            overcommitted=parameters.overcommitted,
        )
    except HypervisorError as error:
        raise NotPossible(str(error)) from error
