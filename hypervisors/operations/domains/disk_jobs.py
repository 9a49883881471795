"""Following a job on one disk (a copy, a merge) until it is over or ready to be gone over to; cancelled, it ends."""

import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.errors import (
    ConnectionFailed,
    ConnectionLost,
    HypervisorError,
    NotFound,
    OperationRefused,
    StorageBusy,
)
from hypervisors.gateway.domains.block_jobs import DiskJob, end_disk_job, go_over, read_disk_job
from hypervisors.operations.engine.bounded_calls import NotAnswered
from hypervisors.operations.engine.runs import Run

_POLL_SECONDS, _ANSWER_SECONDS = 0.25, 15.0
# A host that says nothing for so long is looked at again later.
_SILENCE_SECONDS = 30.0
# libvirt makes its last changes after the other image is ready.
_GO_OVER_SECONDS = 60.0
# Speed is measured over so long.
_SPEED_SECONDS = 2.0


class JobEnd(StrEnum):
    """READY: both images are alike, until the domain goes over or the job is ended. OVER: there is none any more."""

    READY = "ready"
    OVER = "over"
    CANCELLED = "cancelled"


class DiskJobFollower:
    """Follows the job on the disk `target` from one run, its own or one that an earlier run began."""

    def __init__(self, run: Run, target: str) -> None:
        self._run = run
        self._target = target
        self._answered_at = time.monotonic()
        self._meter = ProgressMeter()

    def follow(self) -> JobEnd:
        """Raises: NotAnswered when the host says nothing for long, or another worker has the operation."""
        is_cancelled = False
        while True:
            try:
                job = self._look()
            except (ConnectionFailed, ConnectionLost, NotAnswered):
                if time.monotonic() - self._answered_at > _SILENCE_SECONDS:
                    raise
            else:
                self._answered_at = time.monotonic()
                if job is None:
                    return JobEnd.CANCELLED if is_cancelled else JobEnd.OVER
                if self._run.cancel_requested.is_set():
                    is_cancelled = True
                    self._end()
                elif job.is_ready:
                    return JobEnd.READY
                else:
                    self._run.report(self._meter.values(job.done_bytes, job.total_bytes))
            if self._run.lost.wait(_POLL_SECONDS):
                raise NotAnswered(_("Another worker goes on with it."))

    def go_over(self) -> None:
        """Raises: errors.StorageBusy when it is never ready; other HypervisorErrors."""
        uuid, target = self._run.uuid, self._target
        until = time.monotonic() + _GO_OVER_SECONDS
        while not self._run.ask(lambda connection: go_over(connection, uuid, target), seconds=_GO_OVER_SECONDS):
            if time.monotonic() > until:
                raise StorageBusy(_("The copy of %(disk)s does not become ready.") % {"disk": target})
            if self._run.lost.wait(_POLL_SECONDS):
                raise NotAnswered(_("Another worker goes on with it."))

    def _look(self) -> DiskJob | None:
        """None when there is none, or the domain is off. Whatever else the host says tells nothing: it is asked again.

        Raises: NotAnswered, errors.ConnectionFailed, ConnectionLost.
        """
        uuid, target = self._run.uuid, self._target
        try:
            return self._run.ask(lambda connection: read_disk_job(connection, uuid, target), seconds=_ANSWER_SECONDS)
        except (ConnectionFailed, ConnectionLost, NotAnswered):
            raise
        except (OperationRefused, NotFound):
            return None
        except HypervisorError as error:
            # A domain that is busy, for example: its job goes on meanwhile.
            raise NotAnswered(str(error)) from error

    def _end(self) -> None:
        uuid, target = self._run.uuid, self._target
        self._run.ask(lambda connection: end_disk_job(connection, uuid, target), seconds=_ANSWER_SECONDS)


class ProgressMeter:
    """What is shown of a job that tells how many bytes are done: how far, how fast, and how long still."""

    def __init__(self) -> None:
        self._measured: tuple[float, int] | None = None
        self._speed = 0

    def values(self, done_bytes: int, total_bytes: int) -> Mapping[str, Any]:
        found: dict[str, Any] = {"transferred_bytes": done_bytes, "total_bytes": total_bytes}
        if total_bytes:
            found["percent"] = min(99.0, round(100 * done_bytes / total_bytes, 1))
        self._measure(done_bytes)
        if self._speed > 0:
            found["bytes_per_second"] = self._speed
            found["remaining_seconds"] = round((total_bytes - done_bytes) / self._speed, 1)
        return found

    def _measure(self, done_bytes: int) -> None:
        now = time.monotonic()
        if self._measured is None:
            self._measured = (now, done_bytes)
        elif now - self._measured[0] >= _SPEED_SECONDS:
            self._speed = round((done_bytes - self._measured[1]) / (now - self._measured[0]))
            self._measured = (now, done_bytes)
