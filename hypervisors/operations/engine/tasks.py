"""Celery's entry points: one task for each of the two queues, both of which run what the row says."""

from uuid import UUID

from celery import shared_task

from hypervisors.operations.engine.delivery import deliver
from hypervisors.operations.engine.kinds import MIGRATIONS_QUEUE, OPERATIONS_QUEUE
from hypervisors.operations.engine.runner import run_operation
from hypervisors.states import OperationKind

# Every call to a hypervisor is bounded by itself. Should a worker's process hang all the same, it is killed after so
# long, and the sweep has another one look at what came of it.
_HARD_LIMIT_SECONDS = 1200
# A move of a large guest takes hours.
_MIGRATION_HARD_LIMIT_SECONDS = 48 * 3600


@shared_task(name="hypervisors.operate", time_limit=_HARD_LIMIT_SECONDS, queue=OPERATIONS_QUEUE)
def operate(operation_id: str) -> None:
    """Do the operation, of whatever kind but a migration."""
    _run(operation_id, OperationKind.START)


@shared_task(name="hypervisors.migrate", time_limit=_MIGRATION_HARD_LIMIT_SECONDS, queue=MIGRATIONS_QUEUE)
def migrate(operation_id: str) -> None:
    """Do the migration."""
    _run(operation_id, OperationKind.MIGRATE)


def _run(operation_id: str, kind: OperationKind) -> None:
    again_in_seconds = run_operation(UUID(operation_id))
    if again_in_seconds is not None:
        deliver(UUID(operation_id), kind, in_seconds=again_in_seconds)
