"""Limits on how many threads do the same at once; a thread that takes too long no longer counts.

A hundred threads that all have work at once spend their time on handing the interpreter lock around, and a hundred ssh
handshakes at once all time out. But a hypervisor that hangs inside must not keep the others out.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class ConcurrencyLimit:
    """`with limit.held():` waits for a free place; each is free again after `lease_seconds` at the latest."""

    def __init__(self, places: int, *, lease_seconds: float) -> None:
        self._places = places
        self._lease_seconds = lease_seconds
        self._condition = threading.Condition()
        self._leases: dict[object, float] = {}

    @contextmanager
    def held(self) -> Iterator[None]:
        visitor = object()
        self._enter(visitor)
        try:
            yield
        finally:
            self._leave(visitor)

    def _enter(self, visitor: object) -> None:
        with self._condition:
            while True:
                now = time.monotonic()
                running = [end for end in self._leases.values() if end > now]
                if len(running) < self._places:
                    self._leases[visitor] = now + self._lease_seconds
                    return
                self._condition.wait(min(running) - now)

    def _leave(self, visitor: object) -> None:
        with self._condition:
            del self._leases[visitor]
            self._condition.notify()


# An opening takes half a second by ssh and milliseconds otherwise; dead hosts pass at 8 a second.
OPENING = ConcurrencyLimit(4, lease_seconds=0.5)
# Reading a hundred domains takes some ten milliseconds.
READING = ConcurrencyLimit(2, lease_seconds=1.0)
