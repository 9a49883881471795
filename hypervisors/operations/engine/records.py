"""The operation's row as its runner changes it: claimed, beaten, reported on, parked, finished.

Every change is a compare-and-set on the state and on `attempt`: a runner that lost the row (to a cancellation, to
what superseded it, to a runner that took it over) changes nothing any more. A database that is away for a while ends
nothing: progress is told later, and what must be written is tried again; see RecordsAway.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisors import broadcast
from hypervisors.access import audit
from hypervisors.models import Hypervisor, Operation
from hypervisors.models.operations import OperationQuerySet
from hypervisors.operations.engine.locks import release_locks
from hypervisors.operations.engine.messages import operation_change
from hypervisors.operations.engine.parents import child_ended
from hypervisors.operations.engine.registry import find_operation_type, kinds_of_queue, operation_type
from hypervisors.operations.engine.runs import Later
from hypervisors.states import OperationState

logger = logging.getLogger(__name__)

T = TypeVar("T")

HEARTBEAT_SECONDS = 2.0
# A runner that has not beaten for so long is taken for dead.
STALE_SECONDS = 12.0
# Two deliveries of a parked operation within this time are one too many.
_LEAST_PARKED_SECONDS = 0.25
_LOOK_SECONDS = 0.3
# How long a runner goes on trying to write what must be written, and the pause between two tries.
_INSIST_SECONDS, _INSIST_PAUSE_SECONDS = 120.0, 0.5
# An operation whose hypervisor is busy comes again after so long; well below STALE_SECONDS.
_PUT_OFF_SECONDS, _MOST_PUT_OFF_SECONDS = 0.25, 5.0

# Keys of `progress` that are the runner's own.
PARKED = "parked"
# What it was parked for has happened: the next delivery is not one too many, however soon it comes.
DUE = "due"
# What it waits for, in words for people.
NOTE = "note"
ADOPTIONS = "adoptions"
# What a kind must still know when it is over, whoever ends it.
CARRIED = "carried"
# They outlive every report of how far it is.
KEPT = frozenset({ADOPTIONS, CARRIED})


class RecordsAway(Exception):
    """The database stayed away: the runner leaves the row as it is, and the sweep has somebody go on with it later."""


class RowLost(Exception):
    """The row is not this runner's any more: it was ended, or another took it over."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A row that is ours to work on. `adopted`: another runner began and died; `resumed`: it was parked."""

    operation: Operation
    adopted: bool = False
    resumed: bool = False


def find_operation(operation_id: UUID) -> Operation | None:
    """The row with what the runner and its messages need."""
    related = ("domain", "hypervisor", "target_hypervisor", "requested_by")
    return Operation.objects.select_related(*related, "domain__hypervisor").filter(pk=operation_id).first()


def claim(operation_id: UUID) -> Claim | Later | None:
    """Take it up; None when there is nothing (more) to do for this delivery."""
    operation = find_operation(operation_id)
    if operation is None or operation.is_finished:
        return None
    if operation.state == OperationState.QUEUED:
        return _claim_queued(operation)
    return _claim_running(operation)


def _claim_queued(operation: Operation) -> Claim | Later | None:
    now = timezone.now()
    # It may have moved since it was asked for.
    source = operation.domain.hypervisor if operation.domain is not None else operation.hypervisor
    if source is not None and _are_slots_busy(operation, source):
        return _put_off(operation, source)
    with transaction.atomic():
        # Once more, now that nobody else can claim (SQLite) or hardly anybody will (PostgreSQL).
        if source is not None and _are_slots_busy(operation, source):
            return Later(seconds=_PUT_OFF_SECONDS)
        mine = _compare_and_set(
            operation, state=OperationState.RUNNING, started_at=now, heartbeat_at=now, hypervisor=source, progress={}
        )
    if not mine:
        return None
    _publish(operation)
    return Claim(operation=operation)


def _claim_running(operation: Operation) -> Claim | None:
    silent_for = timezone.now() - (operation.heartbeat_at or operation.requested_at)
    parked = bool(operation.progress.get(PARKED))
    rested = silent_for > timedelta(seconds=_LEAST_PARKED_SECONDS) or bool(operation.progress.get(DUE))
    stale = silent_for > timedelta(seconds=STALE_SECONDS)
    if not stale and not (parked and rested):
        return None
    progress = {name: value for name, value in operation.progress.items() if name not in (PARKED, DUE)}
    if not _compare_and_set(operation, heartbeat_at=timezone.now(), progress=progress):
        return None
    return Claim(operation=operation, adopted=not parked, resumed=parked)


