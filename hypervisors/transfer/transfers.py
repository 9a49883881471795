"""The transfers of this process: how far each is, how fast, and the ways to end one."""

import logging
import secrets
import socket
import threading
import time
from collections import deque
from contextlib import suppress

from hypervisors.gateway.connections import Connection
from hypervisors.models import StoragePool, Upload
from hypervisors.models.instances import instance_id
from hypervisors.operations.storage.running_digests import RunningDigest

logger = logging.getLogger(__name__)

# A rate is that of the last seconds.
_RATE_SECONDS = 5.0
_MOST_DIGESTS = 64


class Transfer:
    """One upload's or download's way through this process. `upload` is None for a download."""

    def __init__(
        self,
        *,
        client: socket.socket,
        user_id: int,
        session_key: str,
        storage_pool: StoragePool,
        upload: Upload | None = None,
    ) -> None:
        self.holder = f"{instance_id()}:{secrets.token_hex(6)}"
        self.user_id = user_id
        self.session_key = session_key
        self.storage_pool = storage_pool
        self.upload = upload
        self.connection: Connection | None = None
        self.safe_bytes = 0
        # How many it must have to go on.
        self.lease_count = 1
        self.stopped = threading.Event()
        self.ended = threading.Event()
        self._client = client
        self._moved_at = time.monotonic()
        self._marks: deque[tuple[float, int]] = deque(maxlen=64)
        self.position = 0

    def moved(self, position: int, safe_bytes: int = 0) -> None:
        """So far it has come."""
        self.position, self.safe_bytes = position, safe_bytes
        self._moved_at = now = time.monotonic()
        if not self._marks or now - self._marks[-1][0] > _RATE_SECONDS / 50:
            self._marks.append((now, position))

    @property
    def idle_seconds(self) -> float:
        return time.monotonic() - self._moved_at

    @property
    def bytes_per_second(self) -> float:
        now = time.monotonic()
        recent = [mark for mark in list(self._marks) if now - mark[0] <= _RATE_SECONDS]
        if not recent or now - recent[0][0] < 0.05:
            return 0.0
        return max(0.0, (self.position - recent[0][1]) / (now - recent[0][0]))

    def stop(self) -> None:
        """End it from another thread: whoever waits for the browser is woken; what waits for libvirt is left behind."""
        self.stopped.set()
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)


class TransferRegistry:
    """Those that run now; for use by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._transfers: dict[str, Transfer] = {}
        self._digests: dict[str, RunningDigest] = {}

    def __len__(self) -> int:
        return len(self._transfers)

    def add(self, transfer: Transfer) -> None:
        with self._lock:
            self._transfers[transfer.holder] = transfer

    def remove(self, transfer: Transfer) -> None:
        with self._lock:
            self._transfers.pop(transfer.holder, None)
        transfer.ended.set()

    def all(self) -> list[Transfer]:
        with self._lock:
            return list(self._transfers.values())

    def find_upload(self, token: str) -> Transfer | None:
        return next((one for one in self.all() if one.upload is not None and one.upload.token == token), None)

    def digest_of(self, token: str) -> RunningDigest:
        """What was counted of the upload here; a new one where that is nothing."""
        with self._lock:
            digest = self._digests.pop(token, None) or RunningDigest()
            self._digests[token] = digest
            while len(self._digests) > _MOST_DIGESTS:
                del self._digests[next(iter(self._digests))]
            return digest

    def forget_digest(self, token: str) -> None:
        with self._lock:
            self._digests.pop(token, None)
