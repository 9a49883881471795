"""The server of transfers: a thread for each request; plain HTTP/1.1 behind nginx's /transfer/.

Threads, because libvirt's calls block, and let other threads run meanwhile; a few transfers at once fill any link.
"""

import logging
import re
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from django.db import Error as DatabaseError
from django.db import connections

from hypervisors.access.client_addresses import client_address
from hypervisors.transfer.checks import Checker
from hypervisors.transfer.downloads import Downloads
from hypervisors.transfer.requests import Refused
from hypervisors.transfer.transfers import TransferRegistry
from hypervisors.transfer.upkeep import Upkeep
from hypervisors.transfer.uploads import TUS, Uploads

logger = logging.getLogger(__name__)

# Requests that may be open at once; each has a thread.
MAX_REQUESTS = 64
# A browser that sends or takes nothing for so long is gone.
SILENT_SECONDS = 60
_DRAIN_SECONDS = 2.0
_DRAIN_BYTES = 1 << 16
_UPLOAD = re.compile(r"/transfer/uploads/([A-Za-z0-9_-]{20,64})")
_VOLUME = re.compile(r"/transfer/volumes/([0-9]{1,18})")
_ALIVE = "/transfer/alive"


class TransferHandler(BaseHTTPRequestHandler):
    """One request; the connection ends with it."""

    protocol_version = "HTTP/1.1"
    timeout = SILENT_SECONDS
    server: "TransferServer"

    def setup(self) -> None:
        super().setup()
        self.close_connection = True
        self.is_answered = False

    @property
    def address(self) -> str:
        """The browser's."""
        return client_address(peer=self.client_address[0], forwarded_for=self.headers.get("X-Forwarded-For", ""))

    def do_OPTIONS(self) -> None:
        self.answer(HTTPStatus.NO_CONTENT, TUS | {"Tus-Version": "1.0.0", "Tus-Extension": "termination"})

    def do_HEAD(self) -> None:
        self._handle(HTTPStatus.OK)

    def do_GET(self) -> None:
        if self.path == _ALIVE:
            self.answer(HTTPStatus.NO_CONTENT, {})
            return
        self._handle(HTTPStatus.OK)

    def do_PATCH(self) -> None:
        self._handle(HTTPStatus.NO_CONTENT)

    def do_DELETE(self) -> None:
        self._handle(HTTPStatus.NO_CONTENT)

    def answer(self, status: HTTPStatus, headers: Mapping[str, str], text: str = "") -> None:
        """Status, headers, and a text for people; whoever sends more does so afterwards."""
        self.is_answered = True
        body = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        if body:
            self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _handle(self, good: HTTPStatus) -> None:
        self.close_connection = True
        try:
            with suppress(OSError):
                self._answer_or_refuse(good)
        finally:
            connections.close_all()

    def _answer_or_refuse(self, good: HTTPStatus) -> None:
        try:
            self._dispatch(good)
        except Refused as refused:
            tus = TUS if _UPLOAD.fullmatch(self.path) else {}
            self.answer(refused.status, tus | refused.headers, refused.reason)
            self._drain()
        except DatabaseError:
            logger.exception("A transfer could not be begun or ended properly.")
            # After the bytes of a volume it would be taken for more of them.
            if not self.is_answered:
                self.answer(HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "2"}, "The database does not answer.")
                self._drain()
        except OSError:
            raise
        except Exception:
            logger.exception("A transfer failed.")
            if not self.is_answered:
                self.answer(HTTPStatus.INTERNAL_SERVER_ERROR, {}, "vmportal itself failed; its log says why.")

    def _dispatch(self, good: HTTPStatus) -> None:
        upload, volume = _UPLOAD.fullmatch(self.path), _VOLUME.fullmatch(self.path)
        if volume is not None and self.command in ("GET", "HEAD"):
            self.server.downloads.send(self, int(volume[1]), is_head=self.command == "HEAD")
            return
        uploads = self.server.uploads
        answers = {"HEAD": uploads.head, "PATCH": uploads.patch, "DELETE": uploads.delete}
        if upload is None:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED if volume is not None else HTTPStatus.NOT_FOUND)
        if self.command not in answers:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED)
        self.answer(good, TUS | answers[self.command](self, upload[1]))

    def _drain(self) -> None:
        """Closing while the body lies unread would reset the connection, and the answer would be lost."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        with suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_DRAIN_SECONDS)
            while time.monotonic() < deadline and self.connection.recv(_DRAIN_BYTES):
                pass

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug("%s: %s", self.client_address[0], format % args)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Nothing: an upload's address is not for logs."""

    def version_string(self) -> str:
        return "vmportal"


class TransferServer(ThreadingMixIn, HTTPServer):
    """Listens, and starts a thread per request. Serves from `serve_forever` until `stop`."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int]) -> None:
        self.registry = TransferRegistry()
        self._stop_asked = threading.Event()
        self._checker = Checker(self.registry, self._stop_asked)
        self._upkeep = Upkeep(self.registry, self._stop_asked)
        self._requests = threading.BoundedSemaphore(MAX_REQUESTS)
        self.uploads = Uploads(self.registry, self._checker)
        self.downloads = Downloads(self.registry)
        super().__init__(address, TransferHandler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the DNS for this machine's name.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._requests.acquire(blocking=False):
            # Dropped: nginx answers 502, and browsers come again.
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            # No thread could be started.
            self._requests.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._requests.release()

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        self._upkeep.start()
        self._checker.start()
        super().serve_forever(poll_interval)

    def stop(self) -> None:
        """Stop listening and end every transfer, to go on with another process. Call from another thread."""
        self._stop_asked.set()
        self._checker.wake()
        self.shutdown()
        for transfer in self.registry.all():
            transfer.stop()
        deadline = time.monotonic() + 3
        while len(self.registry) and time.monotonic() < deadline:
            time.sleep(0.02)
        for thread in (self._upkeep, self._checker):
            thread.join(3)
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.exception("A transfer's thread failed.")
