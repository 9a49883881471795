"""The Redis in which console grants, viewers and kicks pass between web processes and proxies."""

import os
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings


def console_redis() -> Any:
    """This process's client; calls give up within seconds. Raises (when used): redis.RedisError."""
    # redis-py types every answer as "bytes or str or a future"; Any is more honest than casts all over.
    return _client_of(os.getpid())


@lru_cache(maxsize=2)
def _client_of(pid: int) -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2, health_check_interval=10
    )
