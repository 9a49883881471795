"""Who is connected to which console: a lease per viewer in Redis that its proxy renews, and loses with it."""

import json
import logging
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from uuid import UUID

import redis

from hypervisors.models.consoles.grants import ConsoleMode
from hypervisors.models.consoles.redis import console_redis
from hypervisors.models.consoles.seats import SEAT_SECONDS, leave_seat, renew_seat

logger = logging.getLogger(__name__)

LEASE_SECONDS = SEAT_SECONDS


@dataclass(frozen=True, kw_only=True)
class ConsoleViewer:
    """One connected console. `session` is the proxy's own name of it."""

    session: str
    username: str
    mode: ConsoleMode
    user_id: int = 0


def renew_leases(viewers: Iterable[tuple[UUID, ConsoleViewer]]) -> None:
    """Note that these are connected, for LEASE_SECONDS more. Raises: redis.RedisError."""
    pipe = console_redis().pipeline(transaction=False)
    for domain_uuid, viewer in viewers:
        pipe.zadd(_key(domain_uuid), {_member(viewer): time.time() + LEASE_SECONDS})
        pipe.expire(_key(domain_uuid), 2 * LEASE_SECONDS)
        renew_seat(viewer.user_id, domain_uuid, viewer.session, pipe)
    pipe.execute()


def end_lease(domain_uuid: UUID, viewer: ConsoleViewer) -> None:
    """Note that it is gone. Raises: redis.RedisError."""
    console_redis().zrem(_key(domain_uuid), _member(viewer))
    leave_seat(viewer.user_id, domain_uuid, viewer.session)


def read_viewers(domain_uuid: UUID) -> list[ConsoleViewer]:
    """Those connected now; empty while Redis is away."""
    try:
        members = console_redis().zrangebyscore(_key(domain_uuid), time.time(), "+inf")
    except redis.RedisError:
        logger.warning("Redis is away: who is connected to consoles is not known.")
        return []
    return [ConsoleViewer(**json.loads(member)) for member in members]


def _member(viewer: ConsoleViewer) -> str:
    return json.dumps(asdict(viewer), sort_keys=True)


def _key(domain_uuid: UUID) -> str:
    return f"vmportal:console:viewers:{domain_uuid}"
