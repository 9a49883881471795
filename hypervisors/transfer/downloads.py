"""Downloads of volumes, whole or in ranges (RFC 9110 §14), streamed from the host as the browser takes them."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from django.db import connections
from django.utils.translation import gettext as _

from hypervisors.access import audit, permitted, require
from hypervisors.access.origin import request_from
from hypervisors.errors import NotPermitted, VmportalError
from hypervisors.gateway.connections import open_connection
from hypervisors.gateway.storage.volume_streams import VolumeContent, read_content, read_stream
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import Volume
from hypervisors.operations.storage.downloads import why_no_download
from hypervisors.privileges import Privilege
from hypervisors.transfer import leases
from hypervisors.transfer.requests import Refused, refuse_foreign_page, signed_in
from hypervisors.transfer.transfers import Transfer, TransferRegistry

logger = logging.getLogger(__name__)

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What is sent of the whole: all of it, or a range that was asked for."""

    offset: int
    length: int
    total_bytes: int
    is_range: bool

    @property
    def headers(self) -> dict[str, str]:
        headers = {"Content-Length": str(self.length), "Accept-Ranges": "bytes"}
        if self.is_range:
            headers["Content-Range"] = f"bytes {self.offset}-{self.offset + self.length - 1}/{self.total_bytes}"
        return headers


class Downloads:
    """Answers requests for volumes."""

    def __init__(self, registry: TransferRegistry) -> None:
        self._registry = registry

    def send(self, request: Any, pk: int, *, is_head: bool) -> None:
        """The answer and the bytes. Raises: Refused before anything was sent; OSError when the browser goes."""
        volume, transfer = self._admit(request, pk)
        with self._placed(transfer, volume):
            try:
                connection = open_connection(endpoint_of(volume.storage_pool.hypervisor), event_loop=False)
            except VmportalError as error:
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
            transfer.connection = connection
            try:
                pool_uuid = volume.storage_pool.uuid
                content = read_content(connection, pool_uuid, volume.name)
                piece = wanted_piece(request.headers, content, tag=_tag(volume, content))
                if not is_head:
                    _note(request, transfer, volume, piece)
                connections.close_all()
                self._answer(request, volume, content, piece)
                if not is_head:
                    blocks = read_stream(connection, pool_uuid, volume.name, offset=piece.offset, length=piece.length)
                    _copy(blocks, request, transfer)
            except VmportalError as error:
                if not request.is_answered:
                    raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
                logger.warning("A download broke off: %s", error)
            finally:
                connection.close(wait_seconds=0)

    def _admit(self, request: Any, pk: int) -> tuple[Volume, Transfer]:
        refuse_foreign_page(request.headers)
        user, session_key = signed_in(request.headers)
        seen = permitted(user, Privilege.STORAGE_VIEW, Volume.objects.present())
        volume = seen.select_related("storage_pool__hypervisor").filter(pk=pk).first()
        if volume is None:
            raise Refused(HTTPStatus.NOT_FOUND, _("There is no such volume."))
        with request_from(request.address):
            try:
                require(user, Privilege.STORAGE_MANAGE, volume, what="download_volume")
            except NotPermitted as error:
                raise Refused(HTTPStatus.FORBIDDEN, str(error)) from error
        reason = why_no_download(volume)
        if reason:
            raise Refused(HTTPStatus.CONFLICT, reason)
        transfer = Transfer(
            client=request.connection, user_id=user.pk, session_key=session_key, storage_pool=volume.storage_pool
        )
        return volume, transfer

    @contextmanager
    def _placed(self, transfer: Transfer, volume: Volume) -> Iterator[None]:
        if leases.take_place(volume.storage_pool.hypervisor_id, transfer.holder) is None:
            reason = _("Two transfers are under way on its host; try again when one has ended.")
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, reason, headers={"Retry-After": "10"})
        self._registry.add(transfer)
        try:
            yield
        finally:
            self._registry.remove(transfer)
            leases.release(transfer.holder)

    def _answer(self, request: Any, volume: Volume, content: VolumeContent, piece: Piece) -> None:
        status = HTTPStatus.PARTIAL_CONTENT if piece.is_range else HTTPStatus.OK
        headers = piece.headers | {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(volume.name, safe='')}",
            "ETag": _tag(volume, content),
            "Cache-Control": "private, no-cache, no-transform",
        }
        request.answer(status, headers)


def wanted_piece(headers: Any, content: VolumeContent, *, tag: str) -> Piece:
    """The one range that was asked for, else the whole. Raises: Refused for a range that is not there."""
    total = content.length_bytes
    whole = Piece(offset=0, length=total, total_bytes=total, is_range=False)
    asked = str(headers.get("Range", ""))
    found = _RANGE.fullmatch(asked.replace(" ", ""))
    # Several ranges at once, or those of something else, may be ignored.
    if not asked or found is None or found.groups() == ("", "") or headers.get("If-Range", tag) != tag:
        return whole
    first, last = found.groups()
    begin = int(first) if first else max(0, total - int(last))
    end = min(int(last), total - 1) if first and last else total - 1
    if first and last and int(last) < begin:
        return whole
    if begin >= total or (not first and not int(last)):
        raise Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers={"Content-Range": f"bytes */{total}"})
    return Piece(offset=begin, length=end - begin + 1, total_bytes=total, is_range=True)


def _tag(volume: Volume, content: VolumeContent) -> str:
    return f'"{volume.pk}-{content.length_bytes:x}-{content.changed_at.replace(".", "-")}"'


def _note(request: Any, transfer: Transfer, volume: Volume, piece: Piece) -> None:
    user, _key = signed_in(request.headers)
    with request_from(request.address):
        audit.record(
            user,
            "download_volume",
            subject_type="volume",
            subject_key=str(volume.pk),
            subject_name=f"{volume.storage_pool.name}/{volume.name}",
            after={"offset": piece.offset, "length_bytes": piece.length},
        )


def _copy(blocks: Iterator[bytes], request: Any, transfer: Transfer) -> None:
    """Raises: OSError when the browser is gone, VmportalError."""
    position = 0
    for block in blocks:
        if transfer.stopped.is_set():
            return
        request.wfile.write(block)
        position += len(block)
        transfer.moved(position)
