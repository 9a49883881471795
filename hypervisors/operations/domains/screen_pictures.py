"""Pictures of guests' screens: asked for by pages, taken by a worker, kept in Redis for a while. No operation: nothing
is changed, and nobody waits for it.

Imports no decoder and no gateway, so that pages may ask here; the worker's half is `screen_picture_tasks`.
"""

import logging
import time
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from celery import current_app
from django.core.cache import cache
from kombu.exceptions import OperationalError
from redis import RedisError

from hypervisors.models import Domain
from hypervisors.operations.engine.queues import OPERATIONS_QUEUE
from hypervisors.operations.engine.reachability import why_unreachable

logger = logging.getLogger(__name__)

TAKE_PICTURE = "hypervisors.take_screen_picture"
# A younger one is not taken again, however many look.
FRESH_SECONDS = 4.0
# The last one is shown, with its time, when the machine is off or its host away.
KEPT_SECONDS = 6 * 3600
# A task that no worker has taken up by then is not worth doing any more; another may be asked for then.
TASK_SECONDS = 15

# Why there is no newer one: it has no screen that could be taken, or nobody answered.
Problem = Literal["", "no_screen", "no_answer"]
_REST_SECONDS: dict[Problem, int] = {"no_screen": 60, "no_answer": 120}


@dataclass(frozen=True, kw_only=True)
class KeptPicture:
    """`taken_at`: seconds since 1970. Width and height are those of the guest's screen."""

    png: bytes
    taken_at: float
    screen_width: int
    screen_height: int


def find_picture(domain_uuid: UUID) -> KeptPicture | None:
    """The last one, if one was taken lately."""
    picture: KeptPicture | None = cache.get(_picture_key(domain_uuid))
    return picture


def find_problem(domain_uuid: UUID) -> Problem:
    problem: Problem = cache.get(_problem_key(domain_uuid), "")
    return problem


def request_picture(domain: Domain) -> bool:
    """Have a worker take one, unless there is a fresh one or none can be had. Whether one is being taken now."""
    if not is_possible(domain) or find_problem(domain.uuid) or _is_fresh(find_picture(domain.uuid)):
        return False
    if not cache.add(_claim_key(domain.uuid), 1, TASK_SECONDS):
        return True
    try:
        current_app.send_task(
            TAKE_PICTURE, args=(str(domain.uuid),), queue=OPERATIONS_QUEUE, expires=TASK_SECONDS, ignore_result=True
        )
    except (OperationalError, RedisError):
        logger.exception("A picture of a screen could not be asked for.")
        return False
    return True


def is_possible(domain: Domain) -> bool:
    """Whether there can be a picture of it now: a QEMU that hangs would hold up whoever asks."""
    return domain.is_active and domain.answering and not why_unreachable(domain.hypervisor)


def keep_picture(domain_uuid: UUID, picture: KeptPicture) -> None:
    cache.set(_picture_key(domain_uuid), picture, KEPT_SECONDS)
    cache.delete(_claim_key(domain_uuid))


def keep_problem(domain_uuid: UUID, problem: Problem) -> None:
    """It is left alone for a while."""
    cache.set(_problem_key(domain_uuid), problem, _REST_SECONDS[problem])
    cache.delete(_claim_key(domain_uuid))


def release_claim(domain_uuid: UUID) -> None:
    """No picture came of it, and another may be asked for at once."""
    cache.delete(_claim_key(domain_uuid))


def _is_fresh(picture: KeptPicture | None) -> bool:
    return picture is not None and time.time() - picture.taken_at < FRESH_SECONDS


def _picture_key(domain_uuid: UUID) -> str:
    return f"screen-picture:{domain_uuid}"


def _problem_key(domain_uuid: UUID) -> str:
    return f"screen-picture-problem:{domain_uuid}"


def _claim_key(domain_uuid: UUID) -> str:
    return f"screen-picture-claim:{domain_uuid}"
