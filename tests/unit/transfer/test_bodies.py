"""What is read of a request: whole packets, also of what came with the head, until the end or until nobody sends."""

import socket
import threading
from collections.abc import Iterator
from random import Random
from typing import BinaryIO

import pytest

from hypervisors.gateway.storage.volume_streams import PACKET_BYTES
from hypervisors.transfer.bodies import Body

CONTENT = Random(1).randbytes(3 * PACKET_BYTES + 1234)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket, BinaryIO]]:
    """The browser's, ours, and ours as the server reads heads from it."""
    browser, own = socket.socketpair()
    with browser, own, own.makefile("rb") as buffered:
        yield browser, own, buffered


def test_it_comes_in_whole_packets_whatever_was_read_with_the_head(
    ends: tuple[socket.socket, socket.socket, BinaryIO],
) -> None:
    browser, own, buffered = ends

    def send() -> None:
        browser.sendall(b"head\r\n" + CONTENT + b"beyond")

    sender = threading.Thread(target=send)
    sender.start()
    assert buffered.readline() == b"head\r\n"
    body = Body(buffered, own, len(CONTENT), silent_seconds=5)
    blocks = [body.read() for _ in range(4)]
    assert [len(block) for block in blocks] == [PACKET_BYTES] * 3 + [1234]
    assert b"".join(blocks) == CONTENT
    assert body.read() == b""
    sender.join(5)


def test_what_came_of_a_body_that_breaks_off_is_given(ends: tuple[socket.socket, socket.socket, BinaryIO]) -> None:
    browser, own, buffered = ends
    browser.sendall(b"head\r\n" + CONTENT[:1000])
    browser.shutdown(socket.SHUT_WR)
    assert buffered.readline() == b"head\r\n"
    body = Body(buffered, own, len(CONTENT), silent_seconds=5)
    assert body.read() == CONTENT[:1000]
    assert body.read() == b""


def test_who_sends_nothing_is_given_up(ends: tuple[socket.socket, socket.socket, BinaryIO]) -> None:
    browser, own, buffered = ends
    browser.sendall(b"head\r\nx")
    assert buffered.readline() == b"head\r\n"
    body = Body(buffered, own, len(CONTENT), silent_seconds=1)
    with pytest.raises(OSError, match="temporarily unavailable"):
        body.read()


def test_packets_that_lie_there_are_given_together_and_none_at_the_end(
    ends: tuple[socket.socket, socket.socket, BinaryIO],
) -> None:
    browser, own, buffered = ends
    sender = threading.Thread(target=browser.sendall, args=(b"head\r\n" + CONTENT,))
    sender.start()
    assert buffered.readline() == b"head\r\n"
    body = Body(buffered, own, len(CONTENT), silent_seconds=5)
    batches = list(iter(body.read_batch, []))
    assert b"".join(block for batch in batches for block in batch) == CONTENT
    assert [len(block) for batch in batches for block in batch] == [PACKET_BYTES] * 3 + [1234]
    sender.join(5)


def test_a_batch_keeps_what_came_before_the_silence(ends: tuple[socket.socket, socket.socket, BinaryIO]) -> None:
    browser, own, buffered = ends
    sender = threading.Thread(target=browser.sendall, args=(b"head\r\n" + CONTENT[:PACKET_BYTES],))
    sender.start()
    assert buffered.readline() == b"head\r\n"
    body = Body(buffered, own, len(CONTENT), silent_seconds=1)
    assert list(iter(body.read_batch, [])) == [[CONTENT[:PACKET_BYTES]]]
    sender.join(5)
