"""Delete a snapshot, alone or with all that were taken from it: what the machine holds now stays as it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible, VmportalError
from hypervisors.gateway.domains.snapshots import list_snapshots
from hypervisors.models import Domain, DomainSnapshot, SnapshotNote
from hypervisors.operations.domains.creation.disk_steps import TellStorage
from hypervisors.operations.domains.domain_operations import (
    MOVABLE,
    DomainOperation,
    not_answering,
    transient,
    without_snapshots,
)
from hypervisors.operations.domains.snapshotting.deleting import DeleteOne, LookAgain
from hypervisors.operations.domains.snapshotting.existing import asked_snapshot, created_epoch
from hypervisors.operations.domains.snapshotting.others import merged_volumes, why_no_merge
from hypervisors.operations.domains.snapshotting.places import volume_at
from hypervisors.operations.domains.snapshotting.reasons import tree_of, why_no_delete
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.runs import Outcome, Result, Run
from hypervisors.operations.engine.steps import run_steps
from hypervisors.operations.engine.subjects import lock_key
from hypervisors.privileges import Privilege
from hypervisors.states import OperationState


@dataclass(frozen=True, kw_only=True)
class DeleteSnapshotParameters:
    """`names`: all that go, in that order, the one that was asked for last. `memory_paths`: files that go with them.

    `overlay_paths`: those of the machine's external snapshots before.
    """

    name: str
    names: list[str] = field(default_factory=list)
    created: int = 0
    memory_paths: list[str] = field(default_factory=list)
    overlay_paths: list[str] = field(default_factory=list)


class DeleteSnapshot(DomainOperation):
    """Asked for with the `name`, and `children`: whether those that were taken from it go too."""

    kind = "delete_snapshot"
    label = gettext_lazy("Delete a snapshot")
    icon = "trash"
    privilege = Privilege.DOMAIN_SNAPSHOT
    queue = STORAGE_QUEUE
    own_slots_per_hypervisor = 6
    is_dangerous = True
    question = gettext_lazy("Delete a snapshot of “%s”?")
    warning = gettext_lazy("It stays as it is now, and cannot go back to that moment any more.")
    can_be_cancelled = True
    obstacles = (without_snapshots, transient, MOVABLE, not_answering)
    Parameters: ClassVar[type[Any]] = DeleteSnapshotParameters

    def is_offered(self, domain: Domain) -> bool:
        """Beside each snapshot."""
        return False

    def check(self, domain: Domain, given: Mapping[str, Any]) -> DeleteSnapshotParameters:
        snapshot, with_children = asked_snapshot(domain, given), bool(given.get("children"))
        rows = {one.name: one for one in domain.snapshots.all()}
        tree = tree_of(rows.values())
        reason = why_no_delete(domain, snapshot, tree, with_children=with_children)
        if reason:
            raise NotPossible(reason)
        names = tree.to_delete(snapshot.name, with_children=with_children)
        reason = why_no_merge(domain, names)
        if reason:
            raise NotPossible(reason)
        return DeleteSnapshotParameters(
            name=snapshot.name,
            names=names,
            created=created_epoch(snapshot),
            memory_paths=[rows[name].memory_path for name in names if rows[name].memory_path],
            overlay_paths=[path for one in rows.values() for path in one.overlays.values()],
        )

    def locks(self, domain: Domain, parameters: DeleteSnapshotParameters) -> tuple[str, ...]:
        """The files that are merged, too: nobody may be put on top of one meanwhile."""
        external = [one for one in domain.snapshots.all() if one.name in parameters.names and one.is_external]
        files = (lock_key(volume) for volume in merged_volumes(domain, external))
        return (*super().locks(domain, parameters), *dict.fromkeys(files))

    def run(self, run: Run) -> Result:
        parameters: DeleteSnapshotParameters = run.parameters
        places = [volume_at(run.source, path) for path in (*parameters.memory_paths, *parameters.overlay_paths)]
        tell = TellStorage([place[0] for place in places if place is not None])
        steps = [
            LookAgain(parameters.names, created=parameters.created),
            *(DeleteOne(number, name) for number, name in enumerate(parameters.names, start=1)),
            tell,
        ]
        result = run_steps(run, steps, done=_done_text(parameters.names))
        if not isinstance(result, Outcome):
            return result
        if result.state != OperationState.SUCCEEDED:
            tell.do(run, {})
            result = _with_what_is_left(run, parameters.names, result)
        return replace(result, text=" ".join([result.text, *_kept(run)]))


def _done_text(names: list[str]) -> str:
    if len(names) == 1:
        return _("The snapshot “%(name)s” is deleted.") % {"name": names[0]}
    return _("%(count)d snapshots are deleted.") % {"count": len(names)}


def _kept(run: Run) -> list[str]:
    """Files that stay, a sentence each."""
    told = (str((entry.get("made") or {}).get("kept", "")) for entry in run.operation.steps)
    return [text for text in told if text]


def _with_what_is_left(run: Run, names: list[str], outcome: Outcome) -> Outcome:
    """Which are gone, which are there, and what is the matter with them, as the host says."""
    domain, why = run.operation.domain, (run.operation.ending or {}).get("text", "")
    try:
        found = run.ask(lambda connection: list_snapshots(connection, run.uuid))
    except VmportalError:
        return outcome
    there = {one.parsed.name for one in found}
    left = [name for name in names if name in there]
    spoilt = SnapshotNote.objects.filter(domain=domain, name__in=left).exclude(merge_began_at=None)
    texts = [why or outcome.text]
    if len(left) < len(names):
        texts.append(_("Deleted: %(names)s.") % {"names": _list(name for name in names if name not in there)})
    if left:
        texts.append(_("Still there: %(names)s.") % {"names": _list(left)})
    for note in spoilt:
        texts.append(
            _(
                "The machine has all its data and goes on as it was; but “%(name)s” is partly merged, and holds no "
                "whole moment any more: delete it again to finish."
            )
            % {"name": note.name}
        )
    return replace(outcome, text=" ".join(texts))


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"“{name}”" for name in names)


def snapshots_to_delete(domain: Domain, snapshot: DomainSnapshot) -> list[str]:
    """What goes with it when those that were taken from it go too, for people who are asked."""
    return tree_of(domain.snapshots.all()).to_delete(snapshot.name, with_children=True)
