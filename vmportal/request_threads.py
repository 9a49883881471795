"""Django's ASGI handler with a few threads that stay: each keeps its database connection from request to request.

Django itself gives every request a new thread, and with it a new connection, and crosses between thread and event loop
several times a request. No view or middleware here is asynchronous.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import IO, Any

from django.core import signals
from django.core.exceptions import RequestAborted, SuspiciousOperation
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.http import HttpResponseBadRequest, HttpResponseBase
from django.urls import set_script_prefix

# Requests at once in one process; more wait their turn. Enough for some that wait for a Redis that hangs.
THREADS = 8


class ThreadedHandler(ASGIHandler):
    """Serves HTTP; what else ASGI brings goes elsewhere."""

    def __init__(self) -> None:
        super(ASGIHandler, self).__init__()
        self.load_middleware(is_async=False)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="request")

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Mapping[str, Any]]],
        send: Callable[[Mapping[str, Any]], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            raise ValueError(f"This serves HTTP, not {scope['type']}.")
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        # What the request sets in context variables (the language, for one) ends with it.
        context = copy_context()
        running = asyncio.get_running_loop().run_in_executor(self._threads, context.run, self._respond, scope, body)
        await self.send_response(await running, send)

    def create_request(
        self, scope: Mapping[str, Any], body_file: IO[bytes]
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        try:
            return super().create_request(scope, body_file)
        except (LookupError, ValueError, SuspiciousOperation):
            # The query string is read here, in the encoding that is claimed for the body.
            return None, HttpResponseBadRequest()

    def _respond(self, scope: dict[str, Any], body: IO[bytes]) -> Any:
        """The whole HttpResponse, closed: nothing of it waits for the browser in this thread."""
        with body:
            set_script_prefix(get_script_prefix(scope))
            signals.request_started.send(sender=self.__class__, scope=scope)
            request, error_response = self.create_request(scope, body)
            response: Any = error_response if request is None else self.get_response(request)
            assert not response.streaming, "No view streams: a thread would wait for the browser."
            response._handler_class = self.__class__
            response.close()
            return response
