"""Signs of life of the Celery workers: `vmportal:alive:worker` and `vmportal:alive:migrations` in Redis.

Written by a timer of the worker's own event loop: a worker that lost Redis, hangs or died shows none.
https://docs.celeryq.dev/en/stable/userguide/extending.html
"""

import logging
import time
from typing import Any

import redis
from celery import bootsteps
from django.conf import settings

from hypervisors.operations.engine.queues import MIGRATIONS_QUEUE, OPERATIONS_QUEUE, STORAGE_QUEUE

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
_NAMES = {OPERATIONS_QUEUE: "worker", MIGRATIONS_QUEUE: "migrations", STORAGE_QUEUE: "storage"}


class SignsOfLife(bootsteps.StartStopStep):
    """A step of the consumer: it starts anew with every connection to Redis, and stops with it."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        self._timer: Any = None
        super().__init__(consumer, **options)

    def start(self, consumer: Any) -> None:
        names = [_NAMES[queue] for queue in consumer.app.amqp.queues.consume_from if queue in _NAMES]
        _beat(names)
        self._timer = consumer.timer.call_repeatedly(HEARTBEAT_SECONDS, _beat, (names,))

    def stop(self, consumer: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    shutdown = stop


def _beat(names: list[str]) -> None:
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
            for name in names:
                client.set(f"vmportal:alive:{name}", time.time(), ex=round(3 * HEARTBEAT_SECONDS))
    except redis.RedisError as error:
        logger.warning("No sign of life could be given: %s", error)
