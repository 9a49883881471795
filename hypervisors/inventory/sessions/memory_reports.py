"""What guests say of their memory: who says it often enough to be believed, and who must be asked to.

A balloon's driver tells once when it is loaded, and then only if libvirt was given a period. What it told stays in
libvirt for ever; so it counts only while the time of its telling moves. That time is by the host's clock, which may
differ from ours: only that it moves is looked at.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from hypervisors.gateway.domains.statistics import DomainStatistics

# A report that does not move for so long is old, or for some of the periods in which it moved before.
_FRESH_SECONDS = 30.0
_FRESH_PERIODS = 2.5
# Who has a period moves within that.
_PATIENCE_SECONDS = 12.0
# Of one sweep: each costs two round trips.
_MOST_ASKED_AT_ONCE = 20


@dataclass(kw_only=True, slots=True)
class _Report:
    run: int
    # The host's time of the report, when it was seen first by our clock, and after how long it followed the one before.
    told_at: int | None
    since: float
    met_at: float
    period_seconds: float | None = None
    is_asked: bool = False

    def is_fresh(self, now: float) -> bool:
        if self.period_seconds is None:
            return False
        return now - self.since <= max(_FRESH_SECONDS, _FRESH_PERIODS * self.period_seconds)


class MemoryReports:
    """Of the running domains of one hypervisor; outlives the sampler's threads."""

    def __init__(self) -> None:
        self._reports: dict[UUID, _Report] = {}

    def believed(self, readings: Iterable[DomainStatistics], *, now: float) -> list[DomainStatistics]:
        """The readings, without what is said of memory where that is old. `now` is time.monotonic()."""
        before, self._reports = self._reports, {}
        believed = []
        for reading in readings:
            report = self._reports[reading.uuid] = _follow(before.get(reading.uuid), reading, now)
            believed.append(reading if report.is_fresh(now) else replace(reading, memory_used_kib=None))
        return believed

    def to_ask(self, readings: Iterable[DomainStatistics], *, now: float) -> Sequence[UUID]:
        """Some of those whose reports do not move; each is named once in a run of it, whatever comes of it."""
        silent = [
            reading.uuid
            for reading in readings
            # Who does not answer would keep us waiting; libvirt's test driver has no balloons.
            if reading.is_complete and reading.cpu_nanoseconds is not None and self._is_silent(reading.uuid, now)
        ][:_MOST_ASKED_AT_ONCE]
        for uuid in silent:
            self._reports[uuid].is_asked = True
        return silent

    def _is_silent(self, uuid: UUID, now: float) -> bool:
        report = self._reports[uuid]
        return not report.is_asked and not report.is_fresh(now) and now - report.met_at >= _PATIENCE_SECONDS


def _follow(before: _Report | None, reading: DomainStatistics, now: float) -> _Report:
    if before is None or before.run != reading.run:
        return _Report(run=reading.run, told_at=reading.memory_told_at, since=now, met_at=now)
    if reading.is_complete and reading.memory_told_at != before.told_at:
        is_second = before.told_at is not None and reading.memory_told_at is not None
        return replace(
            before,
            told_at=reading.memory_told_at,
            since=now,
            period_seconds=now - before.since if is_second else None,
        )
    return before
