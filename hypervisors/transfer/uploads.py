"""Uploads by the tus protocol 1.0, https://tus.io/protocols/resumable-upload: HEAD, PATCH, DELETE.

The page creates an upload by a POST of its own, which files the operation. How much has arrived is what the host says;
there is no second truth. One PATCH at a time: libvirt itself lets any number write to one volume.
"""

import logging
import time
from http import HTTPStatus
from typing import Any

from django.db import connections
from django.utils.translation import gettext as _

from hypervisors.access import can
from hypervisors.access.origin import request_from
from hypervisors.errors import HypervisorError, NotPermitted, NotPossible, StoragePoolFull, VmportalError
from hypervisors.gateway.connections import Connection, open_connection
from hypervisors.gateway.storage.storage_pools import refresh_storage_pool
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import StoragePool, Upload
from hypervisors.operations.engine.requests import request_cancel
from hypervisors.operations.storage.arriving_volumes import is_growing
from hypervisors.operations.storage.incoming_volumes import IncomingTarget, IncomingVolume, arrived_bytes
from hypervisors.operations.storage.storage_operations import storage_pools_of, why_no_storage_pool
from hypervisors.operations.storage.uploads import note_arrived, note_failure, note_pause
from hypervisors.privileges import Privilege
from hypervisors.states import UploadState
from hypervisors.transfer import leases
from hypervisors.transfer.bodies import Body, copy_body
from hypervisors.transfer.checks import Checker
from hypervisors.transfer.requests import Refused, require_own_page, signed_in
from hypervisors.transfer.transfers import Transfer, TransferRegistry

logger = logging.getLogger(__name__)

TUS = {"Tus-Resumable": "1.0.0", "Cache-Control": "no-store"}
CONTENT_TYPE = "application/offset+octet-stream"
# One that has not moved for so long gives way to a new request: its browser is gone, and nobody has noticed.
GIVES_WAY_SECONDS = 2.0
_STOPPING_SECONDS = 5.0
_OPENING_SECONDS = 10.0
_LOOK_SECONDS = 0.02
_RETRY = {"Retry-After": "2"}
_GOOD_UNTIL_ARRIVED = (UploadState.CHECKING, UploadState.RECEIVED, UploadState.DONE, UploadState.MISMATCHED)


