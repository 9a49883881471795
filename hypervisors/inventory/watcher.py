"""The watcher: the writer with its sessions and leases, the watchdog, the announcer, the refresh listener."""

import sys
import threading
import time

import redis

from hypervisors.gateway.connections import start_event_loop
from hypervisors.inventory.leases import LeaseKeeper
from hypervisors.inventory.refresh_requests import RefreshListener
from hypervisors.inventory.sessions.sessions import Session
from hypervisors.inventory.writer import Writer
from hypervisors.models.instances import Announcer, instance_id, read_instances, this_instance

_WATCHDOG_SECONDS = 1.0
# A writer that has not come round for so long is not well, and the watcher is not announced. Waiting for a database
# that is away is well: the writer still comes round.
_WRITER_WELL_SECONDS = 30.0
# Threads that read hundreds of XML documents must not hold up the one that tells an event.
_SWITCH_INTERVAL_SECONDS = 0.001


class Watcher:
    """Runs until `stopping` is set. Any number may run at once: each mirrors the pools whose leases it holds."""

    def __init__(self, stopping: threading.Event, *, name: str = "") -> None:
        """`name` is the instance's; two in one process must differ."""
        self._stopping = stopping
        self._name = name or instance_id()
        self._watcher_count = 1
        self.leases = LeaseKeeper(self._name, count_watchers=lambda: self._watcher_count)
        self._writer = Writer(stopping, self.leases)

    def sessions(self) -> list[Session]:
        """Those that run now."""
        return self._writer.supervisor.sessions()

    def run(self) -> None:
        sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
        start_event_loop()
        self._writer.start()
        RefreshListener(
            on_domain=self._writer.supervisor.read_again,
            on_storage_pool=self._writer.supervisor.refresh_storage_pool,
            on_look_again=self._writer.supervisor.look_again,
            on_hypervisors=self._writer.look_at_rows,
            stopping=self._stopping,
        ).start()
        announcer = Announcer(
            lambda: this_instance("watcher", id=self._name), is_well=self._is_well, after_each=self._count_watchers
        )
        announcer.start()
        while not self._stopping.wait(_WATCHDOG_SECONDS):
            for session in self.sessions():
                session.check()
        self._writer.join(timeout_seconds=5)
        announcer.stop()

    def _is_well(self) -> bool:
        return time.monotonic() - self._writer.turned_at < _WRITER_WELL_SECONDS

    def _count_watchers(self) -> None:
        """How many share the pools; this one alone, for all it knows, while Redis is away."""
        try:
            self._watcher_count = max(1, sum(instance.kind == "watcher" for instance in read_instances()))
        except redis.RedisError:
            self._watcher_count = 1
