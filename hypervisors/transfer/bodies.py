"""A request's body on its way into a volume: read by one thread, counted by another, written by a third.

Where cores are busy, three threads get further than one that does it all; libvirt, hashlib and sockets let others run.
"""

import queue
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import BinaryIO

from hypervisors.errors import HypervisorError
from hypervisors.gateway.storage.volume_streams import PACKET_BYTES
from hypervisors.operations.storage.incoming_volumes import IncomingVolume
from hypervisors.operations.storage.running_digests import RunningDigest
from hypervisors.transfer.transfers import Transfer

# Packets that one thread hands to another at once: each handing over costs both a turn, and Python's lock.
_BATCH_PACKETS = 4
# A slow link's packets are not held back for those that follow.
_BATCH_SECONDS = 0.05
# Batches that were read and are not done with yet, at most.
_MOST_WAITING = 4
_LOOK_SECONDS = 0.5


class Body:
    """What is still to be read of a request, in whole packets."""

    def __init__(self, buffered: BinaryIO, connection: socket.socket, length: int, *, silent_seconds: int) -> None:
        self._connection = connection
        self._rest = length
        # What came together with the head lies in the buffer.
        self._begun: bytes = buffered.peek(1)[:length] if length else b""  # type: ignore[attr-defined]
        # The kernel waits until a packet is whole: far fewer turns than taking what is there.
        connection.settimeout(None)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", silent_seconds, 0))

    def read_batch(self) -> list[bytes]:
        """The next packets, as far as they come right after each other; none at the end, and when no more comes."""
        blocks: list[bytes] = []
        deadline = time.monotonic() + _BATCH_SECONDS
        try:
            while block := self.read():
                blocks.append(block)
                if len(blocks) == _BATCH_PACKETS or time.monotonic() > deadline:
                    break
        except OSError:
            self._rest = 0
        return blocks

    def read(self) -> bytes:
        """The next packet; shorter at the end, and when no more comes. Raises: OSError when nothing came for long."""
        begun, self._begun = self._begun, b""
        wanted = min(self._rest, PACKET_BYTES) - len(begun)
        block = begun + self._connection.recv(wanted, socket.MSG_WAITALL) if wanted > 0 else begun
        self._rest -= len(block)
        return block


def copy_body(body: Body, transfer: Transfer, incoming: IncomingVolume, digest: RunningDigest) -> None:
    """Until all has come, the browser is gone or somebody stops it; what came is kept. Raises: errors.VmportalError."""
    counter = _Consumer("transfer-counter", transfer, _feeding(digest, incoming.position))
    writer = _Consumer("transfer-writer", transfer, _writing(transfer, incoming))
    try:
        while not transfer.stopped.is_set():
            blocks = body.read_batch()
            if not blocks or not writer.put(blocks) or not counter.put(blocks):
                break
    finally:
        counter.finish()
        writer.finish()
    for consumer in (writer, counter):
        consumer.raise_error()


def _feeding(digest: RunningDigest, position: int) -> Callable[[bytes | None], None]:
    def feed(block: bytes | None) -> None:
        nonlocal position
        if block is not None:
            digest.feed(position, block)
            position += len(block)

    return feed


def _writing(transfer: Transfer, incoming: IncomingVolume) -> Callable[[bytes | None], None]:
    def write(block: bytes | None) -> None:
        try:
            if transfer.stopped.is_set():
                raise HypervisorError("It was interrupted.")
            if block is None:
                incoming.checkpoint()
            else:
                incoming.write(block)
        except BaseException:
            incoming.abort()
            raise
        transfer.moved(incoming.position, incoming.safe_bytes)

    return write


class _Consumer(threading.Thread):
    """Takes blocks in the order in which they are put, many at once, and None at the end."""

    def __init__(self, name: str, transfer: Transfer, take: Callable[[bytes | None], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._transfer = transfer
        self._take = take
        self._batches: queue.Queue[list[bytes] | None] = queue.Queue(_MOST_WAITING)
        self._error: BaseException | None = None
        self.start()

    def put(self, blocks: list[bytes] | None) -> bool:
        """False when it takes no more."""
        while self.is_alive():
            try:
                self._batches.put(blocks, timeout=_LOOK_SECONDS)
            except queue.Full:
                if self._transfer.stopped.is_set():
                    return False
            else:
                return True
        return False

    def finish(self) -> None:
        """Wait until all that was put is done with, unless it was stopped: what hangs in libvirt is left behind."""
        self.put(None)
        while self.is_alive() and not self._transfer.stopped.is_set():
            self.join(_LOOK_SECONDS)

    def raise_error(self) -> None:
        """Raises: errors.VmportalError, what went wrong, or that it was stopped."""
        if self._error is not None:
            raise self._error
        if self.is_alive():
            raise HypervisorError("It was interrupted.")

    def run(self) -> None:
        try:
            while (blocks := self._batches.get()) is not None:
                for block in blocks:
                    self._take(block)
            self._take(None)
        except BaseException as error:  # noqa: BLE001 - belongs to whoever waits for it
            self._error = error
