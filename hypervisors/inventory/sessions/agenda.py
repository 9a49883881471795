"""A thread's list of what to do and when: each job stands on it once, at the earliest time it was asked for."""

import heapq
import threading
import time
from collections.abc import Hashable
from itertools import count


class Agenda:
    """Jobs by due time. Any thread may add; one thread takes."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._due: dict[Hashable, float] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._order = count()

    def add(self, job: Hashable, *, after_seconds: float = 0.0) -> None:
        """Put it on the list; one that stands there for an earlier time stays as it is."""
        due = time.monotonic() + after_seconds
        with self._condition:
            if self._due.get(job, float("inf")) <= due:
                return
            self._due[job] = due
            heapq.heappush(self._heap, (due, next(self._order), job))
            self._condition.notify()

    def next(self, timeout_seconds: float) -> Hashable | None:
        """Wait for a job to be due and take it off the list; None when none is within the time."""
        deadline = time.monotonic() + timeout_seconds
        with self._condition:
            while True:
                now = time.monotonic()
                self._drop_superseded()
                if self._heap and self._heap[0][0] <= now:
                    _due, _order, job = heapq.heappop(self._heap)
                    del self._due[job]
                    return job
                if now >= deadline:
                    return None
                soonest = min(deadline, self._heap[0][0]) if self._heap else deadline
                self._condition.wait(soonest - now)

    def clear(self) -> None:
        with self._condition:
            self._due.clear()
            self._heap.clear()

    def _drop_superseded(self) -> None:
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
