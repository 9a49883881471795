"""Which parts of vmportal give no sign of life, and since when, as one process sees it.

A part is what people notice: a queue whose workers are all away, the console proxy, the transfer process, or Redis,
without which nothing is known of the others. Web processes and watchers have signals of their own.
"""

import time
from collections.abc import Iterable

import redis

from hypervisors.models.instances import Instance, read_instances

REDIS = "redis"
PARTS = ("operations", "migrations", "storage", "console", "transfer")
# One that restarts is not missed: an instance is announced for six seconds, and back within a few.
_GRACE_SECONDS = 4.0


class SilenceWatch:
    """Not safe for threads that look at once."""

    def __init__(self) -> None:
        # Epoch seconds; of a part that was never heard of, those of the first look.
        self._heard_at: dict[str, float] = {}

    def look(self) -> dict[str, int]:
        """Part -> epoch seconds since when it is silent. Takes seconds where Redis hangs."""
        now = time.time()
        try:
            heard = {REDIS, *_parts(read_instances())}
        except redis.RedisError:
            return self._silent([REDIS], now)
        self._heard_at |= dict.fromkeys(heard, now)
        return self._silent([part for part in PARTS if part not in heard], now)

    def _silent(self, parts: Iterable[str], now: float) -> dict[str, int]:
        since = {part: self._heard_at.setdefault(part, now) for part in parts}
        return {part: int(at) for part, at in since.items() if now - at >= _GRACE_SECONDS}


def _parts(instances: Iterable[Instance]) -> set[str]:
    """What these do: a worker is its queues."""
    return {part for one in instances for part in (one.holds if one.kind == "worker" else (one.kind,))}
