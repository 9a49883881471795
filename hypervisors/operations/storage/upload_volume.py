"""Upload a file from a browser into a new volume.

A worker makes the volume and, when all has arrived, ends the operation; the bytes come through a transfer process,
which writes them itself. In between nobody holds the operation: it is parked, and any worker goes on with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, VmportalError
from hypervisors.models import StoragePool, TransferLease, Upload
from hypervisors.operations.engine.queues import OPERATIONS_QUEUE
from hypervisors.operations.engine.records import NOTE
from hypervisors.operations.engine.runs import Later, Outcome, Result, Run, cancelled, failed, succeeded
from hypervisors.operations.engine.steps import PATIENCE_SECONDS, UNASKABLE
from hypervisors.operations.storage.arriving_volumes import (
    ArrivingVolume,
    check_free_now,
    checked_length,
    checked_name,
    checked_purpose,
    checked_sha256,
    left_text,
    make_volume,
    note_arrival,
    remove_volume,
    tell_all,
)
from hypervisors.states import UploadState

UNTOUCHED_HOURS = 24
# Nothing is to do while bytes come: this only notices what nobody told. More often at first, when it may soon be over.
_FIRST_LOOK_SECONDS, _LOOK_SECONDS = 0.5, 9.0
_AGAIN_SECONDS = 3.0
_LEASE_SECONDS = 0.5
# The volume is somebody's by now.
_THERE = (UploadState.DONE, UploadState.MISMATCHED)


@dataclass(frozen=True, kw_only=True)
class UploadParameters:
    name: str
    length_bytes: int
    purpose: str = ""
    sha256: str = ""


class UploadVolume(ArrivingVolume):
    kind = "upload_volume"
    label = gettext_lazy("Upload")
    icon = "upload"
    # Each of its runs is short; it does not wait behind copies that take hours.
    queue = OPERATIONS_QUEUE
    Parameters: ClassVar[type[Any]] = UploadParameters

    def check(self, storage_pool: StoragePool, given: Mapping[str, Any]) -> UploadParameters:
        return UploadParameters(
            name=checked_name(storage_pool, given.get("name")),
            length_bytes=checked_length(storage_pool, given.get("length_bytes")),
            purpose=checked_purpose(given),
            sha256=checked_sha256(given),
        )

    def run(self, run: Run) -> Result:
        upload = Upload.objects.select_related("storage_pool__hypervisor").filter(operation=run.operation).first()
        if upload is None:
            return failed(_("Nothing knows of the file that was to come."))
        return _Run(run, upload).go_on()


class _Run:
    """One look at one upload."""

    def __init__(self, run: Run, upload: Upload) -> None:
        self._run = run
        self._upload = upload
        self._storage_pool = upload.storage_pool

    def go_on(self) -> Result:
        # One that is just being made is made first, so that it is known whose it is; one that is there stays.
        if self._run.cancel_requested.is_set() and self._upload.state not in (UploadState.MAKING, *_THERE):
            self._set(UploadState.DISCARDED)
        elif self._is_forgotten():
            problem = _("Nothing has come for %(hours)d hours.") % {"hours": UNTOUCHED_HOURS}
            self._set(UploadState.FAILED, problem=problem)
        try:
            return self._act()
        except UNASKABLE as error:
            return self._wait(error)

    def _act(self) -> Result:
        match self._upload.state:
            case UploadState.WAITING | UploadState.MAKING:
                return self._make()
            case UploadState.OPEN | UploadState.CHECKING:
                return Later(seconds=self._until_next_look())
            case UploadState.RECEIVED:
                return self._finish()
            case UploadState.DONE | UploadState.MISMATCHED:
                # Its worker died before it could say so.
                return self._outcome()
            case _:
                return self._remove()

    def _make(self) -> Result:
        name, length = self._upload.volume_name, self._upload.length_bytes
        begun = self._upload.state == UploadState.MAKING
        try:
            if not begun:
                check_free_now(self._run, self._storage_pool, name, length)
                self._set(UploadState.MAKING)
            make_volume(self._run, self._storage_pool, name, length, begun=begun)
        except UNASKABLE:
            raise
        except VmportalError as error:
            self._set(UploadState.FAILED, problem=str(error))
            return failed(str(error))
        self._upload.is_made = True
        self._set(UploadState.OPEN)
        return Later(
            seconds=_FIRST_LOOK_SECONDS, progress={"percent": 0, "total_bytes": length, "transferred_bytes": 0}
        )

    def _finish(self) -> Outcome:
        tell_all(self._run, self._storage_pool)
        note_arrival(self._run, self._storage_pool, self._upload.volume_name, self._upload.purpose)
        expected = self._upload.sha256_expected
        is_other = expected and expected != self._upload.sha256
        self._set(UploadState.MISMATCHED if is_other else UploadState.DONE)
        return self._outcome()

    def _outcome(self) -> Outcome:
        expected, found = self._upload.sha256_expected, self._upload.sha256
        if self._upload.state == UploadState.MISMATCHED:
            return failed(
                _(
                    "All of it arrived, but it is not the file that was meant: its SHA-256 is %(found)s, and "
                    "%(expected)s was expected. The volume “%(name)s” is kept; delete it, or use it knowingly."
                )
                % {"found": found, "expected": expected, "name": self._upload.volume_name}
            )
        if expected:
            return succeeded(_("It is there, and its SHA-256 is the expected one."))
        return succeeded(_("It is there. SHA-256: %(sha256)s") % {"sha256": found})

    def _remove(self) -> Result:
        """After whoever still writes has stopped: on block devices the next volume may get the same blocks."""
        if not self._upload.is_made:
            return self._ended(_("Nothing of it is left."))
        if self._is_written():
            return Later(seconds=_LEASE_SECONDS)
        try:
            remove_volume(self._run, self._storage_pool, self._upload.volume_name)
        except UNASKABLE:
            raise
        except HypervisorError as error:
            return self._ended(left_text(self._upload.volume_name, self._storage_pool, error))
        return self._ended(_("Nothing of it is left."))

    def _is_written(self) -> bool:
        lease = TransferLease.objects.filter(key=f"upload:{self._upload.token}", until__gt=timezone.now())
        return bool(lease.update(is_wanted=True))

    def _ended(self, what_is_left: str) -> Outcome:
        if self._upload.state == UploadState.DISCARDED:
            return cancelled(_("Cancelled. %(left)s") % {"left": what_is_left})
        return failed(f"{self._upload.problem} {what_is_left}".strip())

    def _wait(self, error: VmportalError) -> Result:
        since = float(self._run.operation.progress.get("waits_since", timezone.now().timestamp()))
        if timezone.now().timestamp() - since < PATIENCE_SECONDS:
            progress = {**self._run.operation.progress, "waits_since": since, NOTE: str(error)}
            return Later(seconds=_AGAIN_SECONDS, progress=progress)
        if self._upload.is_unfinished:
            self._set(UploadState.FAILED, problem=str(error))
        return self._ended(left_text(self._upload.volume_name, self._storage_pool, HypervisorError(str(error))))

    def _until_next_look(self) -> float:
        age = (timezone.now() - self._upload.created_at).total_seconds()
        return min(_LOOK_SECONDS, max(_FIRST_LOOK_SECONDS, age / 4))

    def _is_forgotten(self) -> bool:
        if self._upload.state not in (UploadState.OPEN, UploadState.WAITING):
            return False
        return timezone.now() - self._upload.touched_at > timedelta(hours=UNTOUCHED_HOURS)

    def _set(self, state: UploadState, *, problem: str = "") -> None:
        self._upload.state = state
        self._upload.problem = problem or self._upload.problem
        self._upload.save(update_fields=["state", "problem", "is_made"])