def _compare_and_set(operation: Operation, **values: Any) -> bool:
    """Take the row over, if it is as we read it."""
    seen = {"state": operation.state, "attempt": operation.attempt, "heartbeat_at": operation.heartbeat_at}
    values["attempt"] = operation.attempt + 1
    if not Operation.objects.filter(pk=operation.pk, **seen).update(**values):
        return False
    for name, value in values.items():
        setattr(operation, name, value)
    return True


def _are_slots_busy(operation: Operation, hypervisor: Hypervisor) -> bool:
    alive = timezone.now() - timedelta(seconds=STALE_SECONDS)
    running = _rivals(operation, hypervisor, OperationState.RUNNING).filter(heartbeat_at__gt=alive)
    progresses = running.values_list("progress", flat=True)
    return sum(not progress.get(PARKED) for progress in progresses) >= slots_of(operation)


def slots_of(operation: Operation) -> int:
    """How many of its queue one hypervisor may hold at once, for it to be begun."""
    return operation_type(operation.kind).slots_per_hypervisor


def _rivals(operation: Operation, hypervisor: Hypervisor, state: OperationState) -> OperationQuerySet:
    """Those of the same queue on the same hypervisor."""
    kinds = kinds_of_queue(operation_type(operation.kind).queue)
    return Operation.objects.filter(state=state, hypervisor=hypervisor, kind__in=kinds).exclude(pk=operation.pk)


def _put_off(operation: Operation, hypervisor: Hypervisor) -> Later | None:
    """Have it come again, the later the more are ahead of it; None when another delivery of it does that already."""
    ahead = _rivals(operation, hypervisor, OperationState.QUEUED).filter(requested_at__lt=operation.requested_at)
    seconds = min(_MOST_PUT_OFF_SECONDS, _PUT_OFF_SECONDS * (1 + ahead.count() / slots_of(operation)))
    now, seen = timezone.now(), operation.heartbeat_at
    if seen is not None and now - seen < timedelta(seconds=0.8 * seconds):
        return None
    note = {NOTE: _("Waits until other operations on %(host)s are done.") % {"host": hypervisor.name}}
    is_news = operation.progress != note
    waiting = Operation.objects.filter(pk=operation.pk, state=OperationState.QUEUED, heartbeat_at=seen)
    if not waiting.update(progress=note, heartbeat_at=now):
        return None
    operation.progress = note
    if is_news:
        _publish(operation)
    return Later(seconds=seconds)


def report(operation: Operation, progress: Mapping[str, Any]) -> None:
    """Show how far it is. Told to nobody while the database is away: the next report is."""
    operation.progress = dict(progress)
    try:
        mine = _mine(operation).update(progress=operation.progress, heartbeat_at=timezone.now())
    except DatabaseError as error:
        logger.warning("The progress of operation %s could not be written: %s", operation.pk, error)
        connection.close()
        return
    if mine:
        _publish(operation)


def report_now(operation: Operation, progress: Mapping[str, Any]) -> None:
    """The same for what must be known before anything else happens. Raises: RecordsAway, RowLost."""
    operation.progress = dict(progress)
    values = {"progress": operation.progress, "heartbeat_at": timezone.now()}
    if not _insist(lambda: _mine(operation).update(**values), what=f"The progress of operation {operation.pk}"):
        raise RowLost
    _publish(operation)


def report_parked(operation_id: UUID, progress: Mapping[str, Any]) -> None:
    """How far something is that goes on outside of any runner, while its operation is parked."""
    operation = find_operation(operation_id)
    if operation is None or not operation.progress.get(PARKED):
        return
    kept = {name: value for name, value in operation.progress.items() if name in KEPT}
    operation.progress = dict(progress) | kept | {PARKED: True}
    # A runner that claims it at this moment raises `attempt`, and tells more.
    if _mine(operation).update(progress=operation.progress):
        _publish(operation)


def note_due(operation_id: UUID) -> None:
    """What it was parked for has happened; to be called before it is delivered."""
    operation = find_operation(operation_id)
    if operation is not None and operation.progress.get(PARKED):
        _mine(operation).update(progress=operation.progress | {DUE: True})


