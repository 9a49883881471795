"""The steps of a disk's move: a new image, all that the disk holds in it, the machine on it, the old one gone."""

import posixpath
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible, VmportalError
from hypervisors.gateway.domains.block_jobs import begin_copy, end_disk_job, read_disk_job, read_disk_layers
from hypervisors.gateway.domains.editing import edit_definition
from hypervisors.gateway.domains.reading import DomainFacts, read_domain
from hypervisors.gateway.storage.volumes import VolumeFacts, delete_volume
from hypervisors.inventory.storage.origins import forget_origin
from hypervisors.libvirtxml.disk_layers import build_copy_destination, disk_layers, with_disk_source
from hypervisors.libvirtxml.domains import parse_domain
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import Domain, StoragePool, Volume
from hypervisors.operations.domains.creation.disk_steps import NewDisk
from hypervisors.operations.domains.disk_jobs import DiskJobFollower, JobEnd
from hypervisors.operations.domains.domain_operations import IS_OFF
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import UNASKABLE, Made, Step
from hypervisors.operations.storage.latest_volume_users import why_in_use_now

_CALL_SECONDS, _SLOW_SECONDS = 60.0, 600.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """An image as a disk names it."""

    path: str
    format: str
    is_block: bool


class NewImage(NewDisk):
    """The empty image that the disk is copied into."""

    words = gettext_lazy("Create %(name)s")

    def __init__(self, storage_pool: StoragePool, spec: VolumeSpec, *, needed_bytes: int) -> None:
        super().__init__(storage_pool, spec)
        self._needed_bytes = needed_bytes

    @property
    def needed_bytes(self) -> int:
        return self._needed_bytes

    def _is_as_begun(self, run: Run, facts: VolumeFacts) -> bool:
        return facts.capacity_bytes >= self._spec.capacity_bytes and super()._is_as_begun(run, facts)


class CopyRunningDisk(Step):
    """Copy the disk while its machine runs, then have the machine go over to the copy. Cancelled, it ends at once."""

    name = "copy"
    label = gettext_lazy("Copy the disk while it is used")

    def __init__(self, target: str, old: Place, new: Place, *, bytes_per_second: int) -> None:
        self._target = target
        self._old, self._new = old, new
        self._bytes_per_second = bytes_per_second

    def intend(self, run: Run) -> Made:
        if not is_same_file(self._path_now(run), self._old.path):
            raise NotPossible(
                _("Disk %(disk)s has another image by now. Look at it, and try again.") % {"disk": self._target}
            )
        if run.ask(lambda connection: read_disk_job(connection, run.uuid, self._target)) is not None:
            raise NotPossible(_("Its host is at work on disk %(disk)s already.") % {"disk": self._target})
        return {"path": self._new.path}

    def do(self, run: Run, intent: Made) -> Made:
        if run.cancel_requested.is_set():
            # The next step is not begun then.
            return {}
        destination = build_copy_destination(self._new.path, self._new.format, is_block=self._new.is_block)
        speed = self._bytes_per_second
        run.ask(
            lambda connection: begin_copy(connection, run.uuid, self._target, destination, bytes_per_second=speed),
            seconds=_CALL_SECONDS,
        )
        return {} if self._follow(run) else {"cancelled": True}

    def is_done(self, run: Run, intent: Made) -> bool:
        """A copy that a dead worker began is followed to its end; where there is none, it is begun anew."""
        if run.ask(lambda connection: read_disk_job(connection, run.uuid, self._target)) is not None:
            self._follow(run)
        return self._has_moved(run)

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        run.ask(lambda connection: end_disk_job(connection, run.uuid, self._target), seconds=_CALL_SECONDS)
        if self._has_moved(run):
            raise NotPossible(_("The machine uses it already."))

    def leftover(self, intent: Made, made: Made) -> str:
        return _("Disk %(disk)s is at %(path)s now.") % {"disk": self._target, "path": self._new.path}

    def _follow(self, run: Run) -> bool:
        """True when the machine has gone over, False when somebody cancelled it before."""
        follower = DiskJobFollower(run, self._target)
        try:
            end = follower.follow()
            if end == JobEnd.READY:
                follower.go_over()
        except UNASKABLE:
            raise
        except VmportalError:
            # A step that fails leaves nothing.
            run.ask(lambda connection: end_disk_job(connection, run.uuid, self._target), seconds=_CALL_SECONDS)
            raise
        if end == JobEnd.CANCELLED:
            return False
        if not self._has_moved(run):
            raise NotPossible(
                _("Its host broke the copy off: the machine was stopped, or the storage is full. It is what it was.")
            )
        return True

    def _has_moved(self, run: Run) -> bool:
        return is_same_file(self._path_now(run), self._new.path)

    def _path_now(self, run: Run) -> str:
        layers = run.ask(lambda connection: read_disk_layers(connection, run.uuid, self._target))
        return layers[0].path if layers else ""


