"""Frames as browsers send them, through the short way and through websockify, and the relay between two sockets."""

import os
import random
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from websockify.websocket import WebSocket

from hypervisors.console.closing import NORMAL, TOO_BIG, ConsoleClosed
from hypervisors.console.relay import Relay, TargetClosed
from hypervisors.console.sessions import Wakeup
from hypervisors.console.websockets import ConsoleWebSocket, _take_small_messages


def frame(payload: bytes, opcode: int = 0x2, *, fin: bool = True) -> bytes:
    """As a browser sends it, with a mask of its own."""
    mask = os.urandom(4)
    encoded: bytes = WebSocket()._encode_hybi(opcode, payload, mask, fin)
    return encoded


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, ConsoleWebSocket]]:
    """A browser's raw end, and the proxy's websocket."""
    browser, ours = socket.socketpair()
    ours.setblocking(False)
    websocket = ConsoleWebSocket(None)
    # As accept() does after the handshake.
    websocket.socket, websocket.client = ours, False
    yield browser, websocket
    browser.close()
    ours.close()


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 8, 100, 125])
def test_a_short_message_is_unmasked(size: int) -> None:
    payload = os.urandom(size)
    assert _take_small_messages(frame(payload)) == ([payload], b"")


def test_short_messages_are_taken_up_to_what_is_not_one() -> None:
    small, big, ping = frame(b"key"), frame(b"x" * 126), frame(b"", 0x9)
    assert _take_small_messages(small + small + big) == ([b"key", b"key"], big)
    assert _take_small_messages(small + ping + small) == ([b"key"], ping + small)
    for cut in range(1, len(small)):
        assert _take_small_messages(small + small[:cut]) == ([b"key"], small[:cut])
    for other in (frame(b"part", fin=False), b"\x82\x03key", b""):
        assert _take_small_messages(other) == ([], other)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_way_the_bytes_are_cut_the_messages_are_the_same(
    pair: tuple[socket.socket, ConsoleWebSocket], seed: int
) -> None:
    browser, websocket = pair
    dice = random.Random(seed)
    payloads = [os.urandom(dice.choice([0, 1, 7, 125, 126, 3000])) for _ in range(40)]
    stream = b""
    for payload in payloads:
        if dice.random() < 0.2:
            stream += frame(b"", 0xA)
        half = len(payload) // 2
        in_parts = dice.random() < 0.3 and half
        stream += frame(payload[:half], fin=False) + frame(payload[half:], 0x0) if in_parts else frame(payload)
    received: list[bytes] = []
    while stream:
        cut = dice.choice([1, 3, 10, 200, 5000])
        browser.sendall(stream[:cut])
        stream = stream[cut:]
        while messages := websocket.receive_data():
            received += messages
        assert messages == []
    assert b"".join(received) == b"".join(payloads)


def test_a_ping_is_answered_and_a_close_ends_it(pair: tuple[socket.socket, ConsoleWebSocket]) -> None:
    browser, websocket = pair
    browser.sendall(frame(b"key") + frame(b"hello", 0x9))
    assert websocket.receive_data() == [b"key"]
    assert browser.recv(100) == b"\x8a\x05hello"
    browser.sendall(frame(struct.pack(">H", 1000), 0x8))
    assert websocket.receive_data() is None


def test_a_browser_that_is_gone_ends_it(pair: tuple[socket.socket, ConsoleWebSocket]) -> None:
    browser, websocket = pair
    assert websocket.receive_data() == []
    browser.close()
    assert websocket.receive_data() is None


@pytest.mark.parametrize("size", [10, 125, 126, 4000, 70000])
def test_what_the_screen_says_goes_out_as_one_frame(pair: tuple[socket.socket, ConsoleWebSocket], size: int) -> None:
    browser, websocket = pair
    data = os.urandom(size)
    websocket.send_data(data)
    received = browser.recv(1 << 20)
    decoded = WebSocket()._decode_hybi(received)
    assert (decoded["opcode"], decoded["payload"], decoded["length"]) == (0x2, data, len(received))


# --- the relay


class Running:
    """A relay in a thread of its own, and how it ended."""

    def __init__(self, websocket: ConsoleWebSocket, target: socket.socket) -> None:
        self.wakeup = Wakeup()
        self.ended: BaseException | None = None
        self._relay = Relay(browser=websocket, target=target, wakeup=self.wakeup)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._relay.run()
        except (ConsoleClosed, TargetClosed) as ended:
            self.ended = ended

    def outcome(self) -> BaseException | None:
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.wakeup.close()
        return self.ended


@pytest.fixture
def target() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The VNC server's end and the proxy's."""
    server, ours = socket.socketpair()
    server.settimeout(10)
    yield server, ours
    server.close()
    ours.close()


def test_bytes_go_both_ways_and_a_close_ends_the_relay(
    pair: tuple[socket.socket, ConsoleWebSocket], target: tuple[socket.socket, socket.socket]
) -> None:
    browser, websocket = pair
    browser.settimeout(10)
    server, ours = target
    running = Running(websocket, ours)
    for number in range(50):
        browser.sendall(frame(b"%05d" % number))
        assert server.recv(100) == b"%05d" % number
        server.sendall(b"%05d" % number)
        assert browser.recv(100) == b"\x82\x05%05d" % number
    browser.sendall(frame(struct.pack(">H", 1000), 0x8))
    ended = running.outcome()
    assert isinstance(ended, ConsoleClosed)
    assert ended.code == NORMAL


def test_a_slow_browser_holds_the_server_up_and_gets_every_byte(
    pair: tuple[socket.socket, ConsoleWebSocket], target: tuple[socket.socket, socket.socket]
) -> None:
    browser, websocket = pair
    browser.settimeout(10)
    server, ours = target
    running = Running(websocket, ours)
    data = os.urandom(4 << 20)
    sending = threading.Thread(target=server.sendall, args=(data,))
    sending.start()
    # While it reads nothing, it may still say something.
    browser.sendall(frame(b"key"))
    assert server.recv(100) == b"key"
    decoder, received, buffer = WebSocket(), b"", b""
    while len(received) < len(data):
        buffer += browser.recv(1 << 16)
        while (decoded := decoder._decode_hybi(buffer)) is not None:
            received, buffer = received + decoded["payload"], buffer[decoded["length"] :]
    sending.join(10)
    assert received == data
    server.close()
    assert isinstance(running.outcome(), TargetClosed)


def test_a_slow_server_holds_the_browser_up_and_gets_every_byte(
    pair: tuple[socket.socket, ConsoleWebSocket], target: tuple[socket.socket, socket.socket]
) -> None:
    browser, websocket = pair
    server, ours = target
    running = Running(websocket, ours)
    payloads = [os.urandom(5000) for _ in range(800)]
    sending = threading.Thread(target=browser.sendall, args=(b"".join(map(frame, payloads)),))
    sending.start()
    received = b""
    while len(received) < 5000 * 800:
        received += server.recv(1 << 16)
    sending.join(10)
    assert received == b"".join(payloads)
    running.wakeup.wake(ConsoleClosed(NORMAL, "enough"))
    ended = running.outcome()
    assert isinstance(ended, ConsoleClosed)
    assert ended.reason == "enough"


def test_a_message_in_endless_pieces_ends_the_console(pair: tuple[socket.socket, ConsoleWebSocket]) -> None:
    browser, websocket = pair
    browser.sendall(frame(b"x", fin=False) + frame(b"x", 0x0, fin=False) * 300)
    with pytest.raises(ConsoleClosed) as closed:
        list(iter(websocket.receive_data, None))
    assert closed.value.code == TOO_BIG
