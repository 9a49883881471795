"""Create an empty volume, or one on top of another. Two steps: create it, tell the other hosts of the storage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NameTaken, NotPossible, StorageBusy, StoragePoolFull
from hypervisors.gateway.connections import Connection, cached_connection
from hypervisors.gateway.storage.volumes import (
    VolumeFacts,
    begins_with_zeros,
    create_typed_volume,
    create_volume,
    delete_volume,
    read_volume,
)
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.inventory.storage.origins import forget_origin, note_origin
from hypervisors.inventory.storage.uses import references_to
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import StoragePool, Volume, VolumeOrigin
from hypervisors.operations.engine.bounded_calls import BackgroundCall, NotAnswered
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.records import NOTE
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import Made, Step, run_steps
from hypervisors.operations.engine.subjects import lock_key, volume_lock_key
from hypervisors.operations.engine.types import OperationType, checked_choice
from hypervisors.operations.storage.image_checks import check_image, why_quarantined
from hypervisors.operations.storage.room import check_room, read_room, size_text
from hypervisors.operations.storage.storage_operations import TellHosts, tell_host, why_no_storage_pool, why_volume_gone
from hypervisors.operations.storage.volume_users import why_in_use
from hypervisors.privileges import Privilege

FORMATS = {"qcow2": gettext_lazy("qcow2: grows as it is written to"), "raw": gettext_lazy("raw: plain and fast")}
PREALLOCATIONS = {
    "off": gettext_lazy("Nothing: it grows as it is written to"),
    "metadata": gettext_lazy("Its tables (qcow2): the first writes are faster"),
    "full": gettext_lazy("Its whole size"),
}
_LEAST_BYTES, _MOST_BYTES = 1024**2, 2**50
# Storage rounds up to its own unit.
_ROUNDING_BYTES = 64 * 1024**2
_POLL_SECONDS, _ANSWER_SECONDS = 0.5, 15.0
# Reserving gigabytes on storage that cannot reserve is writing them.
_SILENT_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class CreateVolumeParameters:
    """`backing_volume_id`: the volume of the same host that it is on top of.

    `overcommitted`: somebody knows that it can grow beyond what is free. The rest is of XML that somebody wrote: it, as
    libvirt is given it, what it takes on the storage at once, and how and with which secret it is encrypted.
    """

    name: str
    format: str
    capacity_bytes: int
    preallocation: str = "off"
    backing_volume_id: int | None = None
    overcommitted: bool = False
    xml: str | None = None
    allocation_bytes: int | None = None
    encryption: str | None = None
    encryption_secret: str | None = None

    @property
    def reserved_bytes(self) -> int:
        if self.allocation_bytes is not None:
            return self.allocation_bytes
        return self.capacity_bytes if self.preallocation == "full" else 0


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
        backing = find_backing(parameters)
        return (volume_lock_key(storage_pool, parameters.name), *([lock_key(backing)] if backing else []))

    def check(self, storage_pool: StoragePool, given: Mapping[str, Any]) -> CreateVolumeParameters:
        return self.checked(storage_pool, given)

    def checked(self, storage_pool: StoragePool, given: Mapping[str, Any], **of_xml: Any) -> CreateVolumeParameters:
        """Raises: errors.NotPossible."""
        capacity = given.get("capacity_bytes")
        if not isinstance(capacity, int) or not _LEAST_BYTES <= capacity <= _MOST_BYTES:
            raise NotPossible(_("A volume has a size between 1 MiB and 1 PiB."))
        backing_id = given.get("backing_volume_id")
        parameters = CreateVolumeParameters(
            name=str(given.get("name", "")),
            format=checked_choice(given.get("format"), FORMATS, what=_("format")),
            capacity_bytes=capacity,
            preallocation=checked_choice(
                given.get("preallocation") or "off", PREALLOCATIONS, what=_("space to reserve")
            ),
            backing_volume_id=backing_id if isinstance(backing_id, int) else None,
            overcommitted=bool(given.get("overcommitted")),
            **of_xml,
        )
        backing = find_backing(parameters)
        if parameters.backing_volume_id is not None:
            _check_backing(storage_pool, backing, parameters)
        try:
            _spec(parameters, backing)
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
        try:
            _check_room(storage_pool.available_bytes, parameters)
        except StoragePoolFull as error:
            raise NotPossible(str(error)) from error

    def subject_name(self, storage_pool: StoragePool, parameters: CreateVolumeParameters) -> str:
        return f"{storage_pool.name}/{parameters.name}"

    def also_needs(
        self, storage_pool: StoragePool, parameters: CreateVolumeParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        """What it is on top of can be read through it."""
        backing = find_backing(parameters)
        return [(Privilege.STORAGE_VIEW, backing)] if backing else []

    def run(self, run: Run) -> Result:
        storage_pool = StoragePool.objects.select_related("hypervisor").get(pk=int(run.operation.subject_key))
        backing = find_backing(run.parameters)
        if run.parameters.backing_volume_id is not None and backing is None:
            raise NotPossible(_("The volume that it was to be on top of was removed from vmportal."))
        steps = [CreateStep(storage_pool, run.parameters, backing), TellHosts(storage_pool)]
        return run_steps(run, steps, done=_("It is created."))


class CreateStep(Step):
    name = "create"
    label = gettext_lazy("Create the volume")

    def __init__(self, storage_pool: StoragePool, parameters: CreateVolumeParameters, backing: Volume | None) -> None:
        self._storage_pool = storage_pool
        self._parameters = parameters
        self._backing = backing

    def intend(self, run: Run) -> Made:
        """Looks that nothing is there and that it fits: what stands under the name later is ours."""
        uuid, wanted = self._storage_pool.uuid, self._parameters
        free = read_room(run, self._storage_pool).available_bytes
        if run.ask(lambda connection: read_volume(connection, uuid, wanted.name)) is not None:
            raise NameTaken(
                _("There is a volume called “%(name)s” in the storage pool already.") % {"name": wanted.name}
            )
        _check_room(free, wanted)
        return {"name": wanted.name}

    def do(self, run: Run, intent: Made) -> Made:
        if self._backing is not None:
            # Here rather than in intend(), which a worker that goes on after another died does not come by.
            _check_backing(self._storage_pool, self._backing, self._parameters)
            check_image(run, self._backing)
        endpoint, spec = endpoint_of(run.source), _spec(self._parameters, self._backing)
        call = BackgroundCall(lambda: self._make(cached_connection(endpoint), spec), name="create-volume")
        self._follow(run, call)
        facts = call.result()
        if facts.capacity_bytes < spec.capacity_bytes:
            self._delete(run)
            raise HypervisorError(
                _("libvirt made it smaller than asked for: %(bytes)d bytes.") % {"bytes": facts.capacity_bytes}
            )
        note_origin(
            self._storage_pool,
            spec.name,
            format_=spec.format,
            backing_path=spec.backing_path,
            purpose=VolumeOrigin.DISK,
            encryption_secret=self._parameters.encryption_secret or "",
        )
        return {"path": facts.path, "capacity_bytes": facts.capacity_bytes, "changed_at": facts.changed_at}

    def _make(self, connection: Connection, spec: VolumeSpec) -> VolumeFacts:
        uuid, xml = self._storage_pool.uuid, self._parameters.xml
        if xml:
            return create_typed_volume(connection, uuid, spec.name, xml)
        return create_volume(connection, uuid, spec)

    def is_done(self, run: Run, intent: Made) -> bool:
        """A volume that somebody's dead worker began to reserve is not believed: it is made anew.

        Raises: errors.NameTaken for one that somebody else put there meanwhile.
        """
        facts = self._read(run)
        if facts is None:
            return False
        if not self._is_empty_one_of_ours(run, facts, changed_at=""):
            raise NameTaken(
                _("There is another volume called “%(name)s” now; it is left alone.") % {"name": intent["name"]}
            )
        if self._parameters.preallocation == "off" and facts.capacity_bytes >= self._parameters.capacity_bytes:
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
        if not self._is_empty_one_of_ours(run, facts, changed_at=made.get("changed_at", "")):
            raise NotPossible(_("It is not the empty one that was begun here."))
        self._delete(run)
        forget_origin(self._storage_pool, intent["name"])
        tell_host(run, self._storage_pool)

    def _is_empty_one_of_ours(self, run: Run, facts: VolumeFacts, *, changed_at: str) -> bool:
        """Whether it is as what was begun here would be, and nothing is in it: to take that for ours loses nothing."""
        wanted = self._parameters
        if facts.format != wanted.format or facts.capacity_bytes > wanted.capacity_bytes + _ROUNDING_BYTES:
            return False
        if facts.backing_path != (self._backing.path if self._backing else ""):
            return False
        if facts.encryption != (wanted.encryption or ""):
            return False
        if wanted.encryption or (wanted.format != "raw" and wanted.preallocation != "off"):
            # What of it is written cannot be seen from outside: only when it was last changed.
            return not changed_at or facts.changed_at == changed_at
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
            if self._parameters.reserved_bytes:
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


def find_backing(parameters: CreateVolumeParameters) -> Volume | None:
    if parameters.backing_volume_id is None:
        return None
    volumes = Volume.objects.select_related("storage_pool__hypervisor")
    return volumes.filter(pk=parameters.backing_volume_id).first()


def why_no_backing(storage_pool: StoragePool, backing: Volume) -> str:
    """Why nothing can be on top of this volume; "" when it can. Whatever writes to it would destroy what is on top."""
    if backing.storage_pool.hypervisor_id != storage_pool.hypervisor_id:
        return _("It is a volume of another host.")
    if backing.format not in FORMATS:
        return _("Only qcow2 and raw volumes can be built on; this one is %(format)s.") % {
            "format": backing.format or backing.volume_type or "?"
        }
    reason = why_volume_gone(backing) or why_quarantined(backing)
    if reason:
        return reason
    writers = [one for one in references_to([backing]).get(backing.pk, ()) if one.role in ("disk", "lun", "floppy")]
    if writers:
        return _("It is a disk of “%(name)s”: what that machine writes would destroy what is on top.") % {
            "name": writers[0].domain.name
        }
    return ""


def _check_backing(storage_pool: StoragePool, backing: Volume | None, parameters: CreateVolumeParameters) -> None:
    """Raises: errors.NotPossible."""
    reason = _("It is not there.") if backing is None else why_no_backing(storage_pool, backing)
    if reason or backing is None:
        raise NotPossible(_("It cannot be on top of that volume. %(reason)s") % {"reason": reason})
    if parameters.capacity_bytes < backing.capacity_bytes:
        raise NotPossible(
            _("It is at least as large as what it is on top of: %(size)s.")
            % {"size": size_text(backing.capacity_bytes)}
        )


def _check_room(free_bytes: int, parameters: CreateVolumeParameters) -> None:
    """Raises: errors.StoragePoolFull."""
    check_room(
        free_bytes,
        taken_bytes=parameters.reserved_bytes,
        growth_bytes=parameters.capacity_bytes,
        overcommitted=parameters.overcommitted,
    )


def _spec(parameters: CreateVolumeParameters, backing: Volume | None) -> VolumeSpec:
    """Raises: ValueError, fit for people."""
    return VolumeSpec(
        name=parameters.name,
        format=parameters.format,  # type: ignore[arg-type]
        capacity_bytes=parameters.capacity_bytes,
        preallocation=parameters.preallocation,  # type: ignore[arg-type]
        backing_path=backing.path if backing else "",
        backing_format=backing.format if backing else "",
    )
