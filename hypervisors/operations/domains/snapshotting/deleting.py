"""The steps of deleting snapshots: each by itself, the deepest first, then the files that libvirt leaves behind."""

import logging
import posixpath
from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, JobBusy, NotPossible, VmportalError
from hypervisors.gateway.connections import cached_connection
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.gateway.domains.snapshots import delete_snapshot, list_snapshots, merge_progress
from hypervisors.gateway.storage.volumes import delete_volume, read_volume
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.inventory.storage.origins import forget_origin, note_origin
from hypervisors.libvirtxml.domain_snapshots import ParsedSnapshot
from hypervisors.models import Hypervisor, SnapshotNote, StoragePool, Volume
from hypervisors.operations.domains.snapshotting.existing import check_same
from hypervisors.operations.domains.snapshotting.others import why_no_merge
from hypervisors.operations.domains.snapshotting.reasons import refusal_text, tree_of_parsed
from hypervisors.operations.domains.snapshotting.taking import find_snapshot
from hypervisors.operations.engine.bounded_calls import BackgroundCall, NotAnswered
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import UNASKABLE, Made, Step
from hypervisors.operations.storage.volume_users import why_in_use
from hypervisors.states import ACTIVE_DOMAIN_STATES

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 0.5
_DELETE_SECONDS = 600.0


class LookAgain(Step):
    """Nothing that others need is lost: what the rows said is asked of the host."""

    name = "look"
    label = gettext_lazy("Look at its snapshots")

    def __init__(self, names: Sequence[str], *, created: int) -> None:
        self._names = names
        self._created = created

    def do(self, run: Run, intent: Made) -> Made:
        name = self._names[-1]
        check_same(run, name, self._created)
        found = run.ask(lambda connection: list_snapshots(connection, run.uuid))
        tree = tree_of_parsed(one.parsed for one in found)
        with_children = len(self._names) > 1
        if with_children and set(tree.to_delete(name, with_children=True)) != set(self._names):
            raise NotPossible(_("Other snapshots were taken from it meanwhile. Look at them, and try again."))
        is_active = run.ask(lambda connection: domain_state(connection, run.uuid)) in ACTIVE_DOMAIN_STATES
        refusal = tree.why_no_delete(name, with_children=with_children, is_active=is_active)
        if refusal is not None:
            raise NotPossible(refusal_text(refusal))
        domain = run.operation.domain
        reason = why_no_merge(domain, self._names) if domain is not None else ""
        if reason:
            raise NotPossible(reason)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        # Nothing is deleted before it is over: asking again does no harm.
        return False


class DeleteOne(Step):
    """Its own files go with it; what it set apart is merged."""

    def __init__(self, number: int, name: str) -> None:
        self.name = f"delete_{number}"
        self.label = _("Delete “%(name)s”") % {"name": name}
        self._snapshot = name

    def do(self, run: Run, intent: Made) -> Made:
        facts = find_snapshot(run, self._snapshot)
        if facts is None:
            return {}
        endpoint, uuid, name = endpoint_of(run.source), run.uuid, self._snapshot
        call = BackgroundCall(lambda: delete_snapshot(cached_connection(endpoint), uuid, name), name="delete-snapshot")
        _follow(run, call, facts.parsed)
        try:
            call.result()
        except JobBusy as error:
            # An earlier worker's may still be at it.
            raise NotAnswered(str(error)) from error
        if not self.is_done(run, intent):
            raise HypervisorError(_("libvirt said that “%(name)s” is deleted, and still has it.") % {"name": name})
        SnapshotNote.objects.filter(domain=run.operation.domain, name=name).delete()
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return find_snapshot(run, self._snapshot) is None

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        if self.is_done(run, intent):
            raise NotPossible(_("It stays deleted."))

    def leftover(self, intent: Made, made: Made) -> str:
        return _("“%(name)s” is deleted.") % {"name": self._snapshot}


class ClearFiles(Step):
    """Delete the memory's files, which libvirt leaves; write down what the others are on top of now."""

    name = "clear_files"
    label = gettext_lazy("Clear its files")

    def __init__(self, memory_paths: Sequence[str], overlay_paths: Sequence[str]) -> None:
        self._memory_paths = memory_paths
        self._overlay_paths = overlay_paths

    def do(self, run: Run, intent: Made) -> Made:
        left = [path for path in self._memory_paths if not _delete_file(run, path)]
        for path in self._overlay_paths:
            _note_overlay(run, path)
        return {"left": left}

    def is_done(self, run: Run, intent: Made) -> bool:
        return False


def volume_at(hypervisor: Hypervisor | None, path: str) -> tuple[StoragePool, str] | None:
    """The storage pool of the host and the volume's name; also of a file that was not there at the last look."""
    pools = StoragePool.objects.present().filter(hypervisor=hypervisor).select_related("hypervisor")
    known = Volume.objects.filter(storage_pool__in=pools, path=path).select_related("storage_pool__hypervisor").first()
    if known is not None:
        return known.storage_pool, known.name
    folder = posixpath.dirname(path)
    pool = next((one for one in pools if posixpath.normpath(one.target_path or "/") == folder), None)
    return (pool, posixpath.basename(path)) if pool is not None else None


def _delete_file(run: Run, path: str) -> bool:
    """Whether it is gone."""
    place = volume_at(run.source, path)
    if place is None:
        return False
    pool, name = place
    volume = Volume.objects.select_related("storage_pool__hypervisor").filter(storage_pool=pool, name=name).first()
    if volume is not None and why_in_use(volume):
        # Whoever took it by hand chose where its memory goes.
        logger.warning("The memory of a snapshot is left at %s: others name that file.", path)
        return False
    try:
        run.ask(lambda connection: delete_volume(connection, pool.uuid, name), seconds=_DELETE_SECONDS)
    except UNASKABLE:
        raise
    except VmportalError as error:
        logger.warning("The memory of a snapshot is left at %s: %s", path, error)
        return False
    forget_origin(pool, name)
    return True


def _note_overlay(run: Run, path: str) -> None:
    """Merging puts it on top of another file, or takes it away."""
    place = volume_at(run.source, path)
    if place is None:
        return
    pool, name = place
    facts = run.ask(lambda connection: read_volume(connection, pool.uuid, name))
    if facts is None:
        forget_origin(pool, name)
    else:
        note_origin(pool, name, format_="qcow2", backing_path=facts.backing_path)


def _follow(run: Run, call: BackgroundCall[None], snapshot: ParsedSnapshot) -> None:
    """Until it returns. How far it is is asked beside it: a question that is not answered must not end the call.

    Raises: NotAnswered when the row was lost.
    """
    endpoint, uuid = endpoint_of(run.source), run.uuid
    targets = tuple(disk.target for disk in snapshot.disks if disk.kind == "external")
    question: BackgroundCall[tuple[int, int] | None] | None = None
    while not call.wait(_WAIT_SECONDS):
        if run.lost.is_set():
            raise NotAnswered(_("Somebody else goes on with it."))
        if question is None and targets:
            question = BackgroundCall(lambda: merge_progress(cached_connection(endpoint), uuid, targets))
        elif question is not None and question.wait(0):
            _report(run, question)
            question = None


def _report(run: Run, question: BackgroundCall[tuple[int, int] | None]) -> None:
    try:
        found = question.result()
    except HypervisorError:
        return
    if found is not None and found[1]:
        done, total = found
        run.report(
            {"percent": min(99.0, round(100 * done / total, 1)), "transferred_bytes": done, "total_bytes": total}
        )
