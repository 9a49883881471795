"""The steps of deleting snapshots: each by itself, the deepest first, with the files that libvirt leaves behind."""

from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, JobBusy, NotPossible
from hypervisors.gateway.connections import cached_connection
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.gateway.domains.snapshots import REFUSALS, SnapshotFacts, delete_snapshot, list_snapshots
from hypervisors.inventory.domains.snapshots import snapshot_time
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.libvirtxml.domain_snapshots import EXTERNAL
from hypervisors.models import Domain, SnapshotNote
from hypervisors.operations.domains.snapshotting.existing import check_same
from hypervisors.operations.domains.snapshotting.leftovers import clear_memory, note_overlay
from hypervisors.operations.domains.snapshotting.merging import break_off, follow_merge
from hypervisors.operations.domains.snapshotting.others import why_no_merge
from hypervisors.operations.domains.snapshotting.others_now import why_no_merge_now
from hypervisors.operations.domains.snapshotting.reasons import refusal_text, tree_of_parsed
from hypervisors.operations.domains.snapshotting.taking import find_snapshot
from hypervisors.operations.engine.bounded_calls import BackgroundCall, NotAnswered
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import UNASKABLE, Made, Step
from hypervisors.states import ACTIVE_DOMAIN_STATES


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
    """What it set apart is merged, and the file of its memory goes at once: cancelled later, none is left without it.

    Cancelled meanwhile, the merge is broken off where QEMU does it; the machine goes on with the files that it has.
    """

    def __init__(self, number: int, name: str) -> None:
        self.name = f"delete_{number}"
        self.label = _("Delete “%(name)s”") % {"name": name}
        self._snapshot = name

    def intend(self, run: Run) -> Made:
        """Its files, while it is still there to tell them."""
        found = run.ask(lambda connection: list_snapshots(connection, run.uuid))
        facts = _named(found, self._snapshot)
        if facts is None:
            return {}
        family = [facts, *(one for one in found if one.parsed.parent_name == self._snapshot)]
        overlays = [path for one in family for path in one.parsed.overlays.values()]
        return {"memory": facts.parsed.memory_path, "overlays": overlays}

    def do(self, run: Run, intent: Made) -> Made:
        if run.cancel_requested.is_set():
            # The next step is not begun then.
            return {}
        found = run.ask(lambda connection: list_snapshots(connection, run.uuid))
        facts = _named(found, self._snapshot)
        if facts is not None:
            self._check(run, facts, found)
            if not self._delete(run, facts):
                return {}
        return self._clear(run, intent)

    def is_done(self, run: Run, intent: Made) -> bool:
        # What is gone is not deleted again, and its files are looked after then.
        return False

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """Of what a worker began that died: libvirt goes on with it."""
        break_off(run)
        if find_snapshot(run, self._snapshot) is None:
            if not made:
                self._clear(run, intent)
            raise NotPossible(_("It stays deleted."))

    def leftover(self, intent: Made, made: Made) -> str:
        return _("“%(name)s” is deleted.") % {"name": self._snapshot}

    def _check(self, run: Run, facts: SnapshotFacts, found: Sequence[SnapshotFacts]) -> None:
        """Raises: errors.NotPossible when somebody else needs what is merged."""
        domain = run.operation.domain
        if domain is not None and facts.parsed.kind == EXTERNAL:
            reason = why_no_merge_now(run, domain, facts, found)
            if reason:
                raise NotPossible(_("“%(name)s”: %(reason)s") % {"name": self._snapshot, "reason": reason})

    def _delete(self, run: Run, facts: SnapshotFacts) -> bool:
        """False: it was broken off, as somebody wished. Raises: errors.HypervisorError."""
        endpoint, uuid, name = endpoint_of(run.source), run.uuid, self._snapshot
        note = _MergeNote(run.operation.domain, facts)
        call = BackgroundCall(lambda: delete_snapshot(cached_connection(endpoint), uuid, name), name="delete-snapshot")
        is_merging = follow_merge(run, call, facts.parsed)
        try:
            call.result()
        except JobBusy as error:
            # An earlier worker's may still be at it.
            note.take_back()
            raise NotAnswered(str(error)) from error
        except UNASKABLE:
            raise
        except HypervisorError as error:
            if not is_merging and error.libvirt_code in REFUSALS:
                note.take_back()
            if run.cancel_requested.is_set() and find_snapshot(run, name) is not None:
                return False
            raise
        if find_snapshot(run, name) is not None:
            raise HypervisorError(_("libvirt said that “%(name)s” is deleted, and still has it.") % {"name": name})
        SnapshotNote.objects.filter(domain=run.operation.domain, name=name).delete()
        return True

    def _clear(self, run: Run, intent: Made) -> Made:
        """`kept`: what of its files stays, for people."""
        memory = str(intent.get("memory", ""))
        kept = clear_memory(run, memory) if memory else ""
        for path in intent.get("overlays", ()):
            note_overlay(run, path)
        return {"kept": kept}


class _MergeNote:
    """That a merge has begun, from when on its snapshot holds no whole moment; it goes with the snapshot's note.

    libvirt marks only the one that it was taken from.
    """

    def __init__(self, domain: Domain | None, facts: SnapshotFacts) -> None:
        created_at = snapshot_time(facts.parsed.created_at)
        self._rows = SnapshotNote.objects.filter(domain=domain, name=facts.parsed.name)
        self._is_new = False
        if domain is not None and created_at is not None and facts.parsed.kind == EXTERNAL:
            self._write(domain, facts.parsed.name, created_at)

    def take_back(self) -> None:
        """libvirt has refused: nothing was merged this time."""
        if self._is_new:
            self._rows.update(merge_began_at=None)

    def _write(self, domain: Domain, name: str, created_at: datetime) -> None:
        # One of another time is of another snapshot.
        self._rows.exclude(created_at=created_at).delete()
        SnapshotNote.objects.get_or_create(domain=domain, name=name, defaults={"created_at": created_at})
        self._is_new = bool(self._rows.filter(merge_began_at=None).update(merge_began_at=timezone.now()))


def _named(found: Sequence[SnapshotFacts], name: str) -> SnapshotFacts | None:
    return next((one for one in found if one.parsed.name == name), None)
