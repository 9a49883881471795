"""The Celery queues that operations travel through: what each is for, and how much one hypervisor gets at once."""

from dataclasses import dataclass

OPERATIONS_QUEUE = "operations"
MIGRATIONS_QUEUE = "migrations"
STORAGE_QUEUE = "storage"


@dataclass(frozen=True, kw_only=True)
class QueueLimits:
    """`slots_per_hypervisor` run at the same time on one hypervisor, over all workers; the rest wait in the queue.

    A run that outlives `time_limit_seconds` is taken for hung: see engine/tasks.py.
    """

    slots_per_hypervisor: int
    time_limit_seconds: float


_HOUR = 3600.0

QUEUES: dict[str, QueueLimits] = {
    # Short work: starting, stopping, renaming. Every call of it is bounded by itself.
    OPERATIONS_QUEUE: QueueLimits(slots_per_hypervisor=2, time_limit_seconds=1200.0),
    # A move of a large guest takes hours.
    MIGRATIONS_QUEUE: QueueLimits(slots_per_hypervisor=2, time_limit_seconds=48 * _HOUR),
    # Copies, conversions and wipes of images.
    STORAGE_QUEUE: QueueLimits(slots_per_hypervisor=2, time_limit_seconds=48 * _HOUR),
}
