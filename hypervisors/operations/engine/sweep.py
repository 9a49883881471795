"""The sweep: operations that nobody works on are handed to a worker again. Runs beside the watcher that keeps house.

A queued row that no worker took up was lost with Redis; a running row without a heartbeat was lost with its worker.
Delivering one twice does no harm, so the sweep may err on the side of delivering.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import redis
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from hypervisors.models import Operation
from hypervisors.models.operations import OperationQuerySet
from hypervisors.operations.engine.delivery import deliver
from hypervisors.operations.engine.parents import BULK, end_parents_left_open
from hypervisors.operations.engine.queues import QUEUES
from hypervisors.operations.engine.records import STALE_SECONDS
from hypervisors.operations.engine.registry import find_operation_type
from hypervisors.states import OperationState
from hypervisors.upkeep import repeat

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 3.0
QUEUED_SECONDS = 8.0
# Between two deliveries of one operation by the sweep.
_DELIVER_AGAIN_SECONDS = 8.0
# Most per sweep, and most messages in a queue that the sweep adds to: a worker that is away must not drown later.
_MOST_AT_ONCE, _MOST_IN_QUEUE = 200, 200


def run_sweeper(stopping: threading.Event, *, may_sweep: Callable[[], bool] = lambda: True) -> None:
    """Sweep until told to stop, while it may; survives the loss of the database and of Redis."""
    sweeper = Sweeper()
    repeat(sweeper.sweep, stopping, pause_seconds=SWEEP_SECONDS, may_run=may_sweep, what="the sweep")


class Sweeper:
    """Remembers what it delivered, so as not to deliver it at every sweep."""

    def __init__(self, deliver_operation: Callable[[UUID, str], bool] = deliver) -> None:
        self._deliver = deliver_operation
        self._delivered_at: dict[UUID, float] = {}

    def sweep(self) -> int:
        """Deliver what is left lying; how many."""
        end_parents_left_open()
        due = list(self._due())
        open_queues = _open_queues() if due else set()
        count = 0
        for operation_id, kind, state in due:
            found = find_operation_type(kind)
            if found is None or found.queue not in open_queues:
                continue
            if not self._deliver(operation_id, kind):
                break
            logger.info("Delivered operation %s (%s, %s) again.", operation_id, kind, state)
            self._delivered_at[operation_id] = time.monotonic()
            count += 1
        return count

    def _due(self) -> Iterator[tuple[UUID, str, str]]:
        lately = time.monotonic() - _DELIVER_AGAIN_SECONDS
        self._delivered_at = {pk: at for pk, at in self._delivered_at.items() if at > lately}
        rows = _left_lying().exclude(pk__in=list(self._delivered_at)).order_by("requested_at")
        yield from rows.values_list("pk", "kind", "state")[:_MOST_AT_ONCE]


def _left_lying() -> OperationQuerySet:
    now = timezone.now()
    never_taken_up = Q(
        state=OperationState.QUEUED, heartbeat_at=None, requested_at__lt=now - timedelta(seconds=QUEUED_SECONDS)
    )
    # A queued row has a heartbeat when its hypervisor was busy: it comes again by itself, unless that message was lost.
    silent = Q(heartbeat_at__lt=now - timedelta(seconds=STALE_SECONDS)) | Q(
        state=OperationState.RUNNING, heartbeat_at=None
    )
    return Operation.objects.unfinished().exclude(kind=BULK).filter(never_taken_up | silent)


def _open_queues() -> set[str]:
    """Those that take more; none while Redis is away, when delivering would fail too."""
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
            return {queue for queue in QUEUES if int(client.llen(queue)) < _MOST_IN_QUEUE}
    except redis.RedisError:
        return set()
