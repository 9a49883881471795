"""Uploads as pages and transfer processes deal with them: begun, found again, and written down while they come."""

import secrets
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from hypervisors.models import StoragePool, Upload
from hypervisors.operations.engine.delivery import deliver, deliver_soon
from hypervisors.operations.engine.records import note_due, report_parked
from hypervisors.operations.engine.requests import request_operation
from hypervisors.operations.storage.arriving_volumes import checked_sha256
from hypervisors.states import UNFINISHED_UPLOAD_STATES, UploadState

# 256 random bits.
_TOKEN_BYTES = 32
_AGAIN_SECONDS = 0.4


def begin_upload(*, user: User, storage_pool: StoragePool, parameters: dict[str, Any], fingerprint: str) -> Upload:
    """The upload of this file, the one that was begun and broke off if there is one.

    Raises: errors.NotPermitted, errors.Conflict, errors.NotPossible.
    """
    begun = find_begun(user, storage_pool, str(parameters.get("name", "")), fingerprint)
    if begun is not None and begun.length_bytes == parameters.get("length_bytes"):
        return _expecting(begun, checked_sha256(parameters))
    with transaction.atomic():
        operation = request_operation(user=user, kind="upload_volume", subject=storage_pool, parameters=parameters)
        return Upload.objects.create(
            token=secrets.token_urlsafe(_TOKEN_BYTES),
            owner=user,
            operation=operation,
            storage_pool=storage_pool,
            volume_name=operation.parameters["name"],
            length_bytes=operation.parameters["length_bytes"],
            sha256_expected=operation.parameters.get("sha256", ""),
            purpose=operation.parameters.get("purpose", ""),
            fingerprint=fingerprint[:400],
        )


def find_begun(user: User, storage_pool: StoragePool, name: str, fingerprint: str) -> Upload | None:
    """An unfinished upload of the same file to the same place by the same person."""
    same = StoragePool.objects.same_storage_as(storage_pool)
    if not fingerprint or "\x00" in name:
        return None
    begun = Upload.objects.unfinished().filter(owner=user, storage_pool__in=same, volume_name=name)
    return begun.filter(fingerprint=fingerprint[:400]).first()


def _expecting(begun: Upload, sha256: str) -> Upload:
    """With the checksum that the person gave this time, if they gave one."""
    if sha256 and sha256 != begun.sha256_expected:
        Upload.objects.unfinished().filter(pk=begun.pk).update(sha256_expected=sha256)
        begun.sha256_expected = sha256
    return begun


def note_progress(upload: Upload, *, position: int, safe_bytes: int, bytes_per_second: float) -> bool:
    """Bytes arrived: so many were written, of which the host is known to have so many.

    False when nobody wants them any more.
    """
    values = {"bytes_per_second": round(bytes_per_second), "touched_at": timezone.now()}
    open_rows = Upload.objects.filter(pk=upload.pk, state=UploadState.OPEN)
    if not open_rows.update(received_bytes=safe_bytes, **values):
        return False
    report_parked(upload.operation_id, progress_of(upload, position, bytes_per_second))
    return True


def progress_of(upload: Upload, received_bytes: int, bytes_per_second: float) -> dict[str, Any]:
    length = upload.length_bytes
    progress: dict[str, Any] = {
        "percent": round(100 * received_bytes / length, 1),
        "transferred_bytes": received_bytes,
        "total_bytes": length,
    }
    if bytes_per_second > 0:
        progress["bytes_per_second"] = round(bytes_per_second)
        progress["remaining_seconds"] = round((length - received_bytes) / bytes_per_second)
    return progress


def note_pause(upload: Upload, *, received_bytes: int, why: str) -> None:
    """Nothing comes at the moment."""
    Upload.objects.filter(pk=upload.pk, state=UploadState.OPEN).update(
        received_bytes=received_bytes, bytes_per_second=0, touched_at=timezone.now()
    )
    report_parked(upload.operation_id, progress_of(upload, received_bytes, 0) | {"note": why})


def note_arrived(upload: Upload) -> bool:
    """All of it is on the host; it is to be checked."""
    values = {"received_bytes": upload.length_bytes, "bytes_per_second": 0, "touched_at": timezone.now()}
    open_rows = Upload.objects.filter(pk=upload.pk, state=UploadState.OPEN)
    return bool(open_rows.update(state=UploadState.CHECKING, **values))


def note_checked(upload: Upload, sha256: str) -> None:
    """It is as it is; a worker ends it."""
    checking = Upload.objects.filter(pk=upload.pk, state=UploadState.CHECKING)
    if checking.update(state=UploadState.RECEIVED, sha256=sha256):
        _have_it_ended(upload)


def note_failure(upload: Upload, problem: str) -> None:
    """It cannot be gone on with: a worker removes what has arrived."""
    unfinished = Upload.objects.filter(pk=upload.pk, state__in=UNFINISHED_UPLOAD_STATES)
    if unfinished.update(state=UploadState.FAILED, problem=problem, bytes_per_second=0):
        _have_it_ended(upload)


def _have_it_ended(upload: Upload) -> None:
    kind = upload.operation.kind
    note_due(upload.operation_id)
    deliver_soon(upload.operation_id, kind)
    # A worker that looked at this very moment saw it as it was, and passes the delivery over.
    deliver(upload.operation_id, kind, in_seconds=_AGAIN_SECONDS)
