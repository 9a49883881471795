"""Reads upgrade requests before any thread is spent on them: one thread waits for all who have not sent theirs yet.

Only a request that holds a grant gets a thread. Everybody else costs a socket and a few bytes, for seconds.
"""

import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException, parse_headers
from io import BytesIO
from typing import Any

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 10
# Of those who still owe their request, the longest waiting goes when there are more.
MAX_WAITING = 256
_MAX_HEAD_BYTES = 1 << 14
_END = b"\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class UpgradeRequest:
    """A whole request; `head` is as it came, up to the empty line."""

    method: str
    path: str
    headers: Message
    head: bytes


@dataclass(kw_only=True)
class _Waiting:
    socket: socket.socket
    address: Any
    since: float = field(default_factory=time.monotonic)
    head: bytearray = field(default_factory=bytearray)


class RequestReader(threading.Thread):
    """Calls `take(socket, address, request)` in its own thread; that must not block, and owns the socket from then."""

    def __init__(self, take: Callable[[socket.socket, Any, UpgradeRequest], None], stop: threading.Event) -> None:
        super().__init__(name="console-requests", daemon=True)
        self._take = take
        self._stop_asked = stop
        self._arrived: deque[_Waiting] = deque()
        self._waiting: dict[int, _Waiting] = {}
        self._selector = selectors.DefaultSelector()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._bell, selectors.EVENT_READ)

    def add(self, arrived: socket.socket, address: Any) -> None:
        """From any thread."""
        arrived.setblocking(False)
        self._arrived.append(_Waiting(socket=arrived, address=address))
        os.eventfd_write(self._bell, 1)

    def run(self) -> None:
        while not self._stop_asked.is_set():
            for key, _ in self._selector.select(timeout=1):
                if key.data is not None:
                    self._read(key.data)
            self._welcome()
            self._dismiss()
        for waiting in [*self._waiting.values(), *self._arrived]:
            waiting.socket.close()
        self._selector.close()
        os.close(self._bell)

    def _welcome(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        while self._arrived:
            waiting = self._arrived.popleft()
            self._waiting[waiting.socket.fileno()] = waiting
            self._selector.register(waiting.socket, selectors.EVENT_READ, waiting)
            if len(self._waiting) > MAX_WAITING:
                self._drop(next(iter(self._waiting.values())))

    def _dismiss(self) -> None:
        """Those who took too long: the oldest stand first."""
        now = time.monotonic()
        for waiting in list(self._waiting.values()):
            if now - waiting.since < REQUEST_SECONDS:
                break
            self._drop(waiting)

    def _read(self, waiting: _Waiting) -> None:
        try:
            data = waiting.socket.recv(_MAX_HEAD_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        waiting.head += data
        if not data:
            self._drop(waiting)
        elif len(waiting.head) > _MAX_HEAD_BYTES or _END in waiting.head[:-4]:
            # Nobody sends more before the answer.
            self._forget(waiting)
            answer(waiting.socket, HTTPStatus.BAD_REQUEST)
        elif waiting.head.endswith(_END):
            self._hand_over(waiting)

    def _hand_over(self, waiting: _Waiting) -> None:
        self._forget(waiting)
        request = _parse(bytes(waiting.head))
        if request is None:
            answer(waiting.socket, HTTPStatus.BAD_REQUEST)
            return
        try:
            self._take(waiting.socket, waiting.address, request)
        except Exception:
            logger.exception("A request for a console failed.")
            answer(waiting.socket, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _drop(self, waiting: _Waiting) -> None:
        self._forget(waiting)
        waiting.socket.close()

    def _forget(self, waiting: _Waiting) -> None:
        self._waiting.pop(waiting.socket.fileno(), None)
        self._selector.unregister(waiting.socket)


def answer(refused: socket.socket, status: HTTPStatus) -> None:
    """Refuse a request and close; who does not take the answer at once does not get it."""
    text = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    with suppress(OSError):
        refused.send(text.encode())
        refused.shutdown(socket.SHUT_WR)
    refused.close()


def _parse(head: bytes) -> UpgradeRequest | None:
    line, _, rest = head.partition(b"\r\n")
    words = line.decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    try:
        headers = parse_headers(BytesIO(rest))
    except HTTPException:
        return None
    return UpgradeRequest(method=words[0], path=words[1], headers=headers, head=head)
