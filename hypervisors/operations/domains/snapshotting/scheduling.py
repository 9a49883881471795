"""Snapshots that are taken by a schedule, and removed again when there are too many. Runs beside the watcher that keeps
house; it only files operations, and what was missed while vmportal was down is taken once.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisors.broadcast import Change, publish
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import DomainSnapshot, SnapshotNote, SnapshotSchedule
from hypervisors.operations.domains.snapshotting.reasons import tree_of, why_no_delete
from hypervisors.operations.domains.snapshotting.schedule_owners import look_at_owners, owner_may
from hypervisors.operations.engine.requests import request_by_system
from hypervisors.planning.snapshot_trees import SnapshotNode, to_remove
from hypervisors.states import OperationState
from hypervisors.upkeep import repeat

logger = logging.getLogger(__name__)

_PAUSE_SECONDS, _OWNERS_PAUSE_SECONDS = 5.0, 60.0
# Of a machine that is busy with something else.
_TRY_AGAIN = timedelta(minutes=5)
_MOST_AT_ONCE = 20
# A snapshot that was just taken may not be among the rows yet.
_NOT_READ_YET = timedelta(minutes=10)


def run_snapshot_schedules(stopping: threading.Event, *, may_run: Callable[[], bool] = lambda: True) -> None:
    """Until told to stop, while it may; survives the loss of the database."""
    repeat(
        look_after_schedules,
        stopping,
        pause_seconds=_PAUSE_SECONDS,
        may_run=may_run,
        what="the look at snapshot schedules",
    )


def run_owner_looks(stopping: threading.Event, *, may_run: Callable[[], bool] = lambda: True) -> None:
    """The same for whether they may go on."""
    repeat(
        look_at_owners,
        stopping,
        pause_seconds=_OWNERS_PAUSE_SECONDS,
        may_run=may_run,
        what="the look at the owners of snapshot schedules",
    )


def look_after_schedules(now: datetime | None = None) -> None:
    """Write down what came of what was asked for, remove what is too much, ask for what is due."""
    _settle()
    _tidy()
    _take_due(now or timezone.now())


def _settle() -> None:
    waiting = SnapshotSchedule.objects.exclude(operation=None).select_related("operation", "domain")
    for schedule in waiting.exclude(operation__state__in=(OperationState.QUEUED, OperationState.RUNNING)):
        operation = schedule.operation
        is_good = operation is not None and operation.state == OperationState.SUCCEEDED
        _update(
            schedule,
            operation=None,
            problem="" if is_good or operation is None else operation.outcome,
            tidies=is_good and schedule.enabled,
        )


def _take_due(now: datetime) -> None:
    due = SnapshotSchedule.objects.filter(enabled=True, next_run_at__lte=now, domain__vanished_at=None)
    for schedule in due.select_related("domain__hypervisor", "created_by").order_by("next_run_at")[:_MOST_AT_ONCE]:
        regular = schedule.next_after(now)
        claimed = SnapshotSchedule.objects.filter(pk=schedule.pk, next_run_at=schedule.next_run_at)
        # Another watcher may keep house by now.
        if claimed.update(next_run_at=regular) and owner_may(schedule):
            _take(schedule, now, regular)


def _take(schedule: SnapshotSchedule, now: datetime, regular: datetime) -> None:
    given = {
        "name": f"{schedule.prefix}-{timezone.localtime(now, timezone.get_default_timezone()):%Y%m%d-%H%M}",
        "mode": schedule.mode,
        "quiesce": schedule.quiesce,
        "description": _("Taken by the schedule “%(prefix)s”.") % {"prefix": schedule.prefix},
        "schedule_id": schedule.pk,
    }
    try:
        operation = request_by_system(kind="create_snapshot", subject=schedule.domain, parameters=given)
    except Conflict as error:
        _update(schedule, next_run_at=min(now + _TRY_AGAIN, regular), problem=_("Not yet: %(why)s") % {"why": error})
    except NotPossible as error:
        _update(schedule, problem=str(error))
    else:
        _update(schedule, operation=operation, last_run_at=now)


def _tidy() -> None:
    """One at a time: the machine is held by each."""
    tidying = SnapshotSchedule.objects.filter(
        tidies=True, operation=None, enabled=True, domain__vanished_at=None, without_right_since=None
    )
    for schedule in tidying.select_related("domain__hypervisor", "created_by").order_by("pk")[:_MOST_AT_ONCE]:
        if not owner_may(schedule):
            continue
        excess = to_remove(own_snapshots(schedule), keep=schedule.keep)
        if not excess:
            _update(schedule, tidies=False)
        else:
            _remove_one(schedule, excess)


def _remove_one(schedule: SnapshotSchedule, excess: list[str]) -> None:
    """The oldest that others do not need."""
    rows = {one.name: one for one in schedule.domain.snapshots.all()}
    tree = tree_of(rows.values())
    reasons = []
    for name in excess:
        if name not in rows:
            continue
        reason = why_no_delete(schedule.domain, rows[name], tree, with_children=False)
        if not reason:
            _request_removal(schedule, rows[name])
            return
        reasons.append(_("“%(name)s” is too old, and stays. %(reason)s") % {"name": name, "reason": reason})
    _update(schedule, tidies=False, problem=next(iter(reasons), ""))


def _request_removal(schedule: SnapshotSchedule, snapshot: DomainSnapshot) -> None:
    try:
        operation = request_by_system(
            kind="delete_snapshot", subject=schedule.domain, parameters={"name": snapshot.name}
        )
    except Conflict:
        # Somebody is at it; looked at again soon.
        return
    except NotPossible as error:
        _update(schedule, tidies=False, problem=str(error))
    else:
        _update(schedule, operation=operation)


def own_snapshots(schedule: SnapshotSchedule) -> list[SnapshotNode]:
    """Those that it took itself and that are still there: nothing else is ever removed by it."""
    rows = dict(schedule.domain.snapshots.values_list("name", "created_at"))
    lately = timezone.now() - _NOT_READ_YET
    own = SnapshotNote.objects.filter(schedule=schedule, domain=schedule.domain).defer("picture")
    return [
        SnapshotNode(name=note.name, created_at=note.created_at)
        for note in own
        if rows.get(note.name) == note.created_at or (note.name not in rows and note.noted_at > lately)
    ]


def _update(schedule: SnapshotSchedule, **values: object) -> None:
    """And tell open pages."""
    SnapshotSchedule.objects.filter(pk=schedule.pk).update(**values)
    change = Change(what="domain", id=str(schedule.domain.uuid), fields={"snapshot_schedules": True})
    transaction.on_commit(lambda: publish([change]))
