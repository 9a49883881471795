"""How many consoles each person has open, in Redis: QEMU takes 32 viewers of a screen, and nobody is to take them all.

A seat is a lease like a viewer's (viewers.py): its proxy renews it, and it ends with the proxy.
"""

import time
from typing import Any
from uuid import UUID

from django.conf import settings

from hypervisors.models.consoles.redis import console_redis

SEAT_SECONDS = 40
# Counts and takes in one step: ten tabs that open at once do not get ten seats.
_TAKE = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if ARGV[5] ~= '' then redis.call('ZREM', KEYS[1], ARGV[3] .. '/' .. ARGV[5]) end
local taken = redis.call('ZRANGE', KEYS[1], 0, -1)
local here = 0
for _, member in ipairs(taken) do
  if string.sub(member, 1, #ARGV[3] + 1) == ARGV[3] .. '/' then here = here + 1 end
end
if here >= tonumber(ARGV[6]) then return 1 end
if #taken >= tonumber(ARGV[7]) then return 2 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3] .. '/' .. ARGV[4])
redis.call('EXPIRE', KEYS[1], 120)
return 0
"""


def take_seat(user_id: int, domain_uuid: UUID, session: str, *, replaces: str = "") -> str:
    """Take one for the session; in words why there is none, "" when it was taken. Raises: redis.RedisError.

    The session that it `replaces`, one of the same person and domain, gives its own up.
    """
    now = time.time()
    limits = (settings.CONSOLES_PER_PERSON_AND_DOMAIN, settings.CONSOLES_PER_PERSON)
    arguments = (now, now + SEAT_SECONDS, str(domain_uuid), session, replaces, *limits)
    refusal = int(console_redis().eval(_TAKE, 1, _key(user_id), *arguments))
    return ["", too_many_here(), too_many_in_all()][refusal]


def why_no_seat(user_id: int, domain_uuid: UUID, *, replaces: str = "") -> str:
    """The same asked beforehand, for who is about to open one. Raises: redis.RedisError."""
    members = console_redis().zrangebyscore(_key(user_id), time.time(), "+inf")
    taken = [member.decode() for member in members]
    taken = [member for member in taken if member != f"{domain_uuid}/{replaces}"]
    if sum(member.startswith(f"{domain_uuid}/") for member in taken) >= settings.CONSOLES_PER_PERSON_AND_DOMAIN:
        return too_many_here()
    return too_many_in_all() if len(taken) >= settings.CONSOLES_PER_PERSON else ""


def renew_seat(user_id: int, domain_uuid: UUID, session: str, client: Any = None) -> None:
    """Keep it for SEAT_SECONDS more, by a client or pipeline. Raises: redis.RedisError."""
    client = console_redis() if client is None else client
    client.zadd(_key(user_id), {f"{domain_uuid}/{session}": time.time() + SEAT_SECONDS})
    client.expire(_key(user_id), 3 * SEAT_SECONDS)


def leave_seat(user_id: int, domain_uuid: UUID, session: str) -> None:
    """Raises: redis.RedisError."""
    console_redis().zrem(_key(user_id), f"{domain_uuid}/{session}")


def too_many_here() -> str:
    limit = settings.CONSOLES_PER_PERSON_AND_DOMAIN
    return (
        f"You have this screen open {limit} times already, which is as often as one person may. "
        "Close one, or disconnect it in the list of viewers."
    )


def too_many_in_all() -> str:
    return (
        f"You have {settings.CONSOLES_PER_PERSON} consoles open already, which is as many as one person may. Close one."
    )


def _key(user_id: int) -> str:
    return f"vmportal:console:seats:{user_id}"
