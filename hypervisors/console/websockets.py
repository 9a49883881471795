"""websockify's WebSocket for one console: it never waits for a slow browser."""

import json
import socket
import struct
import time
from contextlib import suppress
from typing import Any

from websockify.websocket import WebSocketWantReadError, WebSocketWantWriteError
from websockify.websocketserver import HttpWebSocket

from hypervisors.console.closing import PROTOCOL_ERROR, TOO_BIG, ConsoleClosed, close_reason
from hypervisors.console.upgrade_requests import SUBPROTOCOL

# noVNC sends 10 KiB at most; what a browser sends as one message is held in memory.
_MAX_MESSAGE_BYTES = 1 << 20
# Each is added to the ones before it; no browser cuts what noVNC sends into so many.
_MAX_PIECES = 256
# websockify shortens what it decodes frame by frame, and so is given little at a time.
_DECODE_BYTES = 1 << 12
_CLOSE_SECONDS = 2
_READ_BYTES = 1 << 16
# So many bytes are sent as one piece: copying them costs less than handing over two.
_SMALL_BYTES = 1 << 12
# RFC 6455 §5.2.
_CONTINUATION, _TEXT, _BINARY, _PING, _PONG = 0x0, 0x1, 0x2, 0x9, 0xA


_SHORT_HEADERS = [bytes((0x80 | _BINARY, length)) for length in range(126)]


def _frame_header(length: int) -> bytes:
    """Of an unmasked binary frame."""
    if length < 126:
        return _SHORT_HEADERS[length]
    if length < 65536:
        return struct.pack(">BBH", 0x80 | _BINARY, 126, length)
    return struct.pack(">BBQ", 0x80 | _BINARY, 127, length)


def _take_small_messages(data: bytes) -> tuple[list[bytes], bytes]:
    """The short whole binary messages at the beginning, which is nearly all that browsers send, and what follows."""
    messages = []
    position, end = 0, len(data)
    while end - position >= 6 and data[position] == 0x80 | _BINARY:
        length = data[position + 1] - 0x80
        begin = position + 6
        if not 0 <= length < 126 or begin + length > end:
            break
        payload = int.from_bytes(data[begin : begin + length], "little")
        mask = int.from_bytes((data[position + 2 : begin] * 32)[:length], "little")
        messages.append((payload ^ mask).to_bytes(length, "little"))
        position = begin + length
    return messages, data[position:]


