"""The proxy's server: one thread per console, and all that belongs to a console on its own handler.

websockify's classes do the HTTP upgrade and the websocket framing, https://github.com/novnc/websockify. Its stock
proxy is not used: it forks, keeps the target on the shared server, and logs the request's path.
"""

import logging
import secrets
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import HTTPServer
from io import BytesIO
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

import redis
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connections
from websockify.websocketserver import WebSocketRequestHandler

from hypervisors.access.browsers import find_user, is_allowed_origin, session_key
from hypervisors.access.client_addresses import client_address
from hypervisors.console.access import find_domain
from hypervisors.console.closing import (
    GOING_AWAY,
    INTERNAL_ERROR,
    NOT_ALLOWED,
    PROTOCOL_ERROR,
    UNREACHABLE,
    ConsoleClosed,
)
from hypervisors.console.kick_listener import KickListener
from hypervisors.console.relay import Relay, TargetClosed
from hypervisors.console.request_reader import RequestReader, UpgradeRequest, answer
from hypervisors.console.seats import seat_taken, send_away_replaced
from hypervisors.console.sessions import ConsoleSession, SessionRegistry
from hypervisors.console.targets import open_target, why_it_closed
from hypervisors.console.upgrade_requests import grant_token
from hypervisors.console.upkeep import Upkeep, is_still_allowed, note_closed, note_open
from hypervisors.console.websockets import ConsoleWebSocket
from hypervisors.gateway.consoles.display_links import DisplayLink
from hypervisors.models import Domain, Hypervisor
from hypervisors.models.consoles.grants import ConsoleGrant, hash_session, redeem_grant

logger = logging.getLogger(__name__)

PATH = "/console/vnc"
HANDSHAKE_SECONDS = 10
# A session takes about 0.1 MB and a thread (docs/benchmarks.md); run further proxies for more.
MAX_SESSIONS = 400
# Threads of consoles that are not open yet, those of the process itself included.
MAX_OPENING = 96
_VERSION = b"RFB 003.008\n"
_ONLY_NONE = b"\1\1"
_OK = struct.pack(">I", 0)


class ConsoleHandler(WebSocketRequestHandler):  # type: ignore[misc]
    """One request, and the console that comes of it."""

    SocketClass = ConsoleWebSocket
    protocol_version = "HTTP/1.1"
    timeout = HANDSHAKE_SECONDS
    server: "ConsoleServer"

    def __init__(self, admitted: "Admitted", client_address: Any, server: "ConsoleServer") -> None:
        self.admitted = admitted
        super().__init__(admitted.socket, client_address, server)

    def setup(self) -> None:
        super().setup()
        # The server has read the request already.
        self.rfile = BytesIO(self.admitted.head)

    def do_GET(self) -> None:
        self.close_connection = True
        self.send_error(426)

    def handle_websocket(self) -> None:
        browser: ConsoleWebSocket = self.request
        browser.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._carry(browser)
        except ConsoleClosed as closing:
            browser.close_with(closing.code, closing.reason)
        except OSError:
            logger.debug("The browser is gone.", exc_info=True)
        except Exception:
            logger.exception("A console failed.")
            browser.close_with(INTERNAL_ERROR, "The proxy failed; its log says why.")
        finally:
            connections.close_all()

    def log_message(self, format: str, *args: Any) -> None:
        """Request lines and the like are debugging; who opens what is logged by `_opened`."""
        logger.debug("%s: %s", self.client_address[0], format % args)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Nothing: a request line is the client's to fill."""

    def version_string(self) -> str:
        return "vmportal"

    def _carry(self, browser: ConsoleWebSocket) -> None:
        """From the grant to the end of the console. Raises: ConsoleClosed, OSError."""
        grant = self.admitted.grant
        with _database_errors_told():
            session, hypervisor = self._admit(grant)
        with self._opened(session, grant.replaces):
            with _database_errors_told():
                # Registered first: a kick from now on reaches it, one from before shows here.
                if not is_still_allowed(session):
                    raise ConsoleClosed(NOT_ALLOWED, "You may not have this console.")
            connections.close_all()
            link = self.server.open_link(hypervisor, session)
            try:
                self._relay(browser, link, session)
            except TargetClosed:
                with _database_errors_told():
                    raise why_it_closed(hypervisor, session.domain_uuid) from None
            finally:
                link.close()

    def _admit(self, grant: ConsoleGrant) -> tuple[ConsoleSession, Hypervisor]:
        """The session that the grant allows, to this browser only. Raises: ConsoleClosed."""
        key = session_key(self.headers)
        user = find_user(key)
        if user is None or user.pk != grant.user_id or hash_session(key) != grant.session_hash:
            raise ConsoleClosed(NOT_ALLOWED, "The console's grant belongs to another login.")
        domain = find_domain(user, grant.domain_uuid, grant.mode)
        if domain is None or domain.hypervisor is None:
            raise ConsoleClosed(NOT_ALLOWED, "You may not have this console.")
        return self._session(grant, user.get_username(), key, domain), domain.hypervisor

    def _session(self, grant: ConsoleGrant, username: str, key: str, domain: Domain) -> ConsoleSession:
        assert domain.hypervisor_id is not None
        return ConsoleSession(
            user_id=grant.user_id,
            username=username,
            session_key=key,
            domain_uuid=domain.uuid,
            libvirt_uuid=domain.libvirt_uuid,
            domain_name=domain.name,
            hypervisor_id=domain.hypervisor_id,
            mode=grant.mode,
            name=grant.session or secrets.token_hex(6),
            address=client_address(peer=self.client_address[0], forwarded_for=self.headers.get("X-Forwarded-For", "")),
        )

    @contextmanager
    def _opened(self, session: ConsoleSession, replaces: str) -> Iterator[None]:
        registry = self.server.registry
        if len(registry) >= MAX_SESSIONS:
            raise ConsoleClosed(UNREACHABLE, f"This proxy carries {MAX_SESSIONS} consoles already.")
        seat_taken(session, replaces)
        registry.add(session)
        what = (session.username, session.domain_name, session.domain_uuid, session.mode, session.address)
        logger.info("%s opens the console of %r (%s), mode %s, from %s", *what)
        outcome = "broken off"
        try:
            yield
        except ConsoleClosed as closing:
            outcome = f"{closing.code} {closing.reason}".strip()
            raise
        finally:
            registry.remove(session)
            note_closed(session)
            seconds = time.monotonic() - session.opened_at
            logger.info("%s: console of %r (%s) closed after %.0f s: %s", *what[:3], seconds, outcome)

    def _relay(self, browser: ConsoleWebSocket, link: DisplayLink, session: ConsoleSession) -> None:
        received = offer_no_login(browser)
        note_open([session])
        if self.admitted.grant.replaces:
            send_away_replaced(session, self.admitted.grant.replaces)
        Relay(
            browser=browser,
            target=link.socket,
            wakeup=session.wakeup,
            view_only=session.mode == "view",
            already_received=received,
        ).run()


