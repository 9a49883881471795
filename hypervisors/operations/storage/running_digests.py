"""The SHA-256 of what is written to a volume, counted along; what was missed is read back from the host."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

# Reads so many bytes of the volume from an offset on.
Reader = Callable[[int, int], Iterable[bytes]]

# It can go back to where it was at one of the last such steps: no more than that is under way to the host at once.
_STEP_BYTES = 32 * 1024**2
_MOST_STEPS = 8


class RunningDigest:
    """Follows a file that is sent from its beginning to its end, perhaps with interruptions."""

    def __init__(self, *, step_bytes: int = _STEP_BYTES) -> None:
        self._step_bytes = step_bytes
        self._hash = hashlib.sha256()
        self.position = 0
        self._steps: deque[tuple[int, Any]] = deque(maxlen=_MOST_STEPS)

    def feed(self, offset: int, block: bytes) -> None:
        """Counts what follows directly on what it knows; anything else is read back later."""
        if offset != self.position:
            return
        if not self._steps or self.position - self._steps[-1][0] >= self._step_bytes:
            self._steps.append((self.position, self._hash.copy()))
        self._hash.update(block)
        self.position += len(block)

    def rewind(self, offset: int) -> None:
        """The file goes on from here: forget what had not arrived."""
        if self.position <= offset:
            return
        while self._steps and self._steps[-1][0] > offset:
            self._steps.pop()
        self.position, self._hash = self._steps.pop() if self._steps else (0, hashlib.sha256())

    def catch_up(self, until: int, read: Reader) -> None:
        """Read what it missed before that offset."""
        if self.position < until:
            for block in read(self.position, until - self.position):
                self.feed(self.position, block)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
