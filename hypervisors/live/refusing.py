"""Sockets while the database does not answer: turned away with a line in the log, instead of failing one by one."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from django.db import Error as DatabaseError

logger = logging.getLogger(__name__)

# https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1 and IANA's list: try again later. live.js does.
CLOSE_LATER = 1013

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class DatabaseGuard:
    """Around an ASGI application for sockets: all that looks up who is there, and what they may see."""

    def __init__(self, application: Any) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_closed = False

        async def noted(message: Any) -> None:
            nonlocal is_closed
            is_closed = is_closed or message["type"] == "websocket.close"
            await send(message)

        try:
            await self.application(scope, receive, noted)
        except DatabaseError as error:
            logger.warning("A page's socket ends: the database says: %s", str(error).partition("\n")[0])
            if not is_closed:
                await send({"type": "websocket.close", "code": CLOSE_LATER})
