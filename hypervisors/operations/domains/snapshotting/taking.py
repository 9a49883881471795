"""The steps of taking a snapshot: look once more, take it, write down what only we know of it."""

from collections import defaultdict
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NameTaken, NotPossible, VmportalError
from hypervisors.gateway.connections import Connection, cached_connection
from hypervisors.gateway.domains.reading import DomainFacts, domain_state, read_domain
from hypervisors.gateway.domains.screenshots import take_screenshot
from hypervisors.gateway.domains.snapshots import (
    SnapshotFacts,
    delete_snapshot,
    list_snapshots,
    take_snapshot,
    thaw_guest,
)
from hypervisors.gateway.storage.storage_pools import refresh_storage_pool
from hypervisors.gateway.storage.volumes import delete_volume, read_volume
from hypervisors.inventory.domains.snapshots import snapshot_time
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.inventory.storage.origins import note_origin
from hypervisors.libvirtxml.domains import parse_domain
from hypervisors.models import SnapshotNote, SnapshotSchedule, StoragePool, VolumeOrigin
from hypervisors.operations.domains.jobs import JobFollower
from hypervisors.operations.domains.snapshotting.parameters import CreateSnapshotParameters, NewFile
from hypervisors.operations.domains.snapshotting.reasons import tree_of_parsed, why_no_new
from hypervisors.operations.engine.bounded_calls import BackgroundCall, NotAnswered
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import UNASKABLE, Made, Step
from hypervisors.operations.storage.room import check_room, read_room
from hypervisors.states import ACTIVE_DOMAIN_STATES

_PICTURE_SECONDS, _THAW_SECONDS = 15.0, 30.0
_MOST_PICTURE_BYTES = 512 * 1024
_DELETE_SECONDS = 3600.0
_REFRESH_SECONDS = 120.0
_WAIT_SECONDS = 0.5


def find_snapshot(run: Run, name: str) -> SnapshotFacts | None:
    """As its host has it now."""
    found = run.ask(lambda connection: list_snapshots(connection, run.uuid))
    return next((facts for facts in found if facts.parsed.name == name), None)


def storage_pools_by_id(files: list[NewFile]) -> dict[int, StoragePool]:
    pools = StoragePool.objects.select_related("hypervisor").filter(pk__in={file.storage_pool_id for file in files})
    return {pool.pk: pool for pool in pools}


class LookAgain(Step):
    """What spoke for it in our rows must be so on its host."""

    name = "look"
    label = gettext_lazy("Look at its disks and snapshots")

    def __init__(self, parameters: CreateSnapshotParameters) -> None:
        self._parameters = parameters

    def do(self, run: Run, intent: Made) -> Made:
        facts = run.ask(lambda connection: read_domain(connection, run.uuid))
        if facts is None:
            raise NotPossible(_("%(host)s does not have it any more.") % {"host": run.source.name})
        found = run.ask(lambda connection: list_snapshots(connection, run.uuid))
        reason = why_no_new(tree_of_parsed(one.parsed for one in found), external=self._parameters.is_external)
        if reason:
            raise NotPossible(reason)
        if any(one.parsed.name == self._parameters.name for one in found):
            raise NameTaken(_("There is a snapshot called “%(name)s” already.") % {"name": self._parameters.name})
        if _targets(facts) != {*self._parameters.held, *self._parameters.left_out}:
            raise NotPossible(_("Its disks are others by now. Look at them, and try again."))
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        # Asking again does no harm.
        return False


