"""What is done over and over beside the watcher that keeps house, whatever happens to it now and then."""

import logging
import threading
from collections.abc import Callable

from django.db import DatabaseError, connection

logger = logging.getLogger(__name__)


def repeat(
    action: Callable[[], object],
    stopping: threading.Event,
    *,
    pause_seconds: float,
    may_run: Callable[[], bool],
    what: str,
    first_pause_seconds: float | None = None,
) -> None:
    """Do it until told to stop, while it may be; survives the loss of the database. `what` names it in the log."""
    wait_seconds = pause_seconds if first_pause_seconds is None else first_pause_seconds
    while not stopping.wait(wait_seconds):
        wait_seconds = pause_seconds
        if not may_run():
            continue
        try:
            action()
        except DatabaseError as error:
            logger.warning("The database does not answer; %s again soon: %s", what, error)
            connection.close()
        except Exception:
            logger.exception("%s broke; tried again soon.", what.capitalize())
    connection.close()
