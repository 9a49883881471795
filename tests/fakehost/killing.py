"""A worker that dies at a given moment, and others that take up what it left."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hypervisors.models import Operation
from hypervisors.operations.engine import records
from hypervisors.operations.engine.claimed_runs import ClaimedRun
from hypervisors.operations.engine.runner import run_operation


class Killed(BaseException):
    """The worker is gone: nothing that it would have done next happens."""


def run_to_end(operation: Operation) -> Operation:
    """Deliver it whenever it wants to be, as the queue does."""
    while (again_in_seconds := run_operation(operation.pk)) is not None:
        time.sleep(min(0.3, again_in_seconds))
    operation.refresh_from_db()
    return operation


def make_stale(operation: Operation) -> None:
    """Its worker has not been heard of for long."""
    long_ago = timezone.now() - timedelta(seconds=records.STALE_SECONDS + 1)
    Operation.objects.filter(pk=operation.pk).update(heartbeat_at=long_ago)


def run_and_die(operation: Operation, number: int, *, after: bool) -> bool:
    """Have a worker die at its n-th writing down of the steps, before or after it. False when it ends before that."""
    with _dying(number, after=after):
        return _run_until_killed(operation)


def run_and_die_after_call(operation: Operation, number: int) -> bool:
    """Have a worker die as soon as its host has done what it was asked n-th. False when it ends before that."""
    original, left = ClaimedRun.ask, [number]

    def ask(*arguments: Any, **named: Any) -> Any:
        answer = original(*arguments, **named)
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return answer

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ClaimedRun, "ask", ask)
        return _run_until_killed(operation)


def _run_until_killed(operation: Operation) -> bool:
    try:
        while (again_in_seconds := run_operation(operation.pk)) is not None:
            time.sleep(min(0.3, again_in_seconds))
    except Killed:
        make_stale(operation)
        return True
    return False


@contextmanager
def _dying(number: int, *, after: bool) -> Iterator[None]:
    original: Callable[..., None] = records.note_steps
    left = [number]

    def note_steps(*arguments: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            if after:
                original(*arguments)
            raise Killed
        original(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(records, "note_steps", note_steps)
        yield