def note_steps(operation: Operation, steps: list[dict[str, Any]], ending: dict[str, str] | None) -> None:
    """Write the steps before anything else happens. Raises: RecordsAway, RowLost."""
    operation.steps, operation.ending = steps, ending
    values = {"steps": steps, "ending": ending, "heartbeat_at": timezone.now()}
    if not _insist(lambda: _mine(operation).update(**values), what=f"The steps of operation {operation.pk}"):
        raise RowLost
    _publish(operation)


def park(operation: Operation, later: Later) -> bool:
    """Leave it running without a runner until it is delivered again; False when it is not ours any more."""
    told = dict(operation.progress if later.progress is None else later.progress)
    shown_before, operation.progress = operation.progress, told | {PARKED: True}
    values = {"progress": operation.progress, "heartbeat_at": timezone.now()}
    mine = _insist(lambda: _mine(operation).update(**values), what=f"The pause of operation {operation.pk}")
    if mine and told != shown_before:
        _publish(operation)
    return bool(mine)


def finish(operation: Operation, state: OperationState, outcome: str, progress: Mapping[str, Any]) -> bool:
    """Say how it ended and let go of its locks; False when it was not ours any more. Raises: RecordsAway."""
    kept = without_secrets(operation)
    values = {"state": state, "outcome": outcome, "ended_at": timezone.now(), "progress": dict(progress), **kept}

    def end() -> bool:
        with transaction.atomic():
            if not _mine(operation).update(**values):
                return False
            release_locks(operation)
            if operation.parent_id is not None:
                child_ended(operation.parent_id)
            _audit_failure(operation, state, outcome)
        return True

    # What was done is done; somebody else would have to find out again what we know.
    if not _insist(end, what=f"The end of operation {operation.pk}"):
        return False
    for name, value in values.items():
        setattr(operation, name, value)
    _publish(operation)
    return True


def without_secrets(operation: Operation) -> dict[str, Any]:
    """The fields to change, where its parameters hold secrets, when it ends."""
    found = find_operation_type(operation.kind)
    kept = operation.parameters if found is None else found.kept(operation.parameters)
    return {} if kept == operation.parameters else {"parameters": kept}


def _audit_failure(operation: Operation, state: OperationState, outcome: str) -> None:
    """That it was asked for stands there already, and is taken for done."""
    if state in (OperationState.FAILED, OperationState.INTERRUPTED):
        audit.record(
            operation.requested_by,
            operation.kind,
            subject_type=operation.subject_type,
            subject_key=operation.subject_key,
            subject_name=operation.subject_name,
            outcome="failed",
            detail=f"operation {operation.pk}: {outcome}",
        )


def _insist(write: Callable[[], T], *, what: str) -> T:
    """Try until it is written. Raises: RecordsAway when the database stays away."""
    deadline = time.monotonic() + _INSIST_SECONDS
    while True:
        try:
            return write()
        except DatabaseError as error:
            connection.close()
            if time.monotonic() > deadline:
                raise RecordsAway(str(error)) from error
            logger.warning("%s could not be written; trying again: %s", what, error)
            time.sleep(_INSIST_PAUSE_SECONDS)


def _mine(operation: Operation) -> Any:
    return Operation.objects.filter(pk=operation.pk, state=OperationState.RUNNING, attempt=operation.attempt)


def _publish(operation: Operation) -> None:
    broadcast.publish([operation_change(operation)])


class Heartbeat:
    """Beats while the runner works, in a thread; notices a wish to cancel, and that the row was lost."""

    def __init__(self, operation: Operation) -> None:
        self.cancel_requested = threading.Event()
        self.lost = threading.Event()
        if operation.cancel_requested_at is not None:
            self.cancel_requested.set()
        self._operation_id, self._attempt = operation.pk, operation.attempt
        self._stopping = threading.Event()
        self._beaten_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        self._thread.join(5)

    def _run(self) -> None:
        try:
            while not self._stopping.wait(_LOOK_SECONDS):
                self._look_and_beat()
        finally:
            connection.close()

    def _look_and_beat(self) -> None:
        try:
            mine = Operation.objects.filter(pk=self._operation_id, state=OperationState.RUNNING, attempt=self._attempt)
            row = mine.values_list("cancel_requested_at").first()
            if row is None:
                self.lost.set()
                self._stopping.set()
                return
            if row[0] is not None:
                self.cancel_requested.set()
            if time.monotonic() - self._beaten_at >= HEARTBEAT_SECONDS:
                mine.update(heartbeat_at=timezone.now())
                self._beaten_at = time.monotonic()
        except DatabaseError as error:
            logger.warning("A heartbeat was missed: %s", error)
            connection.close()
