"""Celery's entry point: one task for all queues, which runs what the operation's row says."""

from uuid import UUID

from celery import shared_task

from hypervisors.operations.engine.delivery import deliver
from hypervisors.operations.engine.runner import run_operation


@shared_task(name="hypervisors.operate")
def operate(operation_id: str, kind: str) -> None:
    """Do the operation, of whatever kind; `kind` says which queue it comes back through.

    Every call to a hypervisor is bounded by itself. Where workers are processes, one that hangs all the same is killed
    after the kind's time limit, and the sweep has another one look at what came of it.
    """
    again_in_seconds = run_operation(UUID(operation_id))
    if again_in_seconds is not None:
        deliver(UUID(operation_id), kind, in_seconds=again_in_seconds)
