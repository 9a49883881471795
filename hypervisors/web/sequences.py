"""The number of the latest live message before a page was read, so that its socket sees what the page missed."""

import logging
import os
from functools import lru_cache
from typing import cast

import redis
from django.conf import settings
from django.http import HttpRequest

from hypervisors.broadcast import changes_group

logger = logging.getLogger(__name__)

_NOTED = "vmportal.sequence"


def sequence_number(group: str) -> int | str:
    """The group's counter; empty while Redis is away: the page is shown all the same."""
    try:
        value = _client(os.getpid()).get(f"vmportal:seq:{group}")
    except redis.RedisError as error:
        logger.warning("The sequence number of %s could not be read: %s", group, error)
        return ""
    return int(value or 0)


def note_sequence(request: HttpRequest) -> None:
    """Call before a whole page's rows are read; what draws the page hands `noted_sequence` on to the template."""
    if _NOTED not in request.META:
        request.META[_NOTED] = sequence_number(changes_group(request.user))


def noted_sequence(request: HttpRequest) -> int | str | None:
    return cast("int | str | None", request.META.get(_NOTED))


@lru_cache(maxsize=1)
def _client(pid: int) -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)
