"""The proxy's front: nobody without a grant gets a thread, and whoever has one gets in, whatever else knocks."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from hypervisors.console.proxy import ConsoleServer
from hypervisors.models.consoles.grants import ConsoleGrant, hash_session, issue_grant

pytestmark = pytest.mark.django_db(transaction=True)

ORIGIN = "http://portal.example.org"
UPGRADE = (
    b"GET /console/vnc HTTP/1.1\r\nHost: x\r\nOrigin: http://portal.example.org\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Protocol: binary, grant.invented\r\n\r\n"
)


@pytest.fixture
def proxy(transactional_db: None, redis_client: redis.Redis, settings: Any) -> Iterator[ConsoleServer]:
    settings.PUBLIC_ORIGINS = [ORIGIN]
    server = ConsoleServer(("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        assert server.kicks.listening.wait(30)
        yield server
    finally:
        server.stop()
        thread.join(5)
        connections.close_all()


def knock(proxy: ConsoleServer, sent: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", proxy.server_port), timeout=10)
    with suppress(OSError):
        client.sendall(sent)
    return client


def open_with(proxy: ConsoleServer, token: str, session: str) -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{proxy.server_port}/console/vnc",
        origin=ORIGIN,  # type: ignore[arg-type]
        subprotocols=["binary", f"grant.{token}"],  # type: ignore[list-item]
        additional_headers={"Cookie": f"sessionid={session}"},
        legacy=True,
    )


def granted(user: User) -> tuple[str, str]:
    """A token for a machine that does not exist, and the login session that it is for."""
    client = Client()
    client.force_login(user)
    session = client.session.session_key or ""
    return issue_grant(ConsoleGrant(user_id=user.pk, session_hash=hash_session(session), domain_uuid=uuid4())), session


@pytest.mark.parametrize("sent", [b"", UPGRADE[:40], UPGRADE], ids=["silent", "half a request", "without a grant"])
def test_a_thousand_connections_get_no_thread_and_a_grant_still_does(
    proxy: ConsoleServer, alice: User, sent: bytes
) -> None:
    threads, most, flood = threading.active_count(), 0, []
    try:
        for _ in range(1000):
            flood.append(knock(proxy, sent))
            most = max(most, threading.active_count())
        token, session = granted(alice)
        with pytest.raises(ConnectionClosed) as closed:
            open_with(proxy, token, session).recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4003
        assert most <= threads + 2
    finally:
        for client in flood:
            client.close()


def test_a_grant_is_redeemed_before_the_upgrade(proxy: ConsoleServer, alice: User) -> None:
    token, session = granted(alice)
    with pytest.raises(ConnectionClosed):
        open_with(proxy, token, session).recv(timeout=10)
    with pytest.raises(InvalidStatus) as refused:
        open_with(proxy, token, session)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (UPGRADE, b"403"),
        (UPGRADE.replace(b"portal.example.org", b"evil.example"), b"403"),
        (UPGRADE.replace(b"GET", b"POST"), b"405"),
        (UPGRADE.replace(b"/console/vnc", b"/other"), b"404"),
        (UPGRADE.replace(b"Upgrade: websocket\r\n", b""), b"426"),
        (UPGRADE + b"more than the request", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 16_500 + b"\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"400"),
    ],
)
def test_what_is_no_upgrade_with_a_grant_is_answered_at_once(proxy: ConsoleServer, sent: bytes, status: bytes) -> None:
    with knock(proxy, sent) as client:
        assert client.recv(100).split()[1] == status


def test_a_request_may_come_in_pieces(proxy: ConsoleServer) -> None:
    with knock(proxy, b"") as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in UPGRADE:
            client.sendall(bytes([byte]))
        assert client.recv(100).split()[1] == b"403"