class Uploads:
    """Answers requests for uploads."""

    def __init__(self, registry: TransferRegistry, checker: Checker) -> None:
        self._registry = registry
        self._checker = checker

    def head(self, request: Any, token: str) -> dict[str, str]:
        """The offset at which to go on. Raises: Refused."""
        upload, transfer = self._admit(request, token)
        if upload.state in _GOOD_UNTIL_ARRIVED:
            return self._told(upload, upload.length_bytes)
        with self._leased(transfer):
            connection, target = _connect(upload)
            try:
                offset = _arrived(connection, target, upload)
            finally:
                connection.close(wait_seconds=0)
            # A process that died right after the last byte has told nobody.
            if offset == upload.length_bytes and note_arrived(upload):
                self._checker.check_soon(upload)
        return self._told(upload, offset)

    def patch(self, request: Any, token: str) -> dict[str, str]:
        """Take what comes; the offset afterwards. Raises: Refused."""
        require_own_page(request.headers)
        if request.headers.get("Content-Type") != CONTENT_TYPE:
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send {CONTENT_TYPE}.")
        offset, length = _number(request, "Upload-Offset"), _number(request, "Content-Length")
        upload, transfer = self._admit(request, token)
        if upload.state != UploadState.OPEN:
            raise Refused(HTTPStatus.CONFLICT, _("It has arrived already."))
        if offset + length > upload.length_bytes:
            raise Refused(HTTPStatus.BAD_REQUEST, _("That is more than the file was to have."))
        with self._leased(transfer, place=upload.storage_pool.hypervisor_id):
            _require_open(upload)
            connection, target = _connect(upload)
            transfer.connection = connection
            transfer.safe_bytes = offset
            try:
                if offset != _arrived(connection, target, upload):
                    raise Refused(HTTPStatus.CONFLICT, _("The host has more, or less."))
                connections.close_all()
                body = Body(request.rfile, request.connection, length, silent_seconds=request.timeout)
                position = self._receive(body, length, transfer, connection, target, offset)
            finally:
                connection.close(wait_seconds=0)
            if position == upload.length_bytes and note_arrived(upload):
                self._checker.check_soon(upload)
        return self._told(upload, position)

    def delete(self, request: Any, token: str) -> dict[str, str]:
        """Cancel it; a worker removes what has arrived. Raises: Refused."""
        require_own_page(request.headers)
        upload, _transfer = self._admit(request, token)
        with request_from(request.address):
            try:
                request_cancel(upload.operation, user=upload.owner)
            except NotPossible as error:
                raise Refused(HTTPStatus.CONFLICT, str(error)) from error
            except NotPermitted as error:
                raise Refused(HTTPStatus.FORBIDDEN, str(error)) from error
        return {}

    def _admit(self, request: Any, token: str) -> tuple[Upload, Transfer]:
        """The upload, which is the person's own and open, or complete. Raises: Refused."""
        if request.headers.get("Tus-Resumable") != "1.0.0":
            raise Refused(HTTPStatus.PRECONDITION_FAILED, "tus 1.0.0 is spoken here.", headers={"Tus-Version": "1.0.0"})
        user, session_key = signed_in(request.headers)
        upload = _wait_until_open(token)
        if upload is None or upload.owner_id != user.pk:
            raise Refused(HTTPStatus.NOT_FOUND)
        if not can(user, Privilege.STORAGE_MANAGE, upload.storage_pool):
            raise Refused(HTTPStatus.FORBIDDEN, _("You may not change this storage pool any more."))
        if upload.is_given_up:
            raise Refused(HTTPStatus.GONE, upload.operation.outcome)
        if upload.state in (UploadState.FAILED, UploadState.DISCARDED):
            raise Refused(HTTPStatus.GONE, upload.problem or _("It was cancelled."))
        if upload.state in (UploadState.WAITING, UploadState.MAKING):
            raise Refused(HTTPStatus.LOCKED, _("The volume is still being made."), headers=_RETRY)
        transfer = Transfer(
            client=request.connection,
            user_id=user.pk,
            session_key=session_key,
            storage_pool=upload.storage_pool,
            upload=upload,
        )
        return upload, transfer

    def _leased(self, transfer: Transfer, *, place: int | None = None) -> "_Leased":
        return _Leased(self._registry, transfer, place)

    def _receive(
        self,
        body: Body,
        length: int,
        transfer: Transfer,
        connection: Connection,
        target: IncomingTarget,
        offset: int,
    ) -> int:
        """The position that the host is known to have afterwards. Raises: Refused."""
        upload = transfer.upload
        assert upload is not None
        digest = self._registry.digest_of(upload.token)
        try:
            digest.rewind(offset)
            incoming = IncomingVolume(connection, target, offset=offset)
            copy_body(body, transfer, incoming, digest)
        except (StoragePoolFull, NotPossible) as error:
            # Going on would end in the same place.
            note_failure(upload, str(error))
            raise Refused(HTTPStatus.GONE, str(error)) from error
        except VmportalError as error:
            note_pause(upload, received_bytes=transfer.safe_bytes, why=str(error))
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers=_RETRY) from error
        if incoming.safe_bytes < offset + length:
            note_pause(upload, received_bytes=incoming.safe_bytes, why=_("Waits for the browser."))
        return incoming.safe_bytes

    def _told(self, upload: Upload, offset: int) -> dict[str, str]:
        return {"Upload-Offset": str(offset), "Upload-Length": str(upload.length_bytes)}


