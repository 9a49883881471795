"""The places that a person's consoles take, and the console that another one of the same page takes the place of."""

import logging

import redis

from hypervisors.console.closing import REPLACED, TOO_MANY, UNREACHABLE, ConsoleClosed
from hypervisors.console.sessions import ConsoleSession
from hypervisors.models.consoles.kicks import ConsoleKick, kick_consoles
from hypervisors.models.consoles.seats import take_seat

logger = logging.getLogger(__name__)


def seat_taken(session: ConsoleSession, replaces: str) -> None:
    """Take a seat. Raises: ConsoleClosed when the person has too many."""
    try:
        refusal = take_seat(session.user_id, session.domain_uuid, session.name, replaces=replaces)
    except redis.RedisError as error:
        logger.warning("Redis is away: nobody counts the consoles of %s.", session.username)
        raise ConsoleClosed(UNREACHABLE, "Redis is away; consoles cannot be opened for the moment.") from error
    if refusal:
        raise ConsoleClosed(TOO_MANY, refusal)


def send_away_replaced(session: ConsoleSession, replaced: str) -> None:
    """Close the one whose place this one took, wherever it is; its page has let go of it, or is to."""
    domain = str(session.domain_uuid)
    kick_consoles(ConsoleKick(domain=domain, user=session.user_id, viewer=replaced, code=REPLACED))
