"""One log line for each change that a person made through the pages: who did what to what."""

import json
import logging
from typing import Any

from django.http import HttpRequest

logger = logging.getLogger("vmportal.audit")


def note(request: HttpRequest, what: str, /, **details: Any) -> None:
    """Log it as `alice: removed a hypervisor {"name": "host1"}`. Never pass a secret.

    JSON, so that a line feed in a name cannot forge a line.
    """
    note_of(request.user.get_username(), what, **details)


def note_of(who: str, what: str, /, **details: Any) -> None:
    """The same, for a change whose author is not the request's user."""
    logger.info("%s: %s %s", who, what, json.dumps(details, default=str, sort_keys=True))
