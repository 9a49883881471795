"""Hear the kicks that web processes and workers publish; keep trying while Redis is away."""

import logging
import threading
from typing import Any

import redis
from django.conf import settings

from hypervisors.console.closing import ConsoleClosed
from hypervisors.console.sessions import SessionRegistry
from hypervisors.console.upkeep import close_denied
from hypervisors.models.consoles.kicks import KICK_CHANNEL, ConsoleKick, parse_kick

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 1


class KickListener(threading.Thread):
    """Runs until `stop` is set; running sessions do not notice when Redis goes."""

    def __init__(self, registry: SessionRegistry, stop: threading.Event) -> None:
        super().__init__(name="console-kicks", daemon=True)
        self._registry = registry
        self._stop_asked = stop
        self.listening = threading.Event()

    def run(self) -> None:
        while not self._stop_asked.is_set():
            try:
                self._listen()
            except (redis.RedisError, OSError) as error:
                self.listening.clear()
                logger.warning("Kicks cannot be heard, trying again: %s", error)
                self._stop_asked.wait(_RETRY_SECONDS)

    def _listen(self) -> None:
        # redis-py leaves pubsub() without types.
        client: Any = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, health_check_interval=10)
        with client, client.pubsub(ignore_subscribe_messages=True) as subscription:
            subscription.subscribe(KICK_CHANNEL)
            subscription.ping()
            # What was kicked while nobody listened is made good here.
            close_denied(self._registry.all())
            self.listening.set()
            while not self._stop_asked.is_set():
                message = subscription.get_message(timeout=1)
                if message is not None and message["type"] == "message":
                    self._obey(message["data"])

    def _obey(self, data: bytes) -> None:
        try:
            kick = parse_kick(data)
        except (ValueError, TypeError) as error:
            logger.warning("A kick could not be read: %s", error)
            return
        self.apply(kick)

    def apply(self, kick: ConsoleKick) -> None:
        """Close the sessions that it fits."""
        if kick.if_denied:
            close_denied([session for session in self._registry.all() if session.fits(kick)])
        else:
            self._registry.close_where(lambda session: session.fits(kick), ConsoleClosed(kick.code, kick.reason))
