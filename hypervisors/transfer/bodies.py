"""A request's body on its way into a volume: read and counted by one thread, written by another."""

import queue
import threading
from typing import BinaryIO

from hypervisors.errors import HypervisorError
from hypervisors.gateway.storage.volume_streams import PACKET_BYTES
from hypervisors.operations.storage.incoming_volumes import IncomingVolume
from hypervisors.operations.storage.running_digests import RunningDigest
from hypervisors.transfer.transfers import Transfer

# Blocks that were read and are not written yet, at most.
_MOST_WAITING = 8
_LOOK_SECONDS = 0.5


def copy_body(body: BinaryIO, length: int, transfer: Transfer, incoming: IncomingVolume, digest: RunningDigest) -> None:
    """Until all has come, the browser is gone or somebody stops it; what came is kept. Raises: errors.VmportalError."""
    writer = _Writer(transfer, incoming)
    writer.start()
    position, rest = incoming.position, length
    while rest and not transfer.stopped.is_set():
        try:
            block = body.read(min(rest, PACKET_BYTES))
        except OSError:
            break
        if not block or not writer.put(block):
            break
        digest.feed(position, block)
        position += len(block)
        rest -= len(block)
    writer.finish()


class _Writer(threading.Thread):
    """Writes what is put; libvirt's calls are all its own."""

    def __init__(self, transfer: Transfer, incoming: IncomingVolume) -> None:
        super().__init__(name="transfer-writer", daemon=True)
        self._transfer = transfer
        self._incoming = incoming
        self._blocks: queue.Queue[bytes] = queue.Queue(_MOST_WAITING)
        self._error: BaseException | None = None

    def put(self, block: bytes) -> bool:
        """False when it takes no more."""
        while self.is_alive():
            try:
                self._blocks.put(block, timeout=_LOOK_SECONDS)
            except queue.Full:
                if self._transfer.stopped.is_set():
                    return False
            else:
                return True
        return False

    def finish(self) -> None:
        """Once all that was put is written. Raises: errors.VmportalError, what went wrong with it."""
        self.put(b"")
        while self.is_alive():
            self.join(_LOOK_SECONDS)
            if self._transfer.stopped.is_set():
                # It may hang in libvirt, and somebody else may be writing by now.
                raise HypervisorError("It was interrupted.")
        if self._error is not None:
            raise self._error

    def run(self) -> None:
        transfer, incoming = self._transfer, self._incoming
        try:
            while block := self._blocks.get():
                if transfer.stopped.is_set():
                    break
                incoming.write(block)
                transfer.moved(incoming.position, incoming.safe_bytes)
            if transfer.stopped.is_set():
                incoming.abort()
                return
            incoming.checkpoint()
            transfer.moved(incoming.position, incoming.safe_bytes)
        except BaseException as error:  # noqa: BLE001 - belongs to whoever waits for it
            self._error = error
            incoming.abort()
