"""Turnstiles let few threads at a time through, without ever stopping one for long.

A hundred threads that all have Python work at once spend their time on handing the interpreter lock around, and a
hundred ssh handshakes at once all time out. But a hypervisor that hangs inside must not keep the others out.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turnstile:
    """`with turnstile.passed():` waits for a free place, for `max_wait_seconds` at most, and goes in anyway then."""

    def __init__(self, places: int, *, max_wait_seconds: float) -> None:
        self._places = threading.Semaphore(places)
        self._max_wait_seconds = max_wait_seconds

    @contextmanager
    def passed(self) -> Iterator[None]:
        has_place = self._places.acquire(timeout=self._max_wait_seconds)
        try:
            yield
        finally:
            if has_place:
                self._places.release()


OPENING = Turnstile(8, max_wait_seconds=3)
READING = Turnstile(2, max_wait_seconds=2)
