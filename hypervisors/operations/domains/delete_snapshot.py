"""Delete a snapshot, alone or with all that were taken from it: what the machine holds now stays as it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.models import Domain, DomainSnapshot
from hypervisors.operations.domains.creation.disk_steps import TellStorage
from hypervisors.operations.domains.domain_operations import (
    MOVABLE,
    DomainOperation,
    not_answering,
    transient,
    without_snapshots,
)
from hypervisors.operations.domains.snapshotting.deleting import ClearFiles, DeleteOne, LookAgain, volume_at
from hypervisors.operations.domains.snapshotting.existing import asked_snapshot, created_epoch
from hypervisors.operations.domains.snapshotting.others import why_no_merge
from hypervisors.operations.domains.snapshotting.reasons import tree_of, why_no_delete
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import run_steps
from hypervisors.privileges import Privilege


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

    def run(self, run: Run) -> Result:
        parameters: DeleteSnapshotParameters = run.parameters
        paths = [*parameters.memory_paths, *parameters.overlay_paths]
        places = [volume_at(run.source, path) for path in paths]
        steps = [
            LookAgain(parameters.names, created=parameters.created),
            *(DeleteOne(number, name) for number, name in enumerate(parameters.names, start=1)),
            ClearFiles(parameters.memory_paths, parameters.overlay_paths),
            TellStorage([place[0] for place in places if place is not None]),
        ]
        return run_steps(run, steps, done=_done_text(parameters.names))


def _done_text(names: list[str]) -> str:
    if len(names) == 1:
        return _("The snapshot “%(name)s” is deleted.") % {"name": names[0]}
    return _("%(count)d snapshots are deleted.") % {"count": len(names)}


def snapshots_to_delete(domain: Domain, snapshot: DomainSnapshot) -> list[str]:
    """What goes with it when those that were taken from it go too, for people who are asked."""
    return tree_of(domain.snapshots.all()).to_delete(snapshot.name, with_children=True)
