"""The watcher: the writer with its sessions, the watchdog over them, the heartbeat, the refresh listener."""

import logging
import sys
import threading
import time

import redis
from django.conf import settings

from hypervisors.gateway.connections import start_event_loop
from hypervisors.inventory.refresh_requests import RefreshListener
from hypervisors.inventory.sessions.sessions import Session
from hypervisors.inventory.writer import Writer

logger = logging.getLogger(__name__)

_WATCHDOG_SECONDS = 1.0
_HEARTBEAT_SECONDS = 5.0
_HEARTBEAT_KEY = "vmportal:alive:watcher"
# A writer that has not come round for so long is not well, and the heartbeat stops. Waiting for a database that is
# away is well: the writer still comes round.
_WRITER_WELL_SECONDS = 30.0
# Threads that read hundreds of XML documents must not hold up the one that tells an event.
_SWITCH_INTERVAL_SECONDS = 0.001


class Watcher:
    """Runs until `stopping` is set."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._writer = Writer(stopping)

    def sessions(self) -> list[Session]:
        """Those that run now."""
        return self._writer.supervisor.sessions()

    def run(self) -> None:
        sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
        start_event_loop()
        self._writer.start()
        RefreshListener(
            on_domain=self._writer.supervisor.read_again,
            on_hypervisors=self._writer.look_at_rows,
            stopping=self._stopping,
        ).start()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        while not self._stopping.wait(_WATCHDOG_SECONDS):
            for session in self.sessions():
                session.check()
        self._writer.join(timeout_seconds=5)

    def _beat(self) -> None:
        while not self._stopping.is_set():
            try:
                with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
                    while not self._stopping.is_set():
                        if time.monotonic() - self._writer.turned_at < _WRITER_WELL_SECONDS:
                            client.set(_HEARTBEAT_KEY, f"{time.time():.3f}", ex=int(3 * _HEARTBEAT_SECONDS))
                        self._stopping.wait(_HEARTBEAT_SECONDS)
            except redis.RedisError as error:
                logger.warning("The watcher's heartbeat was not written: %s", error)
                self._stopping.wait(1)
