"""The system's own proofs: whatever looks shared and was not looked at since it was started, or its host came back.

Runs beside the watcher that keeps house. It only files operations: what is proved is proved by a worker.
"""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from django.db.models import F, Q
from django.utils import timezone

from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import SharedStorage, StoragePool
from hypervisors.operations.engine.requests import request_by_system
from hypervisors.operations.storage.prove_sharing import ProveSharing, reachable_sharers
from hypervisors.states import HypervisorStatus
from hypervisors.upkeep import repeat

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 5.0
# What nobody touched is looked at again after so long: a file system may have been mounted over, or have gone.
_LOOK_AGAIN = timedelta(hours=12)
# One that could not be told is not asked every few seconds.
_AFTER_A_LOOK = timedelta(minutes=5)
_MOST_AT_ONCE = 10


def run_sharing_upkeep(stopping: threading.Event, *, may_look: Callable[[], bool] = lambda: True) -> None:
    """Until told to stop, while it may; survives the loss of the database."""
    repeat(
        request_due_proofs,
        stopping,
        pause_seconds=_PAUSE_SECONDS,
        may_run=may_look,
        what="the look for storage to prove",
    )


def request_due_proofs() -> int:
    """File the operations that are due; how many."""
    count = 0
    for shared in due_shared_storages()[:_MOST_AT_ONCE]:
        sharers = reachable_sharers(shared.pk)
        if len(sharers) < 2:
            continue
        try:
            request_by_system(kind=ProveSharing.kind, subject=sharers[0])
            count += 1
        except (Conflict, NotPossible) as error:
            logger.debug("Sharing of %s is not proved now: %s", shared, error)
    return count


def due_shared_storages() -> list[SharedStorage]:
    """Those of which an active storage pool on an online host has not been looked at since it is there."""
    now = timezone.now()
    never = Q(looked_at=None)
    # Its host was away meanwhile: what is mounted there may be another.
    since_back = Q(looked_at__lt=F("hypervisor__status_since"))
    long_ago = Q(looked_at__lt=now - _LOOK_AGAIN)
    due = StoragePool.objects.present().filter(
        never | since_back | long_ago,
        active=True,
        trouble="",
        hypervisor__status=HypervisorStatus.ONLINE,
        shared_storage__isnull=False,
    )
    lately = StoragePool.objects.filter(looked_at__gt=now - _AFTER_A_LOOK, unproved_reason__gt="", is_another=False)
    shared = SharedStorage.objects.filter(pk__in=due.values("shared_storage"))
    return list(shared.exclude(pk__in=lately.values("shared_storage")))
