"""The SHA-256 of what is written to a volume, counted along; what was missed is read back from the host."""

import hashlib
from collections.abc import Callable, Iterable

# Reads so many bytes of the volume from an offset on.
Reader = Callable[[int, int], Iterable[bytes]]


class RunningDigest:
    """Follows a file that is written from its beginning to its end, perhaps with interruptions."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._marked = self._hash.copy()
        self.position = 0
        self._marked_position = 0

    def feed(self, offset: int, block: bytes) -> None:
        """Counts what follows directly on what it knows; anything else is read back later."""
        if offset == self.position:
            self._hash.update(block)
            self.position += len(block)

    def mark(self) -> None:
        """What it knows so far is on the host."""
        self._marked, self._marked_position = self._hash.copy(), self.position

    def rewind(self, offset: int) -> None:
        """The file goes on from here: forget what had not arrived."""
        if self.position <= offset:
            return
        if self._marked_position > offset:
            self._marked, self._marked_position = hashlib.sha256(), 0
        self._hash, self.position = self._marked.copy(), self._marked_position

    def catch_up(self, until: int, read: Reader) -> None:
        """Read what it missed before that offset."""
        if self.position < until:
            for block in read(self.position, until - self.position):
                self.feed(self.position, block)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