class PointAtImage(Step):
    """Its definition names the new image: libvirt has seen to that for a machine that runs, mostly."""

    name = "point"
    label = gettext_lazy("Have it start with the new image")

    def __init__(self, target: str, old: Place, new: Place, *, is_off: bool) -> None:
        self._target = target
        self._old, self._new = old, new
        self._is_off = is_off

    def do(self, run: Run, intent: Made) -> Made:
        facts = self._facts(run)
        if self._is_off and (facts.state not in IS_OFF or _has_run_since(run)):
            raise NotPossible(_("It was started meanwhile."))
        if not is_same_file(self._path_in(facts), self._new.path):
            if not is_same_file(self._path_in(facts), self._old.path):
                raise NotPossible(_("Somebody has given disk %(disk)s another image.") % {"disk": self._target})
            self._edit(run, self._new)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return is_same_file(self._path_in(self._facts(run)), self._new.path)

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """Of one that is off; what runs has gone over for good."""
        facts = self._facts(run)
        if self._is_off and facts.state in IS_OFF and is_same_file(self._path_in(facts), self._new.path):
            self._edit(run, self._old)

    def _edit(self, run: Run, place: Place) -> None:
        def change(xml: str) -> str:
            named = {"path": place.path, "format_": place.format, "is_block": place.is_block}
            return with_disk_source(xml, self._target, **named)  # type: ignore[arg-type]

        try:
            run.ask(lambda connection: edit_definition(connection, run.uuid, change), seconds=_CALL_SECONDS)
        except ValueError as error:
            raise NotPossible(str(error)) from error

    def _facts(self, run: Run) -> DomainFacts:
        facts = run.ask(lambda connection: read_domain(connection, run.uuid))
        if facts is None:
            raise NotPossible(_("%(host)s does not have it any more.") % {"host": run.source.name})
        return facts

    def _path_in(self, facts: DomainFacts) -> str:
        """Of what is named by storage pool and volume, nothing: that is the old one."""
        layers = disk_layers(facts.inactive_xml, self._target)
        named = {disk.target: disk for disk in parse_domain(facts.inactive_xml).disks}.get(self._target)
        if named is not None and named.source_kind == "volume":
            return self._old.path
        return layers[0].path if layers else ""


def _has_run_since(run: Run) -> bool:
    """Whether it was started and stopped while it was copied, from outside: what it wrote is not in the copy."""
    operation = run.operation
    if operation.domain_id is None or operation.started_at is None:
        return False
    return Domain.objects.filter(pk=operation.domain_id, state_since__gt=operation.started_at).exists()


class DeleteOldImage(Step):
    """What nobody needs any more. Where somebody does, or the host refuses, it stays, and that is said."""

    label = gettext_lazy("Delete the old image")

    def __init__(self, volume: Volume, *, number: int = 1) -> None:
        self.name = f"delete_old_{number}"
        self._volume = volume

    def do(self, run: Run, intent: Made) -> Made:
        reason = why_in_use_now(run, self._volume)
        if reason:
            return {"kept": reason}
        uuid, name = self._volume.storage_pool.uuid, self._volume.name
        try:
            run.ask(lambda connection: delete_volume(connection, uuid, name), seconds=_SLOW_SECONDS)
        except UNASKABLE:
            raise
        except VmportalError as error:
            return {"kept": str(error)}
        forget_origin(self._volume.storage_pool, name)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        # Once more does no harm.
        return False


def is_same_file(one: str, other: str) -> bool:
    return bool(one) and posixpath.normpath(one) == posixpath.normpath(other)
