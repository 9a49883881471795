"""The XML of volumes: asked for by pages, read by a worker, kept in Redis for moments. No operation: nothing changes.

Rows hold none: it says times and sizes that change all the while, and a storage pool may have ten thousand volumes.
The worker's half is `volume_xml_tasks`.
"""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from celery import current_app
from django.core.cache import cache
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError
from redis import RedisError

from hypervisors.models import Volume
from hypervisors.operations.engine.queues import OPERATIONS_QUEUE
from hypervisors.operations.storage.storage_operations import why_no_storage_pool, why_volume_gone

logger = logging.getLogger(__name__)

READ_XML = "hypervisors.read_volume_xml"
# A younger one is not read again, however many look.
FRESH_SECONDS = 5.0
_KEPT_SECONDS = 60
# A task that no worker has taken up by then is not worth doing any more; another may be asked for then.
TASK_SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class VolumeXml:
    """What its host said, or the `problem` for people; `read_at`: seconds since 1970. Neither: it is being asked."""

    xml: str = ""
    problem: str = ""
    read_at: float = 0.0

    @property
    def read_time(self) -> datetime:
        return datetime.fromtimestamp(self.read_at, tz=UTC)

    @property
    def is_coming(self) -> bool:
        return not self.xml and not self.problem


def volume_xml(volume: Volume) -> VolumeXml:
    """The reading of moments ago; without one, a worker is asked for it. Never waits."""
    reason = why_volume_gone(volume) or why_no_storage_pool(volume.storage_pool)
    if reason:
        return VolumeXml(problem=reason)
    kept: VolumeXml | None = cache.get(_key(volume.pk))
    if kept is not None and time.time() - kept.read_at < FRESH_SECONDS:
        return kept
    return VolumeXml() if _request(volume) else VolumeXml(problem=_("It cannot be asked for: the task queue is away."))


def keep_xml(volume_id: int, reading: VolumeXml) -> None:
    cache.set(_key(volume_id), reading, _KEPT_SECONDS)
    cache.delete(_claim(volume_id))


def _request(volume: Volume) -> bool:
    try:
        if cache.add(_claim(volume.pk), 1, TASK_SECONDS):
            current_app.send_task(
                READ_XML, args=(volume.pk,), queue=OPERATIONS_QUEUE, expires=TASK_SECONDS, ignore_result=True
            )
    except (OperationalError, RedisError):
        logger.exception("The XML of a volume could not be asked for.")
        return False
    return True


def _key(volume_id: int) -> str:
    return f"volume-xml:{volume_id}"


def _claim(volume_id: int) -> str:
    return f"volume-xml-claim:{volume_id}"
