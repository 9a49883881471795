"""A cache in Redis that outlives Redis: while it is away, each process remembers for itself.

Nothing that must be right is kept in it; signing in (its rate limits are counted here) goes on without Redis, each
process counting alone. https://docs.djangoproject.com/en/5.2/topics/cache/
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

# Redis is left alone for so long after it did not answer: of all look-ups meanwhile, one waits.
_REST_SECONDS = 2.0
# time.monotonic() until when, by the server's URL. Django makes a cache of its own for every request.
_away_until: dict[str, float] = {}
_MISSING = object()


def forget_absences() -> None:
    """Ask Redis again at once."""
    _away_until.clear()


def _either(name: str) -> Callable[..., Any]:
    def ask(self: "LastingCache", *arguments: Any, **options: Any) -> Any:
        return self.ask(name, arguments, options)

    ask.__name__ = name
    return ask


class LastingCache(RedisCache):
    """Django's Redis cache with a `LocMemCache` to fall back on. Never raises a RedisError."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        # Its options are the Redis client's.
        self._local = LocMemCache("lasting-cache", params | {"OPTIONS": {}})
        self._url = server

    def ask(self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """What Redis answers, else what this process knows."""
        if time.monotonic() >= _away_until.get(self._url, 0.0):
            try:
                return getattr(super(), name)(*arguments, **options)
            except (RedisError, OSError) as error:
                _away_until[self._url] = time.monotonic() + _REST_SECONDS
                logger.warning("Redis is away; this process keeps its own cache meanwhile: %s", error)
        return getattr(self._local, name)(*arguments, **options)

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        """What Redis has; or what was set here while it was away, if nobody has set it since."""
        found = self.ask("get", (key, _MISSING, version), {})
        if found is _MISSING:
            found = self._local.get(key, default, version)
        return found

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._local.delete(key, version)
        self.ask("set", (key, value, timeout, version), {})

    def delete(self, key: str, version: int | None = None) -> bool:
        was_here = self._local.delete(key, version)
        return bool(self.ask("delete", (key, version), {})) or was_here

    def clear(self) -> None:
        self._local.clear()
        self.ask("clear", (), {})

    add = _either("add")
    touch = _either("touch")
    get_many = _either("get_many")
    has_key = _either("has_key")
    incr = _either("incr")
    set_many = _either("set_many")
    delete_many = _either("delete_many")
