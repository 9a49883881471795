"""What open sessions need from time to time: their leases renewed, and their right to be open asked again."""

import logging
import threading
import time
from collections.abc import Iterable

import redis
from django.db import Error as DatabaseError
from django.db import connections

from hypervisors.access.browsers import find_user
from hypervisors.console.access import find_domain
from hypervisors.console.closing import KICKED, ConsoleClosed
from hypervisors.console.sessions import ConsoleSession, SessionRegistry
from hypervisors.models.consoles.viewers import LEASE_SECONDS, end_lease, renew_leases

logger = logging.getLogger(__name__)

_RENEW_SECONDS = LEASE_SECONDS / 4
_CHECK_SECONDS = 30


class Upkeep(threading.Thread):
    """Runs until `stop` is set. Database or Redis being away ends no session."""

    def __init__(self, registry: SessionRegistry, stop: threading.Event) -> None:
        super().__init__(name="console-upkeep", daemon=True)
        self._registry = registry
        self._stop_asked = stop

    def run(self) -> None:
        checked_at = time.monotonic()
        while not self._stop_asked.wait(_RENEW_SECONDS):
            sessions = self._registry.all()
            note_open(sessions)
            if time.monotonic() - checked_at >= _CHECK_SECONDS:
                checked_at = time.monotonic()
                close_denied(sessions)


def note_open(sessions: Iterable[ConsoleSession]) -> None:
    """Renew their leases, so that others see who is connected."""
    viewers = [(session.domain_uuid, session.viewer) for session in sessions]
    if not viewers:
        return
    try:
        renew_leases(viewers)
    except redis.RedisError as error:
        logger.warning("The leases of %d consoles were not renewed: %s", len(viewers), error)


def note_closed(session: ConsoleSession) -> None:
    """End its lease; a lease that Redis keeps runs out by itself."""
    try:
        end_lease(session.domain_uuid, session.viewer)
    except redis.RedisError as error:
        logger.warning("A console's lease was not ended: %s", error)


def close_denied(sessions: Iterable[ConsoleSession]) -> None:
    """Close those whose user logged out, was deactivated, or lost the right."""
    try:
        for session in sessions:
            if not is_still_allowed(session):
                session.wakeup.wake(ConsoleClosed(KICKED, "You may not have this console any more."))
    except DatabaseError as error:
        logger.warning("Rights of open consoles could not be checked: %s", error)
    finally:
        connections.close_all()


def is_still_allowed(session: ConsoleSession) -> bool:
    """Raises: django.db.Error."""
    user = find_user(session.session_key)
    if user is None or user.pk != session.user_id:
        return False
    return find_domain(user, session.domain_uuid, session.mode) is not None
