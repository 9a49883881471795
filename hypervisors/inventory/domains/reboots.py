"""When each guest was last seen to reboot: libvirt tells it once, by an event, and keeps no state of it.

https://libvirt.org/html/libvirt-libvirt-domain.html#virConnectDomainEventCallback
"""

import logging
import time
from uuid import UUID

import redis
from django.conf import settings

logger = logging.getLogger(__name__)

_KEPT_SECONDS = 2 * 3600


class RebootsAway(Exception):
    """Redis does not answer."""


def note_reboot(hypervisor_id: int, uuid: UUID, *, at: float | None = None) -> None:
    """The guest (by libvirt's UUID) rebooted just now, or at this time of time.time(). Never raises."""
    try:
        with _client() as client:
            client.set(_key(hypervisor_id, uuid), f"{at or time.time():.3f}", ex=_KEPT_SECONDS)
    except redis.RedisError as error:
        logger.warning("A reboot of %s was not noted: %s", uuid, error)


def last_reboot_at(hypervisor_id: int, uuid: UUID) -> float | None:
    """Epoch seconds; None when none was seen lately. Raises: RebootsAway."""
    try:
        with _client() as client:
            noted = client.get(_key(hypervisor_id, uuid))
    except redis.RedisError as error:
        raise RebootsAway(str(error)) from error
    return None if noted is None else float(noted)


def _key(hypervisor_id: int, uuid: UUID) -> str:
    """Two hypervisors may each have a guest of the same UUID."""
    return f"vmportal:rebooted:{hypervisor_id}:{uuid}"


def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
