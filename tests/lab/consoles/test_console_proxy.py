"""The proxy as a browser meets it, with screens of real QEMUs: who gets in, who is sent away, what passes."""

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from hypervisors.console.proxy import ConsoleHandler, ConsoleServer
from hypervisors.console.sessions import ConsoleSession
from hypervisors.gateway.consoles.display_links import DisplayLink, open_display_link
from hypervisors.gateway.consoles.displays import VncDisplay
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.uris import parse_uri
from hypervisors.models import Domain, Hypervisor, Role, RoleBinding
from hypervisors.models.consoles import redis as console_redis
from hypervisors.models.consoles.grants import ConsoleGrant, ConsoleMode, hash_session, issue_grant
from hypervisors.models.consoles.kicks import ConsoleKick, kick_consoles, kick_moved
from hypervisors.models.consoles.viewers import read_viewers
from hypervisors.models.login_sessions import SessionStore
from hypervisors.states import DomainState
from tests.lab.consoles.screens import NAME, free_port, start_screen, until
from tests.roles import bind

__all__ = ["start_screen"]
pytestmark = pytest.mark.django_db(transaction=True)

ORIGIN = "http://portal.example.org"
HERE = Endpoint(uri=parse_uri("qemu:///system"), key="here")
KEY_A = b"\4\1\0\0\0\0\0\x61"
UPDATE_REQUEST = b"\3\0\0\0\0\0\2\x80\1\x90"


class DirectServer(ConsoleServer):
    """Every screen is at one port: where screens are is the business of test_console."""

    port = 0

    def open_link(self, hypervisor: Hypervisor, session: ConsoleSession) -> DisplayLink:
        return open_display_link(HERE, VncDisplay(address="127.0.0.1", port=self.port))


@contextmanager
def serving(server: ConsoleServer) -> Iterator[ConsoleServer]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(5)


@pytest.fixture
def proxy(transactional_db: None, redis_client: redis.Redis, settings: Any) -> Iterator[DirectServer]:
    settings.PUBLIC_ORIGINS = [ORIGIN]
    server = DirectServer(("127.0.0.1", 0), ConsoleHandler)
    with serving(server):
        assert server.kicks.listening.wait(30)
        yield server
    connections.close_all()


@pytest.fixture
def screen(proxy: DirectServer, start_screen: Callable[..., int]) -> Domain:
    proxy.port = start_screen()
    return _running(Domain.objects.get())


@pytest.fixture(autouse=True)
def one_domain(transactional_db: None, domain: Domain) -> Domain:
    return domain


def _running(domain: Domain) -> Domain:
    domain.state = DomainState.RUNNING
    domain.save()
    return domain


def signed_in(user: User) -> str:
    """The key of a login session."""
    client = Client()
    client.force_login(user)
    assert client.session.session_key
    return client.session.session_key


def token_for(user: User, session: str, domain: Domain, mode: ConsoleMode = "control") -> str:
    grant = ConsoleGrant(user_id=user.pk, session_hash=hash_session(session), domain_uuid=domain.uuid, mode=mode)
    return issue_grant(grant)


def open_socket(proxy: ConsoleServer, token: str, session: str, origin: str | None = ORIGIN) -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{proxy.server_port}/console/vnc",
        origin=origin,  # type: ignore[arg-type]
        subprotocols=["binary", f"grant.{token}"],  # type: ignore[list-item]
        additional_headers={"Cookie": f"sessionid={session}"},
        compression=None,
        open_timeout=10,
        legacy=True,
    )