class _Leased:
    """Holds an upload's lease, and a place on its host where one is needed, while it is registered here."""

    def __init__(self, registry: TransferRegistry, transfer: Transfer, place: int | None) -> None:
        self._registry = registry
        self._transfer = transfer
        self._place = place

    def __enter__(self) -> None:
        upload, transfer = self._transfer.upload, self._transfer
        assert upload is not None
        key = f"upload:{upload.token}"
        former = self._registry.find_upload(upload.token)
        if former is not None and former.idle_seconds > GIVES_WAY_SECONDS:
            former.stop()
            former.ended.wait(_STOPPING_SECONDS)
        self._registry.add(transfer)
        try:
            if not leases.take(key, transfer.holder):
                leases.want(key)
                raise Refused(HTTPStatus.LOCKED, _("It is being sent already."), headers=_RETRY)
            if self._place is not None and leases.take_place(self._place, transfer.holder) is None:
                why = _("Waits until other transfers of its host are done.")
                note_pause(upload, received_bytes=upload.received_bytes, why=why)
                raise Refused(HTTPStatus.LOCKED, why, headers=_RETRY)
            transfer.lease_count = 1 if self._place is None else 2
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exception: object) -> None:
        # First what cannot fail: a transfer that stays registered keeps its leases for ever.
        self._registry.remove(self._transfer)
        leases.release(self._transfer.holder)


def _wait_until_open(token: str) -> Upload | None:
    """The upload, once its volume is made, which takes a moment."""
    deadline = time.monotonic() + _OPENING_SECONDS
    rows = Upload.objects.select_related("owner", "operation", "storage_pool__hypervisor")
    while True:
        upload = rows.filter(token=token).first()
        is_coming = upload is not None and upload.state in (UploadState.WAITING, UploadState.MAKING)
        is_coming = is_coming and upload is not None and not upload.is_given_up
        if not is_coming or time.monotonic() > deadline:
            return upload
        connections.close_all()
        time.sleep(_LOOK_SECONDS)


def _require_open(upload: Upload) -> None:
    """Look again once the lease is had: from here on nobody removes the volume, and nobody else gets its name.

    Raises: Refused.
    """
    if not Upload.objects.unfinished().filter(pk=upload.pk, state=UploadState.OPEN).exists():
        raise Refused(HTTPStatus.CONFLICT, _("It was ended meanwhile."))


def _connect(upload: Upload) -> tuple[Connection, IncomingTarget]:
    """Through the upload's host; through another that has the same storage, proved, while that is away.

    Raises: Refused.
    """
    reason = ""
    for storage_pool in _ways_to(upload.storage_pool):
        unfit = why_no_storage_pool(storage_pool)
        if unfit:
            reason = reason or unfit
            continue
        try:
            connection = open_connection(endpoint_of(storage_pool.hypervisor), event_loop=False)
            if storage_pool.pk != upload.storage_pool_id:
                refresh_storage_pool(connection, storage_pool.uuid)
        except VmportalError as error:
            reason = reason or str(error)
            continue
        return connection, IncomingTarget(
            pool_uuid=storage_pool.uuid,
            name=upload.volume_name,
            length_bytes=upload.length_bytes,
            is_growing=is_growing(storage_pool),
            purpose=upload.purpose,
        )
    note_pause(upload, received_bytes=upload.received_bytes, why=reason)
    raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, reason, headers=_RETRY)


def _ways_to(storage_pool: StoragePool) -> list[StoragePool]:
    shared = storage_pool.shared_storage
    if shared is None or not shared.is_proved or not is_growing(storage_pool):
        return [storage_pool]
    return list(storage_pools_of(storage_pool))


def _arrived(connection: Connection, target: IncomingTarget, upload: Upload) -> int:
    """Raises: Refused."""
    try:
        return arrived_bytes(connection, target, known_bytes=upload.received_bytes)
    except HypervisorError as error:
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers=_RETRY) from error


def _number(request: Any, name: str) -> int:
    """Raises: Refused."""
    text = str(request.headers.get(name, ""))
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        status = HTTPStatus.LENGTH_REQUIRED if name == "Content-Length" else HTTPStatus.BAD_REQUEST
        raise Refused(status, f"{name} is missing, or no number.")
    return int(text)