class Take(Step):
    name = "take"
    label = gettext_lazy("Take the snapshot")

    def __init__(self, parameters: CreateSnapshotParameters) -> None:
        self._parameters = parameters

    def intend(self, run: Run) -> Made:
        """Looks that nothing is in the place of its files, and that they fit."""
        pools = storage_pools_by_id(self._parameters.new_files)
        by_pool: dict[int, list[NewFile]] = defaultdict(list)
        for file in self._parameters.new_files:
            if file.storage_pool_id not in pools:
                raise NotPossible(_("A storage pool of its disks was removed from vmportal."))
            by_pool[file.storage_pool_id].append(file)
        for pk, files in by_pool.items():
            room = read_room(run, pools[pk])
            taken_bytes = sum(file.needed_bytes for file in files)
            check_room(room.available_bytes, taken_bytes=taken_bytes, growth_bytes=0, overcommitted=True)
            for file in files:
                _check_absent(run, pools[pk], file)
        return {"name": self._parameters.name}

    def do(self, run: Run, intent: Made) -> Made:
        is_active = run.ask(lambda connection: domain_state(connection, run.uuid)) in ACTIVE_DOMAIN_STATES
        spec, quiesce = self._parameters.spec(is_active=is_active), self._parameters.quiesce
        endpoint, uuid = endpoint_of(run.source), run.uuid
        call = BackgroundCall(
            lambda: take_snapshot(cached_connection(endpoint), uuid, spec, is_active=is_active, quiesce=quiesce),
            name="take-snapshot",
        )
        try:
            self._wait(run, call, has_job=bool(spec.memory_path))
            call.result()
        except UNASKABLE:
            raise
        except VmportalError:
            self._clear_memory(run)
            raise
        finally:
            if quiesce:
                self._thaw(run)
        return self.found(run, intent)

    def is_done(self, run: Run, intent: Made) -> bool:
        """After a worker died: libvirt goes on with it, so wait for that first."""
        if not JobFollower(run).follow_adopted():
            raise NotAnswered(_("%(host)s does not answer.") % {"host": run.source.name})
        if self._parameters.quiesce:
            self._thaw(run)
        return find_snapshot(run, intent["name"]) is not None

    def found(self, run: Run, intent: Made) -> Made:
        facts = find_snapshot(run, intent["name"])
        if facts is None:
            raise HypervisorError(_("libvirt said that it was taken, and has none of that name."))
        return {"created_at": facts.parsed.created_at}

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        name = intent["name"]
        run.ask(lambda connection: delete_snapshot(connection, run.uuid, name), seconds=_DELETE_SECONDS)
        self._clear_memory(run)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("The snapshot “%(name)s” is there.") % {"name": intent["name"]}

    def _wait(self, run: Run, call: BackgroundCall[None], *, has_job: bool) -> None:
        """While an internal one is written QEMU answers nothing, so nothing is asked.

        Raises: NotAnswered when the row was lost, or its host is silent.
        """
        if has_job and not JobFollower(run).follow_call(call):
            raise NotAnswered(_("%(host)s does not answer.") % {"host": run.source.name})
        while not call.wait(_WAIT_SECONDS):
            if run.lost.is_set():
                raise NotAnswered(_("Somebody else goes on with it."))

    def _clear_memory(self, run: Run) -> None:
        """libvirt takes its overlays back, and not always what was written of the memory."""
        files = [file for file in self._parameters.new_files if not file.target]
        pools = storage_pools_by_id(files)
        with suppress(VmportalError):
            if find_snapshot(run, self._parameters.name) is None:
                for file in files:
                    _delete_file(run, pools[file.storage_pool_id].uuid, file.name)

    def _thaw(self, run: Run) -> None:
        """libvirt does it too: this is for when it could not."""
        with suppress(VmportalError):
            run.ask(lambda connection: thaw_guest(connection, run.uuid), seconds=_THAW_SECONDS)


class WriteDown(Step):
    """Who took it and for which schedule, what the guest shows, and what its files were made as."""

    name = "write_down"
    label = gettext_lazy("Write down what it is")

    def __init__(self, parameters: CreateSnapshotParameters) -> None:
        self._parameters = parameters

    def do(self, run: Run, intent: Made) -> Made:
        facts = find_snapshot(run, self._parameters.name)
        created_at = snapshot_time(facts.parsed.created_at) if facts else None
        if created_at is not None:
            self._note(run, created_at)
        pools = storage_pools_by_id(self._parameters.new_files)
        for file in self._parameters.new_files:
            if file.target and file.storage_pool_id in pools:
                note_origin(
                    pools[file.storage_pool_id],
                    file.name,
                    format_="qcow2",
                    backing_path=file.backing_path,
                    purpose=VolumeOrigin.DISK,
                )
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        # Twice does no harm.
        return False

    def _note(self, run: Run, created_at: datetime) -> None:
        operation, schedule_id = run.operation, self._parameters.schedule_id
        SnapshotNote.objects.update_or_create(
            domain=operation.domain,
            name=self._parameters.name,
            defaults={
                "created_at": created_at,
                "taken_by": operation.requested_by,
                "schedule": SnapshotSchedule.objects.filter(pk=schedule_id).first() if schedule_id else None,
                "picture": _picture(run),
            },
        )


def _picture(run: Run) -> bytes:
    """b"" where there is none: a snapshot is good without."""

    def ask(connection: Connection) -> bytes:
        if domain_state(connection, run.uuid) not in ACTIVE_DOMAIN_STATES:
            return b""
        return take_screenshot(connection, run.uuid).png

    try:
        png = run.ask(ask, seconds=_PICTURE_SECONDS)
    except UNASKABLE:
        return b""
    except VmportalError:
        return b""
    return png if len(png) <= _MOST_PICTURE_BYTES else b""


def _delete_file(run: Run, pool_uuid: UUID, name: str) -> None:
    """libvirt does not know of it before it has looked."""
    run.ask(lambda connection: refresh_storage_pool(connection, pool_uuid), seconds=_REFRESH_SECONDS)
    run.ask(lambda connection: delete_volume(connection, pool_uuid, name))


def _check_absent(run: Run, storage_pool: StoragePool, file: NewFile) -> None:
    """Raises: errors.NameTaken."""
    if run.ask(lambda connection: read_volume(connection, storage_pool.uuid, file.name)) is not None:
        raise NameTaken(
            _("There is a file called “%(name)s” in “%(pool)s” already. Try again.")
            % {"name": file.name, "pool": storage_pool.name}
        )


def _targets(facts: DomainFacts) -> set[str]:
    return {disk.target for disk in parse_domain(facts.live_xml or facts.inactive_xml).disks}