class Screen:
    """What noVNC does, as far as a test needs it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.received = b""
        self.read(12)
        socket.send(b"RFB 003.008\n")
        assert self.read(2) == b"\1\1"
        socket.send(b"\1")
        assert self.read(4) == b"\0\0\0\0"
        socket.send(b"\1")
        head = self.read(24)
        self.name = self.read(int.from_bytes(head[20:], "big")).decode()

    def read(self, count: int) -> bytes:
        while len(self.received) < count:
            part = self.socket.recv(timeout=10)
            assert isinstance(part, bytes)
            self.received += part
        data, self.received = self.received[:count], self.received[count:]
        return data

    def read_update(self) -> int:
        """One update of the screen, in raw encoding; the number of bytes of its pixels."""
        kind, _padding, high, low = self.read(4)
        assert kind == 0
        pixel_bytes = 0
        for _ in range(high << 8 | low):
            head = self.read(12)
            width, height = int.from_bytes(head[4:6], "big"), int.from_bytes(head[6:8], "big")
            pixel_bytes += len(self.read(width * height * 4))
        return pixel_bytes

    def closed(self, seconds: float = 10) -> tuple[int, str]:
        """The code and reason with which the proxy closes."""
        return close_of(self.socket, seconds)


def close_of(socket: ClientConnection, seconds: float = 10) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as closed:
        read_to_the_end(socket, seconds)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


def read_to_the_end(socket: ClientConnection, seconds: float) -> None:
    while True:
        socket.recv(timeout=seconds)


def open_screen(proxy: ConsoleServer, user: User, domain: Domain, mode: ConsoleMode = "control") -> Screen:
    session = signed_in(user)
    screen = Screen(open_socket(proxy, token_for(user, session, domain, mode), session))
    assert NAME in screen.name
    return screen


# --- getting in --------------------------------------------------------------------------------------------------


def test_bytes_of_the_screen_flow(proxy: DirectServer, screen: Domain, alice: User) -> None:
    opened = open_screen(proxy, alice, screen)
    assert opened.socket.subprotocol == "binary"
    opened.socket.send(UPDATE_REQUEST)
    # QEMU sends in as many rectangles as it likes, and in more than one update while the screen changes.
    pixel_bytes = 0
    while pixel_bytes < 640 * 400 * 4:
        pixel_bytes += opened.read_update()
    opened.socket.close()


def test_a_used_token_is_refused(proxy: DirectServer, screen: Domain, alice: User) -> None:
    session = signed_in(alice)
    token = token_for(alice, session, screen)
    first = open_socket(proxy, token, session)
    assert NAME in Screen(first).name
    with pytest.raises(InvalidStatus) as refused:
        open_socket(proxy, token, session)
    assert refused.value.response.status_code == 403
    first.close()


@pytest.mark.parametrize("origin", ["http://evil.example", "https://portal.example.org", None])
def test_a_foreign_page_neither_gets_in_nor_burns_the_grant(
    proxy: DirectServer, screen: Domain, alice: User, origin: str | None
) -> None:
    session = signed_in(alice)
    token = token_for(alice, session, screen)
    with pytest.raises(InvalidStatus) as refused:
        open_socket(proxy, token, session, origin=origin)
    assert refused.value.response.status_code == 403
    accepted = open_socket(proxy, token, session)
    assert NAME in Screen(accepted).name
    accepted.close()


def test_a_stolen_token_is_of_no_use_to_another_login(
    proxy: DirectServer, screen: Domain, alice: User, bob: User
) -> None:
    token = token_for(alice, signed_in(alice), screen)
    assert close_of(open_socket(proxy, token, signed_in(bob)))[0] == 4003
    token = token_for(alice, signed_in(alice), screen)
    assert close_of(open_socket(proxy, token, signed_in(alice)))[0] == 4003
    token = token_for(alice, signed_in(alice), screen)
    assert close_of(open_socket(proxy, token, ""))[0] == 4003


def test_a_right_is_asked_again_at_the_door(proxy: DirectServer, screen: Domain, bob: User, charlie: User) -> None:
    for user, mode in ((bob, "control"), (charlie, "view")):
        session = signed_in(user)
        assert close_of(open_socket(proxy, token_for(user, session, screen, mode), session))[0] == 4003  # type: ignore[arg-type]


def test_a_token_in_the_url_is_no_grant(proxy: DirectServer, screen: Domain, alice: User) -> None:
    session = signed_in(alice)
    token = token_for(alice, session, screen)
    with pytest.raises(InvalidStatus) as refused:
        connect(
            f"ws://127.0.0.1:{proxy.server_port}/console/vnc?token={token}&grant.{token}",
            origin=ORIGIN,  # type: ignore[arg-type]
            subprotocols=["binary"],  # type: ignore[list-item]
            additional_headers={"Cookie": f"sessionid={session}"},
            legacy=True,
        )
    assert refused.value.response.status_code == 403


def test_other_paths_are_not_found(proxy: DirectServer, screen: Domain) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{proxy.server_port}/console/other", origin=ORIGIN, legacy=True)  # type: ignore[arg-type]
    assert refused.value.response.status_code == 404


def test_tokens_are_not_logged(
    proxy: DirectServer, screen: Domain, alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    session = signed_in(alice)
    token = token_for(alice, session, screen)
    accepted = open_socket(proxy, token, session)
    Screen(accepted)
    accepted.close()
    until(lambda: "closed after" in caplog.text, "the end was not logged")
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("hypervisors"))
    assert "alice opens the console of 'web1'" in ours
    assert token not in ours
    assert session not in ours


def memory_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /console/vnc HTTP/1.1\r\nHost: x\r\n",
        b"GET /console/vnc HTTP/1.1\r\nHost: x\r\nOrigin: http://portal.example.org\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Protocol: binary, grant.invented\r\n\r\n",
    ],
    ids=["silent", "half a request", "without a grant"],
)
def test_a_thousand_connections_without_a_grant_cost_neither_threads_nor_memory(
    proxy: DirectServer, screen: Domain, alice: User, sent: bytes
) -> None:
    threads, memory, most = threading.active_count(), memory_kib(), 0
    flood = []
    try:
        for _ in range(1000):
            flood.append(socket.create_connection(("127.0.0.1", proxy.server_port), timeout=5))
            with suppress(OSError):
                flood[-1].sendall(sent)
            most = max(most, threading.active_count())
        opened = open_screen(proxy, alice, screen)
        most = max(most, threading.active_count())
        assert most <= threads + 5
        assert memory_kib() - memory < 30_000
        opened.socket.close()
    finally:
        for connection in flood:
            connection.close()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /console/vnc HTTP/1.1\r\n", b"405"),
        (b"GET /other HTTP/1.1\r\n", b"404"),
        (b"GET /console/vnc HTTP/1.1\r\n", b"426"),
        (b"nonsense\r\n", b"400"),
        (b"GET /console/vnc HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n", b"400"),
    ],
)
def test_what_is_no_upgrade_is_answered(proxy: DirectServer, head: bytes, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", proxy.server_port), timeout=10) as client:
        with suppress(OSError):
            client.sendall(head + b"Origin: http://portal.example.org\r\n\r\n")
        assert client.recv(100).split()[1] == status


def test_one_person_takes_two_places_at_a_screen_and_others_still_get_in(
    proxy: DirectServer, screen: Domain, alice: User, bob: User
) -> None:
    watching = [open_screen(proxy, bob, screen, "view") for _ in range(2)]
    for _ in range(32):
        session = signed_in(bob)
        code, _reason = close_of(open_socket(proxy, token_for(bob, session, screen, "view"), session))
        assert code == 4006
    opened = open_screen(proxy, alice, screen)
    watching.pop().socket.close()
    until(lambda: len(read_viewers(screen.uuid)) == 2, "the place was not given back")
    watching.append(open_screen(proxy, bob, screen, "view"))
    for console in (*watching, opened):
        console.socket.close()


def test_a_page_that_connects_anew_takes_its_own_place(proxy: DirectServer, screen: Domain, bob: User) -> None:
    session = signed_in(bob)
    consoles = []
    for name, replaces in (("one", ""), ("two", ""), ("three", "one")):
        grant = ConsoleGrant(
            user_id=bob.pk,
            session_hash=hash_session(session),
            domain_uuid=screen.uuid,
            mode="view",
            session=name,
            replaces=replaces,
        )
        consoles.append(Screen(open_socket(proxy, issue_grant(grant), session)))
    assert consoles[0].closed()[0] == 4005
    assert {viewer.session for viewer in read_viewers(screen.uuid)} == {"two", "three"}
    kick_consoles(ConsoleKick(domain=str(screen.uuid), viewer="two", reason="Disconnected by alice."))
    assert consoles[1].closed() == (4001, "Disconnected by alice.")
    consoles[2].socket.close()


def test_a_reason_longer_than_a_close_frame_comes_whole(proxy: DirectServer, screen: Domain, alice: User) -> None:
    opened = open_screen(proxy, alice, screen)
    reason = "Because of “ü”, and more: " + "x" * 300
    kick_consoles(ConsoleKick(user=alice.pk, reason=reason))
    said = opened.socket.recv(timeout=10)
    assert json.loads(said) == {"reason": reason}
    code, cut = opened.closed()
    assert code == 4001
    assert cut.endswith("…")
    assert len(cut.encode()) <= 123


# --- being sent away ---------------------------------------------------------------------------------------------


def test_logging_out_closes_that_logins_consoles(proxy: DirectServer, screen: Domain, alice: User) -> None:
    here, elsewhere = Client(), open_screen(proxy, alice, screen)
    here.force_login(alice)
    session = here.session.session_key or ""
    opened = Screen(open_socket(proxy, token_for(alice, session, screen), session))
    here.logout()
    assert opened.closed() == (4001, "logged out")
    elsewhere.socket.send(UPDATE_REQUEST)
    assert elsewhere.read(4)
    elsewhere.socket.close()


def test_losing_the_right_closes_the_console(proxy: DirectServer, screen: Domain, alice: User, charlie: User) -> None:
    right = bind(charlie, "vm-user", screen, granted_by=alice)
    opened = open_screen(proxy, charlie, screen)
    right.role = Role.objects.get(key="viewer")
    right.save()
    assert opened.closed()[0] == 4001


def test_who_still_may_is_not_disturbed(proxy: DirectServer, screen: Domain, alice: User, bob: User) -> None:
    watching = open_screen(proxy, bob, screen, "view")
    alice.last_name = "Changed"
    alice.save()
    bob.save()
    opened = open_screen(proxy, alice, screen)
    RoleBinding.objects.get(user=bob).delete()
    assert watching.closed()[0] == 4001
    opened.socket.send(UPDATE_REQUEST)
    assert opened.read(4)
    opened.socket.close()


def test_deactivating_a_user_closes_their_consoles(proxy: DirectServer, screen: Domain, alice: User) -> None:
    opened = open_screen(proxy, alice, screen)
    alice.is_active = False
    alice.save()
    assert opened.closed()[0] == 4001


def test_a_changed_password_closes_the_consoles_of_other_logins_and_breaks_no_login(
    proxy: DirectServer, screen: Domain, alice: User
) -> None:
    opened = open_screen(proxy, alice, screen)
    session = signed_in(alice)
    alice.set_password("another-good-password")
    alice.save()
    assert opened.closed()[0] == 4001
    # The request that changes the password goes on with its session afterwards.
    assert SessionStore(session).exists(session)


def test_a_move_is_told_as_a_move(proxy: DirectServer, screen: Domain, alice: User) -> None:
    opened = open_screen(proxy, alice, screen)
    assert screen.hypervisor_id is not None
    # Of a move away from elsewhere it has heard already: it is here.
    kick_moved(screen.uuid, from_hypervisor_id=screen.hypervisor_id + 1)
    kick_moved(screen.uuid, from_hypervisor_id=screen.hypervisor_id)
    assert opened.closed()[0] == 4002


def test_removing_the_hypervisor_closes_its_consoles(proxy: DirectServer, screen: Domain, alice: User) -> None:
    opened = open_screen(proxy, alice, screen)
    assert screen.hypervisor is not None
    screen.hypervisor.delete()
    assert opened.closed()[0] == 4001


def test_a_proxy_that_stops_says_goodbye(
    transactional_db: None, redis_client: redis.Redis, settings: Any, start_screen: Callable[..., int], alice: User
) -> None:
    settings.PUBLIC_ORIGINS = [ORIGIN]
    server = DirectServer(("127.0.0.1", 0), ConsoleHandler)
    server.port = start_screen()
    with serving(server):
        opened = open_screen(server, alice, _running(Domain.objects.get()))
    assert opened.closed() == (1001, "The proxy restarts.")


def test_viewers_are_known_while_they_are_there(proxy: DirectServer, screen: Domain, alice: User) -> None:
    opened = open_screen(proxy, alice, screen)
    opened.socket.send(UPDATE_REQUEST)
    opened.read(4)
    assert [(viewer.username, viewer.mode) for viewer in read_viewers(screen.uuid)] == [("alice", "control")]
    opened.socket.close()
    until(lambda: read_viewers(screen.uuid) == [], "the lease was not ended")


# --- what passes -------------------------------------------------------------------------------------------------


@pytest.fixture
def traced_screen(proxy: DirectServer, start_screen: Callable[..., int], tmp_path: Path) -> tuple[Domain, Path]:
    """A screen whose QEMU notes each key that reaches it."""
    log = tmp_path / "keys"
    proxy.port = start_screen("", "-trace", "vnc_key_event_map", "-D", str(log))
    return _running(Domain.objects.get()), log


def test_keys_of_an_operator_reach_the_machine(
    proxy: DirectServer, traced_screen: tuple[Domain, Path], alice: User
) -> None:
    domain, log = traced_screen
    opened = open_screen(proxy, alice, domain)
    opened.socket.send(KEY_A)
    until(lambda: log.exists() and "0x61" in log.read_text(), "the key did not arrive")
    opened.socket.close()


def test_keys_of_a_viewer_do_not(
    proxy: DirectServer, traced_screen: tuple[Domain, Path], alice: User, bob: User
) -> None:
    domain, log = traced_screen
    watching = open_screen(proxy, bob, domain, "view")
    watching.socket.send(KEY_A)
    watching.socket.send(UPDATE_REQUEST)
    # The screen still answers, after the key.
    assert watching.read(4)[0] == 0
    operator = open_screen(proxy, alice, domain)
    operator.socket.send(KEY_A.replace(b"\x61", b"\x62"))
    until(lambda: log.exists() and "0x62" in log.read_text(), "the operator's key did not arrive")
    assert "0x61" not in log.read_text()
    watching.socket.close()
    operator.socket.close()


def test_an_unread_screen_does_not_hold_up_the_keys(
    proxy: DirectServer, traced_screen: tuple[Domain, Path], alice: User
) -> None:
    domain, log = traced_screen
    opened = open_screen(proxy, alice, domain)
    for _ in range(200):
        opened.socket.send(UPDATE_REQUEST)
    opened.socket.send(KEY_A)
    until(lambda: log.exists() and "0x61" in log.read_text(), "the key waited for the screen")
    opened.socket.close()


def test_redis_going_away_ends_no_console(
    transactional_db: None, settings: Any, start_screen: Callable[..., int], tmp_path: Path, alice: User
) -> None:
    port = free_port(7600)
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    settings.REDIS_URL = f"redis://127.0.0.1:{port}/0"
    settings.PUBLIC_ORIGINS = [ORIGIN]
    console_redis._client_of.cache_clear()
    try:
        until(lambda: subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True).returncode == 0, "")
        proxy = DirectServer(("127.0.0.1", 0), ConsoleHandler)
        proxy.port = start_screen()
        with serving(proxy):
            assert proxy.kicks.listening.wait(30)
            opened = open_screen(proxy, alice, _running(Domain.objects.get()))
            server.kill()
            server.wait()
            until(lambda: not proxy.kicks.listening.is_set(), "the listener did not notice")
            opened.socket.send(UPDATE_REQUEST)
            assert opened.read(4)[0] == 0
            server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            # It hears kicks again, and made good what it missed.
            assert proxy.kicks.listening.wait(10)
            kick_consoles(ConsoleKick(user=alice.pk))
            assert opened.closed()[0] == 4001
    finally:
        server.kill()
        server.wait()
        console_redis._client_of.cache_clear()


def test_a_machine_that_dies_closes_with_its_own_code(
    proxy: DirectServer, screen: Domain, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_screen(proxy, alice, screen)
    found = subprocess.run(["pgrep", "-f", f"127.0.0.1:{proxy.port - 5900}"], capture_output=True, text=True)
    os.kill(int(found.stdout.split()[0]), signal.SIGKILL)
    # Its host does not exist, so libvirt cannot say why: unreachable, with the reason.
    assert opened.closed(30)[0] == 4004
