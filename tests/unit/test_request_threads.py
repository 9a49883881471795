"""Requests through ASGI: threads that stay and keep their connection, and nothing of one request in the next."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.core.signals import request_finished
from django.db import connection, connections
from django.test import Client
from django.utils import translation

from vmportal.request_threads import THREADS, ThreadedHandler

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def handler() -> Iterator[ThreadedHandler]:
    handler = ThreadedHandler()
    yield handler
    together = threading.Barrier(THREADS)

    def close() -> None:
        # Each thread has one of these: none takes two before all have come.
        together.wait(10)
        connections.close_all()

    for _ in range(THREADS):
        handler._threads.submit(close)
    handler._threads.shutdown()


async def answer(
    handler: ThreadedHandler, path: str, method: str = "GET", body: bytes = b"", query: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], str]:
    """Status, headers by lower-case name, and text."""
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    given += [(b"host", b"localhost"), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": given}
    browser = ApplicationCommunicator(handler, scope)
    await browser.send_input({"type": "http.request", "body": body})
    start = await browser.receive_output(10)
    text = b""
    while True:
        part = await browser.receive_output(10)
        text += part["body"]
        if not part.get("more_body"):
            break
    await browser.wait(10)
    return start["status"], {k.decode().lower(): v.decode() for k, v in start["headers"]}, text.decode()


def test_a_page_is_served_with_its_cookies_and_a_form_is_taken(handler: ThreadedHandler, alice: User) -> None:
    async def scenario() -> None:
        status, headers, text = await answer(handler, "/accounts/login/")
        assert (status, "csrftoken=" in headers["set-cookie"]) == (200, True)
        token = headers["set-cookie"].split("csrftoken=")[1].split(";")[0]
        form = {"login": "alice", "password": "alice-is-an-operator", "csrfmiddlewaretoken": token}
        sent = {
            "content_type": "application/x-www-form-urlencoded",
            "x_forwarded_for": "192.0.2.1",
            "cookie": f"csrftoken={token}",
        }
        status, headers, text = await answer(handler, "/accounts/login/", "POST", urlencode(form).encode(), **sent)
        assert (status, headers["location"]) == (302, "/"), text

    async_to_sync(scenario)()


def test_connections_stay_and_a_request_leaves_nothing_to_the_next(
    handler: ThreadedHandler, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the product has it.
    monkeypatch.setitem(connections.databases["default"], "CONN_MAX_AGE", None)
    client = Client()
    client.force_login(alice)
    cookie = f"sessionid={client.cookies['sessionid'].value}"
    seen: list[tuple[int, Any, str | None]] = []

    def note(**_: Any) -> None:
        seen.append((threading.get_ident(), connection.connection, translation.get_language()))
        translation.activate("de")

    async def scenario() -> None:
        for _ in range(2 * THREADS):
            assert (await answer(handler, "/vms/", cookie=cookie))[0] == 200

    request_finished.connect(note)
    try:
        async_to_sync(scenario)()
    finally:
        request_finished.disconnect(note)
    assert len(seen) == 2 * THREADS
    assert all(kept is not None for _, kept, _ in seen)
    assert len({(thread, id(kept)) for thread, kept, _ in seen}) == len({thread for thread, _, _ in seen})
    assert {language for _, _, language in seen} == {"en"}


def test_many_at_once_are_all_served(handler: ThreadedHandler, alice: User) -> None:
    client = Client()
    client.force_login(alice)
    cookie = f"sessionid={client.cookies['sessionid'].value}"

    async def scenario() -> None:
        answers = await asyncio.gather(*(answer(handler, "/vms/", cookie=cookie) for _ in range(5 * THREADS)))
        assert {status for status, _, _ in answers} == {200}

    async_to_sync(scenario)()


def test_a_browser_that_leaves_while_it_sends_is_not_served(handler: ThreadedHandler) -> None:
    async def scenario() -> None:
        scope = {"type": "http", "method": "POST", "path": "/accounts/login/", "query_string": b"", "headers": []}
        browser = ApplicationCommunicator(handler, scope)
        await browser.send_input({"type": "http.request", "body": b"half", "more_body": True})
        await browser.send_input({"type": "http.disconnect"})
        await browser.wait(10)
        assert await browser.receive_nothing()

    async_to_sync(scenario)()


@pytest.mark.parametrize("charset", ["utf-7", "utf-16", "hex", "idna", "rot13", "no-such", "utf-8\0", "x" * 5000])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_in_another_encoding_is_refused(handler: ThreadedHandler, charset: str, kind: str) -> None:
    async def scenario() -> None:
        for query in (b"", b"q=+AGEA-%ff", b"a=1&" * 2000):
            for method in ("GET", "POST"):
                sent = {"content_type": f"{kind}; charset={charset}"}
                assert (await answer(handler, "/accounts/login/", method, b"a=+AGEA-", query, **sent))[0] == 400

    async_to_sync(scenario)()
