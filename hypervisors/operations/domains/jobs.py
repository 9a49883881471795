"""Following a libvirt job (a migration, a save) until it is over: progress, and cancellation by aborting the job."""

import time
from collections.abc import Mapping
from typing import Any

from hypervisors.errors import ConnectionFailed, ConnectionLost, HypervisorError
from hypervisors.gateway.domains.jobs import JobProgress, abort_job, read_job
from hypervisors.operations.engine.bounded_calls import BackgroundCall, NotAnswered
from hypervisors.operations.engine.runs import Run

_QUICK_POLL_SECONDS, _POLL_SECONDS = 0.1, 0.25
_QUICK_FOR_SECONDS = 2.0
_ANSWER_SECONDS = 10.0
# A job that nobody can be asked about for so long is left to be looked at again later.
_SILENCE_SECONDS = 60.0
# A run that merely looks gives its slot back sooner, and looks again later.
_ADOPTED_SILENCE_SECONDS = 15.0
_ABORT_AGAIN_SECONDS = 2.0


class JobFollower:
    """Follows one job from one run, its own or one that an earlier run began."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._began_at = time.monotonic()
        self._answered_at = self._began_at
        self._aborted_at = 0.0
        self._percent = float(run.operation.progress.get("percent", 0))

    def follow_call(self, call: BackgroundCall[None]) -> bool:
        """Until the call returns; False when it is given up, or the row was lost."""
        while not call.wait(self._poll_seconds()):
            if not self._look() and time.monotonic() - self._answered_at > _SILENCE_SECONDS:
                return False
            if self._run.lost.is_set():
                return False
        return True

    def follow_adopted(self) -> bool:
        """Until the host says that there is no job any more; False when it cannot be asked, or the row was lost."""
        while (is_seen := self._look()) is not False:
            silent_seconds = time.monotonic() - self._answered_at
            if is_seen is None and silent_seconds > _ADOPTED_SILENCE_SECONDS:
                return False
            if self._run.lost.wait(self._poll_seconds()):
                return False
        return True

    def _poll_seconds(self) -> float:
        is_young = time.monotonic() - self._began_at < _QUICK_FOR_SECONDS
        return _QUICK_POLL_SECONDS if is_young else _POLL_SECONDS

    def _look(self) -> bool | None:
        """Report and, if wished, abort; whether a job was seen. None when the host cannot be asked."""
        try:
            job = self._run.ask(lambda connection: read_job(connection, self._run.uuid), seconds=_ANSWER_SECONDS)
        except (ConnectionFailed, ConnectionLost, NotAnswered):
            return None
        except HypervisorError:
            # It answers that there is nothing to tell of: the domain is off, or gone.
            self._answered_at = time.monotonic()
            return False
        self._answered_at = time.monotonic()
        if job is None:
            return False
        self._run.report(self._progress(job))
        if self._run.cancel_requested.is_set():
            self._abort()
        return True

    def _abort(self) -> None:
        if time.monotonic() - self._aborted_at < _ABORT_AGAIN_SECONDS:
            return
        self._aborted_at = time.monotonic()
        try:
            self._run.ask(lambda connection: abort_job(connection, self._run.uuid), seconds=_ANSWER_SECONDS)
        except HypervisorError:
            # It may just be over; else it is asked again.
            return

    def _progress(self, job: JobProgress) -> Mapping[str, Any]:
        done, left = job.transferred_bytes or 0, job.remaining_bytes or 0
        if done + left:
            # The guest writes on: what is left grows again and again, but nobody wants to see a bar go backwards.
            self._percent = max(self._percent, min(99.0, round(100 * done / (done + left), 1)))
        values = {
            "percent": self._percent,
            "transferred_bytes": job.transferred_bytes,
            "total_bytes": job.total_bytes,
            "remaining_bytes": job.remaining_bytes,
            "bytes_per_second": job.bytes_per_second,
            "remaining_seconds": job.remaining_seconds,
            "downtime_milliseconds": job.downtime_milliseconds,
        }
        return {name: value for name, value in values.items() if value is not None}
