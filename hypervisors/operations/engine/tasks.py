"""Celery's entry point: one task for all queues, which runs what the operation's row says."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from celery import shared_task

from hypervisors.operations.engine.delivery import deliver
from hypervisors.operations.engine.queues import OPERATIONS_QUEUE, QUEUES
from hypervisors.operations.engine.registry import find_operation_type
from hypervisors.operations.engine.runner import run_operation

logger = logging.getLogger(__name__)


@shared_task(name="hypervisors.operate")
def operate(operation_id: str, kind: str) -> None:
    """Do the operation, of whatever kind; `kind` says which queue it comes back through.

    Every call to a hypervisor is bounded by itself. Should a thread hang all the same, its worker kills itself after
    the kind's time limit (nothing can end a thread), and the sweep has another one look at what came of its operations.
    """
    found = find_operation_type(kind)
    limit_seconds = (found or QUEUES[OPERATIONS_QUEUE]).time_limit_seconds
    with _hard_limit(limit_seconds):
        again_in_seconds = run_operation(UUID(operation_id))
    if again_in_seconds is not None:
        deliver(UUID(operation_id), kind, in_seconds=again_in_seconds)


@contextmanager
def _hard_limit(seconds: float) -> Iterator[None]:
    """Kill this process unless what is within ends in time."""
    timer = threading.Timer(seconds, _kill_worker)
    timer.name, timer.daemon = "hard-limit", True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _kill_worker() -> None:
    logger.critical("An operation hangs for ever: this worker ends, and others take over what it had.")
    logging.shutdown()
    os.kill(os.getpid(), signal.SIGKILL)