def offer_no_login(browser: ConsoleWebSocket) -> bytes:
    """The server's half of RFB's opening towards the browser, whose grant was its login: security type None.

    Returns what the browser sent beyond it. Raises: ConsoleClosed, OSError.
    """
    deadline = time.monotonic() + HANDSHAKE_SECONDS
    try:
        browser.send_data(_VERSION)
        version, rest = browser.receive_exactly(12, deadline)
        if version != _VERSION:
            raise ConsoleClosed(PROTOCOL_ERROR, "Only RFB 3.8 is spoken here.")
        browser.send_data(_ONLY_NONE)
        if not rest:
            choice, rest = browser.receive_exactly(1, deadline)
        else:
            choice, rest = rest[:1], rest[1:]
        if choice != b"\1":
            raise ConsoleClosed(PROTOCOL_ERROR, "No other login than None is offered.")
        browser.send_data(_OK)
    except TimeoutError as error:
        raise ConsoleClosed(PROTOCOL_ERROR, f"No answer within {HANDSHAKE_SECONDS} s.") from error
    return rest


@contextmanager
def _database_errors_told() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        logger.exception("A console could not be opened.")
        raise ConsoleClosed(UNREACHABLE, "The database does not answer.") from error


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """A request that a grant came with; the grant is redeemed."""

    socket: socket.socket
    head: bytes
    grant: ConsoleGrant


class Refused(Exception):
    """The request gets this answer instead of an upgrade."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


class ConsoleServer(ThreadingMixIn, HTTPServer):
    """Listens, and starts a thread per console. Serves from `serve_forever` until `stop`."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[ConsoleHandler] = ConsoleHandler) -> None:
        self.registry = SessionRegistry()
        self._stop_asked = threading.Event()
        self.kicks = KickListener(self.registry, self._stop_asked)
        self._upkeep = Upkeep(self.registry, self._stop_asked)
        self._requests = RequestReader(self._take, self._stop_asked)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the DNS for this machine's name.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """It gets a thread once its request has come and holds a grant."""
        self._requests.add(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request.socket if isinstance(request, Admitted) else request)

    def redeem(self, request: UpgradeRequest) -> ConsoleGrant:
        """The grant that comes with a request; a foreign page is refused before it could burn one. Raises: Refused."""
        if request.path.partition("?")[0] != PATH:
            raise Refused(HTTPStatus.NOT_FOUND)
        if request.method != "GET":
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED)
        if str(request.headers.get("Upgrade", "")).lower() != "websocket":
            raise Refused(HTTPStatus.UPGRADE_REQUIRED)
        origin = request.headers.get("Origin")
        if not is_allowed_origin(origin, settings.PUBLIC_ORIGINS):
            logger.warning("A console was asked for by a page of %r: refused.", origin)
            raise Refused(HTTPStatus.FORBIDDEN)
        # A thread more than there are consoles is one whose console is about to open.
        if threading.active_count() - len(self.registry) > MAX_OPENING or len(self.registry) >= MAX_SESSIONS:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE)
        token = grant_token(request.headers)
        try:
            grant = redeem_grant(token) if token else None
        except redis.RedisError as error:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE) from error
        if grant is None or grant.kind != "vnc":
            raise Refused(HTTPStatus.FORBIDDEN)
        return grant

    def _take(self, arrived: socket.socket, client_address: Any, request: UpgradeRequest) -> None:
        try:
            grant = self.redeem(request)
        except Refused as refused:
            answer(arrived, refused.status)
            return
        admitted: Any = Admitted(socket=arrived, head=request.head, grant=grant)
        super().process_request(admitted, client_address)

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        self.kicks.start()
        self._upkeep.start()
        self._requests.start()
        super().serve_forever(poll_interval)

    def open_link(self, hypervisor: Hypervisor, session: ConsoleSession) -> DisplayLink:
        """The screen's end of a session. Raises: ConsoleClosed."""
        return open_target(hypervisor, session.libvirt_uuid or session.domain_uuid)

    def stop(self) -> None:
        """Stop listening and send every browser away, to come back to the next proxy. Call from another thread."""
        self._stop_asked.set()
        self.shutdown()
        self.registry.close_where(lambda _: True, ConsoleClosed(GOING_AWAY, "The proxy restarts."))
        deadline = time.monotonic() + 3
        while len(self.registry) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.exception("A console's thread failed.")
