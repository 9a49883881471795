"""Short messages to the watcher from other processes, over Redis: "this domain changed", "look at the rows".

A lost request costs seconds, never truth: the watcher looks at the rows every second, at every domain within a minute.
"""

import json
import logging
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import redis
from django.conf import settings

from hypervisors.models import StoragePool

logger = logging.getLogger(__name__)

_READ_AGAIN = "vmportal:read-again"
_REFRESH_STORAGE_POOL = "vmportal:refresh-storage-pool"
_LOOK_AGAIN = "vmportal:look-again"
_HYPERVISORS_CHANGED = "vmportal:hypervisors-changed"
_PAUSE_SECONDS = 1.0


def request_domain_refresh(hypervisor_id: int, uuid: UUID) -> None:
    """Have the domain read again at once, for what changes without an event (autostart, managed save)."""
    _publish(_READ_AGAIN, json.dumps([hypervisor_id, str(uuid)]))


def request_storage_pool_refresh(hypervisor_id: int, pool_uuid: UUID) -> None:
    """Have libvirt look at the storage pool's files anew, and then its rows: volumes change without an event.

    After an operation on a volume ask it of every host that sees the storage: `request_shared_storage_refresh`.
    """
    _publish(_REFRESH_STORAGE_POOL, json.dumps([hypervisor_id, str(pool_uuid)]))


def request_shared_storage_refresh(storage_pool: StoragePool) -> None:
    """The same for it and for the storage pools of other hosts that look like the same storage."""
    same = StoragePool.objects.present().same_storage_as(storage_pool)
    for hypervisor_id, pool_uuid in same.values_list("hypervisor_id", "uuid"):
        request_storage_pool_refresh(hypervisor_id, pool_uuid)


def request_network_refresh(hypervisor_id: int) -> None:
    """Have the networks read again at once: autostart and what is changed live come without an event."""
    _publish(_LOOK_AGAIN, json.dumps([hypervisor_id, "networks"]))


def request_listing_refresh(hypervisor_id: int, what: str) -> None:
    """Have one of models.host_listings.LISTED read again at once: not each change of these comes with an event."""
    _publish(_LOOK_AGAIN, json.dumps([hypervisor_id, what]))


def request_hypervisors_refresh() -> None:
    """Have the hypervisors' rows looked at at once."""
    _publish(_HYPERVISORS_CHANGED, "")


def _publish(channel: str, text: str) -> None:
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
            client.publish(channel, text)
    except redis.RedisError as error:
        logger.warning("The watcher was not asked to refresh: %s", error)


class RefreshListener:
    """The watcher's end, in a thread of its own."""

    def __init__(
        self,
        *,
        on_domain: Callable[[int, UUID], None],
        on_storage_pool: Callable[[int, UUID], None],
        on_look_again: Callable[[int, str], None],
        on_hypervisors: Callable[[], None],
        stopping: threading.Event,
    ) -> None:
        self._on_one = {_READ_AGAIN: on_domain, _REFRESH_STORAGE_POOL: on_storage_pool}
        self._on_look_again = on_look_again
        self._on_hypervisors = on_hypervisors
        self._stopping = stopping

    def start(self) -> None:
        threading.Thread(target=self._run, name="refresh-requests", daemon=True).start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except redis.RedisError as error:
                logger.warning("Refresh requests are not heard for now: %s", error)
                self._stopping.wait(_PAUSE_SECONDS)

    def _listen(self) -> None:
        client: Any = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, health_check_interval=10)
        with client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.subscribe(_READ_AGAIN, _REFRESH_STORAGE_POOL, _LOOK_AGAIN, _HYPERVISORS_CHANGED)
            while not self._stopping.is_set():
                message = pubsub.get_message(timeout=1.0)
                if message is not None:
                    self._take(message["channel"].decode(), message["data"])

    def _take(self, channel: str, data: bytes) -> None:
        if channel == _HYPERVISORS_CHANGED:
            self._on_hypervisors()
            return
        try:
            hypervisor_id, what = json.loads(data)
            if channel == _LOOK_AGAIN:
                self._on_look_again(int(hypervisor_id), str(what))
            else:
                self._on_one[channel](int(hypervisor_id), UUID(what))
        except (ValueError, TypeError):
            logger.warning("A refresh request was not understood: %r", data)
