"""The last step of an upload: the SHA-256 of what the host has, most of which was counted along as it came."""

import logging
import queue
import secrets
import threading
from contextlib import suppress

from django.db import Error as DatabaseError
from django.db import connections

from hypervisors.errors import VmportalError
from hypervisors.gateway.connections import open_connection
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import Upload
from hypervisors.models.instances import instance_id
from hypervisors.operations.engine.records import report_parked
from hypervisors.operations.storage.arriving_volumes import is_growing
from hypervisors.operations.storage.incoming_volumes import IncomingTarget, volume_reader
from hypervisors.operations.storage.running_digests import RunningDigest
from hypervisors.operations.storage.uploads import note_checked
from hypervisors.states import UploadState
from hypervisors.transfer import leases
from hypervisors.transfer.transfers import TransferRegistry

logger = logging.getLogger(__name__)

_ROUND_SECONDS = 5.0
_TELL_BYTES = 64 * 1024**2


class Checker(threading.Thread):
    """One upload after another, until `stop` is set; also those whose transfer process died before it could."""

    def __init__(self, registry: TransferRegistry, stop: threading.Event) -> None:
        super().__init__(name="transfer-checks", daemon=True)
        self._registry = registry
        self._stop_asked = stop
        self._soon: queue.SimpleQueue[int] = queue.SimpleQueue()

    def check_soon(self, upload: Upload) -> None:
        """All of it has arrived. One whose bytes were all counted is over at once."""
        digest = self._registry.digest_of(upload.token)
        if digest.position == upload.length_bytes:
            note_checked(upload, digest.hexdigest())
            self._registry.forget_digest(upload.token)
        else:
            self._soon.put(upload.pk)

    def wake(self) -> None:
        """Look now, and whether to stop."""
        self._soon.put(0)

    def run(self) -> None:
        while not self._stop_asked.is_set():
            with suppress(queue.Empty):
                self._soon.get(timeout=_ROUND_SECONDS)
            if self._stop_asked.is_set():
                return
            try:
                self._check_due()
            except DatabaseError as error:
                logger.warning("Uploads could not be checked; tried again soon: %s", error)
            finally:
                connections.close_all()

    def _check_due(self) -> None:
        """One whose host is away holds up no other."""
        for upload in self._due():
            try:
                self._check(upload)
            except VmportalError as error:
                logger.warning("An upload could not be checked; tried again soon: %s", error)
            except DatabaseError:
                raise
            except Exception:
                logger.exception("An upload could not be checked; tried again soon.")

    def _due(self) -> list[Upload]:
        rows = Upload.objects.unfinished().filter(state=UploadState.CHECKING).order_by("touched_at")
        return list(rows.select_related("storage_pool__hypervisor"))

    def _check(self, upload: Upload) -> None:
        holder = f"{instance_id()}:check:{secrets.token_hex(4)}"
        if not leases.take(f"upload:{upload.token}", holder):
            return
        try:
            digest = self._registry.digest_of(upload.token)
            self._catch_up(upload, digest, holder)
            if digest.position == upload.length_bytes:
                note_checked(upload, digest.hexdigest())
                self._registry.forget_digest(upload.token)
        finally:
            leases.release(holder)

    def _catch_up(self, upload: Upload, digest: RunningDigest, holder: str) -> None:
        storage_pool = upload.storage_pool
        target = IncomingTarget(
            pool_uuid=storage_pool.uuid,
            name=upload.volume_name,
            length_bytes=upload.length_bytes,
            is_growing=is_growing(storage_pool),
        )
        connection = open_connection(endpoint_of(storage_pool.hypervisor), event_loop=False)
        try:
            read = volume_reader(connection, target)
            while digest.position < upload.length_bytes and not self._stop_asked.is_set():
                before = digest.position
                digest.catch_up(min(before + _TELL_BYTES, upload.length_bytes), read)
                count, _is_wanted = leases.renew(holder)
                if not count or digest.position == before or not self._is_wanted(upload):
                    return
                self._tell(upload, digest.position)
        finally:
            connection.close(wait_seconds=0)

    def _is_wanted(self, upload: Upload) -> bool:
        return Upload.objects.filter(pk=upload.pk, state=UploadState.CHECKING).exists()

    def _tell(self, upload: Upload, position: int) -> None:
        percent = round(100 * position / upload.length_bytes, 1)
        report_parked(upload.operation_id, {"percent": percent, "note": f"SHA-256: {percent:.0f} %"})
