"""Following the merge that deleting a snapshot is; cancelled, it ends as soon as QEMU can end it."""

import time

from django.utils.translation import gettext as _

from hypervisors.errors import HypervisorError
from hypervisors.gateway.connections import Connection, cached_connection
from hypervisors.gateway.domains.snapshots import break_off_merges, list_snapshots, merge_progress
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.libvirtxml.domain_snapshots import EXTERNAL, ParsedSnapshot
from hypervisors.operations.domains.disk_jobs import ProgressMeter
from hypervisors.operations.engine.bounded_calls import BackgroundCall, NotAnswered
from hypervisors.operations.engine.runs import Run

_WAIT_SECONDS = 0.5
_BREAK_OFF_SECONDS = 60.0

Progress = tuple[int, int] | None


def follow_merge(run: Run, call: BackgroundCall[None], snapshot: ParsedSnapshot) -> bool:
    """Until it returns; whether a merge was seen.

    How far it is is asked beside it: a question that is not answered must not end the call.
    Of a machine that is off libvirt merges by itself, which nothing can end: then it goes on to its end.
    Raises: NotAnswered when the row was lost.
    """
    endpoint, uuid, targets = endpoint_of(run.source), run.uuid, _targets(snapshot)
    meter, is_seen = ProgressMeter(), False

    def ask(connection: Connection) -> Progress:
        if run.cancel_requested.is_set():
            break_off_merges(connection, uuid, targets)
        return merge_progress(connection, uuid, targets)

    question: BackgroundCall[Progress] | None = None
    while not call.wait(_WAIT_SECONDS):
        if run.lost.is_set():
            raise NotAnswered(_("Somebody else goes on with it."))
        if question is None and targets:
            question = BackgroundCall(lambda: ask(cached_connection(endpoint)))
        elif question is not None and question.wait(0):
            is_seen |= _report(run, question, meter)
            question = None
    return is_seen


def break_off(run: Run) -> None:
    """End what a worker began that died. Raises: NotAnswered when it does not end."""
    found = run.ask(lambda connection: list_snapshots(connection, run.uuid))
    targets = tuple(dict.fromkeys(target for one in found for target in _targets(one.parsed)))
    until = time.monotonic() + _BREAK_OFF_SECONDS
    while targets and _breaks_off(run, targets):
        if time.monotonic() > until or run.lost.wait(_WAIT_SECONDS):
            raise NotAnswered(_("The merge does not end."))


def _breaks_off(run: Run, targets: tuple[str, ...]) -> bool:
    return run.ask(lambda connection: break_off_merges(connection, run.uuid, targets))


def _targets(snapshot: ParsedSnapshot) -> tuple[str, ...]:
    return tuple(disk.target for disk in snapshot.disks if disk.kind == EXTERNAL)


def _report(run: Run, question: BackgroundCall[Progress], meter: ProgressMeter) -> bool:
    """Whether a merge is under way."""
    try:
        found = question.result()
    except HypervisorError:
        return False
    if found is not None and found[1]:
        run.report(meter.values(*found))
    return found is not None
