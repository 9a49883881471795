"""Has each Celery worker announce itself (models.instances), with the queues that it serves.

A timer of the worker's own event loop does it: a worker that lost Redis, hangs or died is not announced.
https://docs.celeryq.dev/en/stable/userguide/extending.html
"""

import logging
from typing import Any

import redis
from celery import bootsteps

logger = logging.getLogger(__name__)


class SignsOfLife(bootsteps.StartStopStep):
    """A step of the consumer: it starts anew with every connection to Redis, and stops with it."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        self._timer: Any = None
        self._queues: list[str] = []
        super().__init__(consumer, **options)

    def start(self, consumer: Any) -> None:
        # The Celery application is made before Django's models can be.
        from hypervisors.models.instances import HEARTBEAT_SECONDS

        self._queues = sorted(consumer.app.amqp.queues.consume_from)
        self._beat()
        self._timer = consumer.timer.call_repeatedly(HEARTBEAT_SECONDS, self._beat)

    def stop(self, consumer: Any) -> None:
        from hypervisors.models.instances import this_instance, withdraw

        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            withdraw(this_instance("worker", holds=self._queues))

    shutdown = stop

    def _beat(self) -> None:
        from hypervisors.models.instances import announce, this_instance

        try:
            announce(this_instance("worker", holds=self._queues))
        except redis.RedisError as error:
            logger.warning("The worker could not be announced: %s", error)
