"""Handing operations to the workers. A request never waits for the queue: what is not delivered, the sweep delivers."""

import logging
import os
import queue
import threading
from functools import lru_cache
from uuid import UUID

from celery import current_app
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from hypervisors.operations.engine.registry import find_operation_type

logger = logging.getLogger(__name__)


def deliver_soon(operation_id: UUID, kind: str) -> None:
    """Have it delivered by a thread of this process; returns at once, and never fails."""
    _delivery_queue(os.getpid()).put((operation_id, kind))


def deliver(operation_id: UUID, kind: str, *, in_seconds: float = 0) -> bool:
    """Put it into its queue; False when Redis is away, which takes seconds to find out."""
    found = find_operation_type(kind)
    if found is None:
        logger.error("Operation %s is of the kind “%s”, which this version does not have.", operation_id, kind)
        return True
    try:
        current_app.send_task(
            "hypervisors.operate",
            args=(str(operation_id), kind),
            queue=found.queue,
            countdown=in_seconds or None,
            ignore_result=True,
        )
    except (KombuError, RedisError, OSError) as error:
        logger.warning("Operation %s could not be queued (the sweep will try again): %s", operation_id, error)
        return False
    return True


@lru_cache(maxsize=1)
def _delivery_queue(pid: int) -> "queue.SimpleQueue[tuple[UUID, str]]":
    """The queue of this process's delivery thread: a forked worker needs a thread of its own."""
    orders: queue.SimpleQueue[tuple[UUID, str]] = queue.SimpleQueue()
    threading.Thread(target=_deliver_all, args=(orders,), name="delivery", daemon=True).start()
    return orders


def _deliver_all(orders: "queue.SimpleQueue[tuple[UUID, str]]") -> None:
    while True:
        operation_id, kind = orders.get()
        try:
            deliver(operation_id, kind)
        except Exception:
            logger.exception("Operation %s could not be queued; the sweep will try again.", operation_id)