class ConsoleWebSocket(HttpWebSocket):  # type: ignore[misc]
    """Non-blocking, unless `set_deadline` made it wait."""

    def __init__(self, request_handler: object) -> None:
        super().__init__(request_handler)
        self.heard_at = time.monotonic()
        # Read, and for websockify to decode.
        self._read: bytes | None = None
        self._pieces = 0

    def select_subprotocol(self, protocols: list[str]) -> str:
        # As it was offered, with its blanks, or accept() does not recognise it.
        return next((name for name in protocols if name.strip() == SUBPROTOCOL), "")

    @property
    def is_clogged(self) -> bool:
        """Whether something waits for the browser to read on; send no data meanwhile."""
        return bool(self._send_buffer)

    def send_data(self, data: bytes) -> None:
        """Send as one message; what does not go out now leaves it clogged."""
        if self.is_clogged:
            self._send_frame(_BINARY, data)
            return
        # As _send_frame does, without copying the screen's data twice.
        header = _frame_header(len(data))
        try:
            is_small = len(data) < _SMALL_BYTES
            sent = self.socket.send(header + data) if is_small else self.socket.sendmsg([header, data])
        except BlockingIOError:
            sent = 0
        if sent < len(header) + len(data):
            self._send_buffer = (header + data)[sent:]

    def unclog(self) -> None:
        """Go on with what waits, once the socket is writable."""
        with suppress(WebSocketWantWriteError):
            self._flush()

    def send_ping(self) -> None:
        """Ping, unless data on its way does the same service."""
        if not self.is_clogged:
            self._send_frame(_PING, b"")

    def handle_ping(self, data: bytes) -> None:
        if not self.is_clogged:
            self._send_frame(_PONG, data)

    def receive_data(self) -> list[bytes] | None:
        """All messages that are there; None once the browser closed. Raises: ConsoleClosed, OSError."""
        self.heard_at = time.monotonic()
        if self._recv_buffer or self._recv_queue or self._partial_msg or self._read:
            return self._receive_any([])
        try:
            data = self.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        messages, rest = _take_small_messages(data)
        if messages and not rest:
            return messages
        self._read = rest
        return self._receive_any(messages)

    def _receive_any(self, messages: list[bytes]) -> list[bytes] | None:
        """Messages of every kind and size, after those."""
        while True:
            try:
                message = self.recvmsg()
            except WebSocketWantReadError:
                self._check_size()
                if self._read:
                    continue
                return messages
            except WebSocketWantWriteError:
                return messages
            if message is None:
                return None
            messages.append(message)
            if not self.pending() and not self._read:
                return messages

    def _recv(self) -> bool:
        """websockify's reading; False at the end."""
        read, self._read = self._read, None
        if read is None:
            return bool(super()._recv())
        self._recv_buffer += read[:_DECODE_BYTES]
        self._read = read[_DECODE_BYTES:] or None
        return bool(read)

    def _decode_hybi(self, data: bytes) -> dict[str, Any] | None:
        frame: dict[str, Any] | None = super()._decode_hybi(data)
        if frame is not None and frame["opcode"] in (_CONTINUATION, _BINARY):
            self._pieces = 0 if frame["fin"] else self._pieces + 1
            if self._pieces > _MAX_PIECES:
                raise ConsoleClosed(TOO_BIG, "A message came in too many pieces.")
        return frame

    def receive_exactly(self, count: int, deadline: float) -> tuple[bytes, bytes]:
        """So many bytes, and what came beyond them. Raises: ConsoleClosed, OSError, TimeoutError."""
        data = b""
        while len(data) < count:
            self.settimeout(max(0.001, deadline - time.monotonic()))
            messages = self.receive_data()
            if messages is None:
                raise ConsoleClosed(PROTOCOL_ERROR)
            data += b"".join(messages)
        return data[:count], data[count:]

    def close_with(self, code: int, reason: str) -> None:
        """Say goodbye after what waits, then hear the browser out. Takes 2 s at most and never raises."""
        deadline = time.monotonic() + _CLOSE_SECONDS
        if not self._is_open():
            return
        with suppress(OSError):
            self.settimeout(_CLOSE_SECONDS)
            cut = close_reason(reason)
            if cut != reason:
                # For viewer and person; noVNC takes no notice of text.
                self._send_frame(_TEXT, json.dumps({"reason": reason}).encode())
            self._shutdown(code, cut, deadline)
            # Closing while the browser's bytes lie unread would reset the connection and lose the close frame.
            while time.monotonic() < deadline and self._is_open():
                with suppress(WebSocketWantReadError, WebSocketWantWriteError):
                    if self.recvmsg() is None:
                        return

    def _shutdown(self, code: int, reason: str, deadline: float) -> None:
        while time.monotonic() < deadline:
            try:
                self.shutdown(socket.SHUT_RDWR, code, reason)
                return
            except WebSocketWantWriteError:
                continue

    def _is_open(self) -> bool:
        return self.socket is not None

    def _send_frame(self, opcode: int, data: bytes) -> None:
        # Not sendmsg(): what that could not send whole must be repeated before anything else, pongs included.
        with suppress(WebSocketWantWriteError):
            self._send(self._encode_hybi(opcode, data))

    def _check_size(self) -> None:
        if len(self._recv_buffer) + len(self._partial_msg) > _MAX_MESSAGE_BYTES:
            raise ConsoleClosed(TOO_BIG)
