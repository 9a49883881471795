"""The snapshots of one machine: their tree, one of them in detail, and the schedules that take them."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from django.views.decorators.http import require_safe

from hypervisors.access import can
from hypervisors.models import Domain, DomainSnapshot, SnapshotNote, Volume
from hypervisors.models.rights import Requester
from hypervisors.models.snapshots import notes_of
from hypervisors.operations.domains.snapshotting.plan import MODES, snapshot_plan
from hypervisors.operations.domains.snapshotting.reasons import spoilt_text, tree_of, why_no_delete, why_no_revert
from hypervisors.operations.engine.requests import why_not, why_not_permitted
from hypervisors.planning.snapshot_trees import SnapshotTree, TreeRow
from hypervisors.privileges import Privilege
from hypervisors.web.boosting import wants_part
from hypervisors.web.domains.pages import page_of, visible_domain
from hypervisors.web.domains.snapshots.schedules import schedule_lines
from hypervisors.web.frames import has_inventory

# Deeper forks stand under one another.
_MOST_LANES = 6
_STATE_WORDS = {
    "running": gettext_lazy("running"),
    "blocked": gettext_lazy("running"),
    "paused": gettext_lazy("paused"),
    "shutoff": gettext_lazy("off"),
    "disk-snapshot": gettext_lazy("running, its memory not kept"),
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of the tree. `snapshot`: None for the machine's present state."""

    snapshot: DomainSnapshot | None
    lane: int
    is_fork: bool
    is_end: bool
    is_chosen: bool
    rails: tuple[int, ...] = ()
    note: SnapshotNote | None = None


@require_safe
def domain_snapshots(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """`?snapshot=` is the one that is shown in detail; else the present one, or the newest."""
    machine = visible_domain(request, uuid)
    context = _context(request, machine)
    if wants_part(request):
        return render(request, "domains/snapshots.html#part", context)
    return page_of(request, machine, "snapshots", **context)


@require_safe
def snapshot_picture(request: HttpRequest, pk: int) -> HttpResponse:
    """What the guest showed when it was taken, as PNG; for whoever may see the machine, and so its screen."""
    seen = Domain.objects.visible_to(request.user)
    snapshot = get_object_or_404(DomainSnapshot.objects.filter(domain__in=seen), pk=pk)
    note = SnapshotNote.objects.filter(domain=snapshot.domain_id, name=snapshot.name).first()
    if note is None or not note.picture or note.created_at != snapshot.created_at:
        return HttpResponse(status=204)
    return HttpResponse(bytes(note.picture), content_type="image/png")


def _context(request: HttpRequest, machine: Domain) -> dict[str, Any]:
    snapshots = list(machine.snapshots.defer("xml"))
    tree, notes = tree_of(snapshots), notes_of(snapshots)
    chosen = _chosen(request, snapshots)
    by_name = {snapshot.name: snapshot for snapshot in snapshots}
    may_snapshot = can(request.user, Privilege.DOMAIN_SNAPSHOT, machine)
    context: dict[str, Any] = {
        "domain": machine,
        "lines": [_line(row, by_name, notes, chosen) for row in tree.rows()],
        "count": len(snapshots),
        "chosen": chosen,
        "may_snapshot": may_snapshot,
        "take_reason": _why_no_take(machine, request.user),
        "schedules": schedule_lines(machine),
    }
    if chosen is not None:
        context |= _details(request.user, machine, chosen, tree, notes.get(chosen.name))
    return context


def _chosen(request: HttpRequest, snapshots: list[DomainSnapshot]) -> DomainSnapshot | None:
    wanted = request.GET.get("snapshot", "")
    asked = (one for one in snapshots if str(one.pk) == wanted)
    current = (one for one in snapshots if one.is_current)
    return next(asked, None) or next(current, None) or next(reversed(snapshots), None)


def _line(
    row: TreeRow, by_name: dict[str, DomainSnapshot], notes: dict[str, SnapshotNote], chosen: DomainSnapshot | None
) -> Line:
    snapshot = by_name[row.node.name] if row.node else None
    return Line(
        snapshot=snapshot,
        lane=min(row.lane, _MOST_LANES),
        is_fork=row.is_fork,
        is_end=row.is_end,
        is_chosen=snapshot is not None and snapshot == chosen,
        rails=tuple(rail for rail in row.rails if rail < _MOST_LANES),
        note=notes.get(snapshot.name) if snapshot else None,
    )


def _why_no_take(machine: Domain, user: Requester) -> str:
    """Why none can be taken now, whatever the kind."""
    if not can(user, Privilege.DOMAIN_SNAPSHOT, machine):
        return why_not_permitted()
    reason = why_not(machine, "create_snapshot")
    plan = snapshot_plan(machine)
    if reason or plan.best:
        return reason
    reasons = dict.fromkeys(f"{MODES[mode]}: {why}" for mode, why in plan.why_not.items())
    return " ".join(reasons)


def _details(
    user: Requester, machine: Domain, snapshot: DomainSnapshot, tree: SnapshotTree, note: SnapshotNote | None
) -> dict[str, Any]:
    busy, is_spoilt = _why_busy(machine, user), note is not None and note.merge_began_at is not None
    alone = why_no_delete(machine, snapshot, tree, with_children=False)
    with_children = why_no_delete(machine, snapshot, tree, with_children=True)
    return {
        "note": note,
        "spoilt": spoilt_text() if is_spoilt else "",
        "has_picture": note is not None and bool(getattr(note, "picture_bytes", 0)),
        "below": [node.name for node in tree.below(snapshot.name)],
        "taken_while": _STATE_WORDS.get(snapshot.state, snapshot.state),
        "kept": _kept(snapshot),
        "files": _files(machine, snapshot),
        "revert_reason": busy
        or (_("It holds no whole moment any more.") if is_spoilt else why_no_revert(machine, snapshot, tree)),
        "delete_reason": busy or (alone and with_children and alone),
        "busy_reason": busy,
        # It names hosts' files.
        "has_xml": has_inventory(user),
    }


def _why_busy(machine: Domain, user: Requester) -> str:
    """Why nothing can be done with any of them now."""
    if not can(user, Privilege.DOMAIN_SNAPSHOT, machine):
        return why_not_permitted()
    return why_not(machine, "describe_snapshot")


def _kept(snapshot: DomainSnapshot) -> str:
    """ "vda, vdb and memory"."""
    disks = ", ".join(snapshot.held_targets) or _("no disk")
    if snapshot.has_memory:
        return _("%(disks)s and memory") % {"disks": disks}
    return pgettext("of a snapshot", "%(disks)s, without memory") % {"disks": disks}


def _files(machine: Domain, snapshot: DomainSnapshot) -> list[dict[str, Any]]:
    """What an external one has outside of the disks: what it is, its path, and the volume as far as it is known."""
    named = [(target, path) for target, path in snapshot.overlays.items()]
    if snapshot.memory_path:
        named.append((_("memory"), snapshot.memory_path))
    volumes = Volume.objects.present().filter(
        storage_pool__hypervisor=machine.hypervisor_id, path__in=[path for _what, path in named]
    )
    by_path = {volume.path: volume for volume in volumes} if named else {}
    return [{"what": what, "path": path, "volume": by_path.get(path)} for what, path in named]


urlpatterns = [
    path("vms/<uuid:uuid>/snapshots/", domain_snapshots, name="domain_snapshots"),
    path("snapshots/<row:pk>/picture/", snapshot_picture, name="snapshot_picture"),
]
