"""Calls on volumes that take hours: followed until they return, on a connection that nothing else closes."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.utils.translation import gettext as _

from hypervisors.errors import HypervisorError
from hypervisors.gateway.connections import Connection, open_connection
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.operations.engine.bounded_calls import BackgroundCall, NotAnswered
from hypervisors.operations.engine.runs import Run

T = TypeVar("T")

_POLL_SECONDS = 0.5


def call_and_follow(
    run: Run, call: Callable[[Connection], T], *, progress: Callable[[], Mapping[str, Any] | None], name: str
) -> T:
    """What the call returns or raises. `progress` is asked and shown meanwhile.

    Raises: NotAnswered when another worker has the operation: whether it was done is for that one to find out.
    """
    connection = open_connection(endpoint_of(run.source))
    try:
        background = BackgroundCall(lambda: call(connection), name=name)
        while not background.wait(_POLL_SECONDS):
            if run.lost.is_set():
                raise NotAnswered(_("Another worker goes on with it."))
            _show(run, progress)
        return background.result()
    finally:
        connection.close(wait_seconds=0)


def _show(run: Run, progress: Callable[[], Mapping[str, Any] | None]) -> None:
    try:
        shown = progress()
    except HypervisorError:
        return
    if shown is not None:
        run.report(shown)
