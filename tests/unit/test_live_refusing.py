"""A socket that meets a database which does not answer ends in order, and the log stays short."""

import logging
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.db import OperationalError

from hypervisors.live.refusing import CLOSE_LATER, DatabaseGuard, Receive, Scope, Send


def says_of(*sent: str, error: Exception) -> list[dict[str, Any]]:
    """What the browser gets of an application that has sent these messages when the error comes."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        for kind in sent:
            await send({"type": kind})
        raise error

    async def scenario() -> list[dict[str, Any]]:
        browser = ApplicationCommunicator(DatabaseGuard(application), {"type": "websocket"})
        got = [await browser.receive_output(timeout=5) for _ in sent]
        if "websocket.close" not in sent:
            got.append(await browser.receive_output(timeout=5))
        await browser.wait(timeout=5)
        return got

    return async_to_sync(scenario)()


@pytest.mark.parametrize("sent", [(), ("websocket.accept",)])
def test_it_is_closed_so_that_the_page_comes_again(sent: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        got = says_of(*sent, error=OperationalError("connection refused\nIs the server running?"))
    assert got[-1] == {"type": "websocket.close", "code": CLOSE_LATER}
    (record,) = caplog.records
    assert record.getMessage().endswith("connection refused")
    assert record.exc_info is None


def test_what_is_closed_is_not_closed_again() -> None:
    sent = ("websocket.accept", "websocket.close")
    assert [message["type"] for message in says_of(*sent, error=OperationalError("gone"))] == [*sent]


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(ValueError, match="a fault of ours"):
        says_of("websocket.accept", "websocket.close", error=ValueError("a fault of ours"))
