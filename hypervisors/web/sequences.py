"""The number of the latest live message before a page was read, so that its socket sees what the page missed."""

import logging
import os
from functools import lru_cache

import redis
from django.conf import settings

logger = logging.getLogger(__name__)


def sequence_number(group: str) -> int | str:
    """The group's counter; empty while Redis is away: the page is shown all the same."""
    try:
        value = _client(os.getpid()).get(f"vmportal:seq:{group}")
    except redis.RedisError as error:
        logger.warning("The sequence number of %s could not be read: %s", group, error)
        return ""
    return int(value or 0)


@lru_cache(maxsize=1)
def _client(pid: int) -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)
