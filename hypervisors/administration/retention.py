"""What is kept and for how long: finished operations, tombstones, the audit, sessions. Runs beside the watcher that
keeps house, an hour between two rounds; the times stand in settings.RETENTION_DAYS alone.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from hypervisors.models import (
    AuditRecord,
    Domain,
    LoginSession,
    Network,
    Operation,
    SharedStorage,
    StoragePool,
    Volume,
    XmlVersion,
)
from hypervisors.models.xml_versions import SUBJECTS
from hypervisors.states import UNFINISHED_OPERATION_STATES
from hypervisors.upkeep import repeat

logger = logging.getLogger(__name__)

ROUND_SECONDS = 3600.0
# Of each machine, storage pool and network so many definitions are kept, a year at most; the last one always is.
_XML_VERSIONS = 100
_XML_VERSION_DAYS = 365
# Found by one look: more than anybody writes in a round, and fewer than SQLite takes variables.
_MOST_OUTDATED = 4000
# Rows to one transaction: nobody else waits for long.
_BATCH = 500
_PAUSE_SECONDS = 0.2


def run_retention(stopping: threading.Event, *, may_clean: Callable[[], bool] = lambda: True) -> None:
    """Remove what is past its time until told to stop, while it may; survives the loss of the database."""
    repeat(
        lambda: _clean(stopping),
        stopping,
        pause_seconds=ROUND_SECONDS,
        may_run=may_clean,
        what="the removal of what is past its time",
        # Not in the first minutes after a start, when there is more urgent work.
        first_pause_seconds=300.0,
    )


def _clean(stopping: threading.Event) -> None:
    removed = remove_expired(is_stopping=stopping.is_set)
    if removed:
        logger.info("Removed what was past its time: %s.", removed)


def remove_expired(now: datetime | None = None, *, is_stopping: Callable[[], bool] = lambda: False) -> dict[str, int]:
    """Remove what is past its time; how many rows of what. What is unfinished, present or recent is never touched."""
    now = now or timezone.now()
    counts = {}
    for what, rows in _expired(now).items():
        count = _remove(rows, is_stopping)
        if count:
            counts[what] = count
    return counts


def _expired(now: datetime) -> "dict[str, QuerySet[Any]]":
    days: dict[str, int] = settings.RETENTION_DAYS
    gone = now - timedelta(days=days["tombstones"])
    ended = now - timedelta(days=days["operations"])
    return {
        # A parent ends after its children, and takes them with it.
        "operations": Operation.objects.exclude(state__in=UNFINISHED_OPERATION_STATES).filter(ended_at__lt=ended),
        "virtual machines": Domain.objects.filter(vanished_at__lt=gone).exclude(
            operations__state__in=UNFINISHED_OPERATION_STATES
        ),
        "volumes": Volume.objects.filter(vanished_at__lt=gone),
        "storage pools": StoragePool.objects.filter(vanished_at__lt=gone),
        "shared storages": SharedStorage.objects.filter(storage_pools=None, first_seen_at__lt=gone),
        "networks": Network.objects.filter(vanished_at__lt=gone),
        "audit records": AuditRecord.objects.filter(at__lt=now - timedelta(days=days["audit"])),
        "versions of definitions": XmlVersion.objects.filter(pk__in=_outdated_versions(now)),
        "sessions": LoginSession.objects.filter(expire_date__lt=now),
    }


def _outdated_versions(now: datetime) -> list[int]:
    found: set[int] = set()
    for column in (f"{name}_id" for name in SUBJECTS):
        old = XmlVersion.objects.filter(seen_at__lt=now - timedelta(days=_XML_VERSION_DAYS))
        for rows in (XmlVersion.objects.beyond(_XML_VERSIONS, column), old.beyond(1, column)):
            found.update(rows.order_by().values_list("pk", flat=True)[:_MOST_OUTDATED])
    return sorted(found)


def _remove(rows: "QuerySet[Any]", is_stopping: Callable[[], bool]) -> int:
    pause = threading.Event()
    total = 0
    while not is_stopping():
        keys = list(rows.order_by("pk").values_list("pk", flat=True)[:_BATCH])
        if not keys:
            break
        with transaction.atomic():
            rows.model._default_manager.filter(pk__in=keys).delete()
        total += len(keys)
        # Others write too.
        pause.wait(_PAUSE_SECONDS)
    return total
