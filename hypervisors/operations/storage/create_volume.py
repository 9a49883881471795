"""Create an empty volume. Three steps: look that it fits, create it, tell the other hosts of the storage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NameTaken, NotPossible, StorageBusy, StoragePoolFull
from hypervisors.gateway.connections import cached_connection
from hypervisors.gateway.storage.storage_pools import read_storage_pool, refresh_storage_pool
from hypervisors.gateway.storage.volumes import (
    VolumeFacts,
    begins_with_zeros,
    create_volume,
    delete_volume,
    read_volume,
)
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import StoragePool, Volume
from hypervisors.operations.engine.bounded_calls import BackgroundCall, NotAnswered
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.records import NOTE
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import Made, Step, run_steps
from hypervisors.operations.engine.subjects import volume_lock_key
from hypervisors.operations.engine.types import OperationType, checked_choice
from hypervisors.operations.storage.storage_operations import TellHosts, tell_host, why_no_storage_pool
from hypervisors.operations.storage.volume_users import why_in_use
from hypervisors.privileges import Privilege

FORMATS = {"qcow2": gettext_lazy("qcow2: grows as it is written to"), "raw": gettext_lazy("raw: plain and fast")}
# A full file system loses the end of what is written to it: so much is left free.
RESERVE_BYTES = 64 * 1024**2
_GIB = 1024**3
_LEAST_BYTES, _MOST_BYTES = 1024**2, 2**50
# Storage rounds up to its own unit.
_ROUNDING_BYTES = 64 * 1024**2
_POLL_SECONDS, _ANSWER_SECONDS = 0.5, 15.0
# Reserving gigabytes on storage that cannot reserve is writing them.
_SILENT_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class CreateVolumeParameters:
    """`reserved`: its whole size is taken on the storage at once (raw only).

    `overcommitted`: somebody knows that it can grow beyond what is free.
    """

    name: str
    format: str
    capacity_bytes: int
    reserved: bool = False
    overcommitted: bool = False

    @property
    def allocation_bytes(self) -> int:
        return self.capacity_bytes if self.reserved else 0


class CreateVolume(OperationType[StoragePool]):
    kind = "create_volume"
    subject_type = "storage_pool"
    label = gettext_lazy("Create volume")
    icon = "file-plus"
    privilege = Privilege.STORAGE_MANAGE
    queue = STORAGE_QUEUE
    can_be_cancelled = True
    Parameters: ClassVar[type[Any]] = CreateVolumeParameters

    def why_not(self, storage_pool: StoragePool) -> str:
        return why_no_storage_pool(storage_pool)

    def locks(self, storage_pool: StoragePool, parameters: CreateVolumeParameters) -> tuple[str, ...]:
        return (volume_lock_key(storage_pool, parameters.name),)

    def check(self, storage_pool: StoragePool, given: Mapping[str, Any]) -> CreateVolumeParameters:
        format_ = checked_choice(given.get("format"), FORMATS, what=_("format"))
        capacity = given.get("capacity_bytes")
        if not isinstance(capacity, int) or not _LEAST_BYTES <= capacity <= _MOST_BYTES:
            raise NotPossible(_("A volume has a size between 1 MiB and 1 PiB."))
        reserved = bool(given.get("reserved"))
        if reserved and format_ != "raw":
            raise NotPossible(_("Only a raw volume can be reserved as a whole; qcow2 grows as it is written to."))
        parameters = CreateVolumeParameters(
            name=str(given.get("name", "")),
            format=format_,
            capacity_bytes=capacity,
            reserved=reserved,
            overcommitted=bool(given.get("overcommitted")),
        )
        try:
            _spec(parameters)
        except ValueError as error:
            raise NotPossible(str(error)) from error
        self._check_free(storage_pool, parameters)
        return parameters

    def _check_free(self, storage_pool: StoragePool, parameters: CreateVolumeParameters) -> None:
        same = StoragePool.objects.present().same_storage_as(storage_pool)
        if Volume.objects.present().filter(storage_pool__in=same, name=parameters.name).exists():
            raise NotPossible(
                _("There is a volume called “%(name)s” in this storage pool already.") % {"name": parameters.name}
            )
        free = storage_pool.available_bytes
        if parameters.reserved and parameters.allocation_bytes + RESERVE_BYTES > free:
            raise NotPossible(
                _("It does not fit: %(free).1f GiB are free in the storage pool.") % {"free": free / _GIB}
            )
        if _lacks_room(parameters, free):
            raise NotPossible(_no_room_text(parameters, free))

    def subject_name(self, storage_pool: StoragePool, parameters: CreateVolumeParameters) -> str:
        return f"{storage_pool.name}/{parameters.name}"

    def run(self, run: Run) -> Result:
        storage_pool = StoragePool.objects.select_related("hypervisor").get(pk=int(run.operation.subject_key))
        steps = [_Create(storage_pool, run.parameters), TellHosts(storage_pool)]
        return run_steps(run, steps, done=_("It is created."))


class _Create(Step):
    name = "create"
    label = gettext_lazy("Create the volume")

    def __init__(self, storage_pool: StoragePool, parameters: CreateVolumeParameters) -> None:
        self._storage_pool = storage_pool
        self._parameters = parameters

    def intend(self, run: Run) -> Made:
        """Looks that nothing is there and that it fits: what stands under the name later is ours."""
        uuid, wanted = self._storage_pool.uuid, self._parameters
        run.ask(lambda connection: refresh_storage_pool(connection, uuid), seconds=_SILENT_SECONDS)
        if run.ask(lambda connection: read_volume(connection, uuid, wanted.name)) is not None:
            raise NameTaken(
                _("There is a volume called “%(name)s” in the storage pool already.") % {"name": wanted.name}
            )
        read = run.ask(lambda connection: read_storage_pool(connection, uuid))
        if read is None:
            raise NotPossible(_("The storage pool is gone."))
        free = read.available_bytes
        if wanted.allocation_bytes + RESERVE_BYTES > free:
            raise StoragePoolFull(
                _("The storage pool is full: %(free).1f GiB are free, and %(reserve)d MiB stay in reserve.")
                % {"free": free / _GIB, "reserve": RESERVE_BYTES // 1024**2}
            )
        if _lacks_room(wanted, free):
            raise StoragePoolFull(_no_room_text(wanted, free))
        return {"name": wanted.name}

    def do(self, run: Run, intent: Made) -> Made:
        endpoint, spec = endpoint_of(run.source), _spec(self._parameters)
        uuid = self._storage_pool.uuid
        call = BackgroundCall(lambda: create_volume(cached_connection(endpoint), uuid, spec), name="create-volume")
        self._follow(run, call)
        facts = call.result()
        if facts.capacity_bytes < spec.capacity_bytes:
            self._delete(run)
            raise HypervisorError(
                _("libvirt made it smaller than asked for: %(bytes)d bytes.") % {"bytes": facts.capacity_bytes}
            )
        return {"path": facts.path, "capacity_bytes": facts.capacity_bytes}

    def is_done(self, run: Run, intent: Made) -> bool:
        """A volume that somebody's dead worker began to reserve is not believed: it is made anew.

        Raises: errors.NameTaken for one that somebody else put there meanwhile.
        """
        facts = self._read(run)
        if facts is None:
            return False
        if not self._is_empty_one_of_ours(run, facts):
            raise NameTaken(
                _("There is another volume called “%(name)s” now; it is left alone.") % {"name": intent["name"]}
            )
        if not self._parameters.reserved and facts.capacity_bytes >= self._parameters.capacity_bytes:
            return True
        self._delete(run)
        return False

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """Deletes what holds nothing yet. Raises: errors.NotPossible for what somebody has put something into."""
        facts = self._read(run)
        if facts is None:
            return
        volume = Volume.objects.present().filter(storage_pool=self._storage_pool, name=intent["name"]).first()
        reason = why_in_use(volume) if volume is not None else ""
        if reason:
            raise NotPossible(reason)
        if not self._is_empty_one_of_ours(run, facts):
            raise NotPossible(_("It is not the empty one that was begun here."))
        self._delete(run)
        tell_host(run, self._storage_pool)

    def _is_empty_one_of_ours(self, run: Run, facts: VolumeFacts) -> bool:
        """Whether it is as what was begun here would be, and nothing is in it: to take that for ours loses nothing."""
        wanted = self._parameters
        if facts.format != wanted.format or facts.capacity_bytes > wanted.capacity_bytes + _ROUNDING_BYTES:
            return False
        if wanted.format != "raw":
            # What qcow2 needs for itself grows with its capacity.
            empty_bytes = 1024**2 + wanted.capacity_bytes // 2**24
            return facts.capacity_bytes >= wanted.capacity_bytes and facts.allocation_bytes <= empty_bytes
        uuid, name = self._storage_pool.uuid, wanted.name
        return run.ask(lambda connection: begins_with_zeros(connection, uuid, name), seconds=_SILENT_SECONDS)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("The volume “%(name)s” stays in the storage pool “%(pool)s”.") % {
            "name": intent["name"],
            "pool": self._storage_pool.name,
        }

    def _follow(self, run: Run, call: BackgroundCall[VolumeFacts]) -> None:
        """Show how much is reserved until the call returns. Raises: NotAnswered when nothing is heard for long."""
        waited_seconds = 0.0
        while not call.wait(_POLL_SECONDS):
            waited_seconds += _POLL_SECONDS
            if self._parameters.reserved:
                self._report(run)
            elif waited_seconds > _SILENT_SECONDS:
                raise NotAnswered(_("%(host)s does not answer.") % {"host": run.source.name})

    def _report(self, run: Run) -> None:
        # libvirt goes on until all is reserved, and keeps the file busy until then.
        note = {NOTE: _("Cancelled as soon as the host has reserved it.")} if run.cancel_requested.is_set() else {}
        try:
            facts = self._read(run)
        except HypervisorError:
            return
        if facts is not None and facts.capacity_bytes:
            done, total = facts.allocation_bytes, self._parameters.capacity_bytes
            percent = min(99.0, round(100 * done / total, 1))
            run.report({"percent": percent, "transferred_bytes": done, "total_bytes": total, **note})

    def _read(self, run: Run) -> VolumeFacts | None:
        uuid, name = self._storage_pool.uuid, self._parameters.name
        return run.ask(lambda connection: read_volume(connection, uuid, name), seconds=_ANSWER_SECONDS)

    def _delete(self, run: Run) -> None:
        """Raises: StorageBusy while libvirt still works on it."""
        uuid, name = self._storage_pool.uuid, self._parameters.name
        run.ask(lambda connection: delete_volume(connection, uuid, name), seconds=_SILENT_SECONDS)
        if self._read(run) is not None:
            raise StorageBusy(_("The volume “%(name)s” is still there.") % {"name": name})


def _lacks_room(parameters: CreateVolumeParameters, free_bytes: int) -> bool:
    """Whether it can grow beyond what is free, and nobody has said that this is known."""
    return not parameters.overcommitted and parameters.capacity_bytes > free_bytes


def _no_room_text(parameters: CreateVolumeParameters, free_bytes: int) -> str:
    return _(
        "It can grow to %(size).1f GiB, and %(free).1f GiB are free: when the storage is full, "
        "virtual machines that write to it are paused."
    ) % {"size": parameters.capacity_bytes / _GIB, "free": free_bytes / _GIB}


def _spec(parameters: CreateVolumeParameters) -> VolumeSpec:
    """Raises: ValueError, fit for people."""
    return VolumeSpec(
        name=parameters.name,
        format=parameters.format,  # type: ignore[arg-type]
        capacity_bytes=parameters.capacity_bytes,
        allocation_bytes=parameters.allocation_bytes,
    )
