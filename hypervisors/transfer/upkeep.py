"""What goes on beside the transfers: leases are renewed, progress is told, and what may not go on is ended."""

import logging
import threading
import time

from django.db import Error as DatabaseError
from django.db import connections

from hypervisors.access import can
from hypervisors.access.browsers import find_user
from hypervisors.operations.storage.uploads import note_progress
from hypervisors.privileges import Privilege
from hypervisors.transfer import leases
from hypervisors.transfer.transfers import Transfer, TransferRegistry
from hypervisors.transfer.uploads import GIVES_WAY_SECONDS

logger = logging.getLogger(__name__)

# A transfer in which nothing moves for so long is given up: a browser that is gone, or a host that hangs.
STALLED_SECONDS = 60.0
_TELL_SECONDS = 1.0
_RENEW_SECONDS = 2.0
_RIGHTS_SECONDS = 15.0


class Upkeep(threading.Thread):
    """Runs until `stop` is set. The database being away ends no transfer."""

    def __init__(self, registry: TransferRegistry, stop: threading.Event) -> None:
        super().__init__(name="transfer-upkeep", daemon=True)
        self._registry = registry
        self._stop_asked = stop
        self._renewed_at = self._checked_at = time.monotonic()

    def run(self) -> None:
        self._release_dead()
        while not self._stop_asked.wait(_TELL_SECONDS):
            transfers = self._registry.all()
            self._end_stalled(transfers)
            try:
                self._look_after([one for one in transfers if not one.stopped.is_set()])
            except DatabaseError as error:
                logger.warning("Transfers could not be written down, and go on: %s", error)
            except Exception:
                logger.exception("Transfers could not be looked after, and go on.")
            finally:
                connections.close_all()

    def _release_dead(self) -> None:
        try:
            leases.release_dead()
        except DatabaseError as error:
            logger.warning("What former processes held stays so for seconds: %s", error)
        finally:
            connections.close_all()

    def _look_after(self, transfers: list[Transfer]) -> None:
        now = time.monotonic()
        for transfer in transfers:
            self._tell(transfer)
        if now - self._renewed_at >= _RENEW_SECONDS:
            self._renewed_at = now
            for transfer in transfers:
                self._renew(transfer)
        if now - self._checked_at >= _RIGHTS_SECONDS:
            self._checked_at = now
            for transfer in transfers:
                if not is_still_allowed(transfer):
                    logger.info("A transfer ends: its person may not have it any more.")
                    transfer.stop()

    def _tell(self, transfer: Transfer) -> None:
        upload = transfer.upload
        if upload is None or not transfer.position:
            return
        is_wanted = note_progress(
            upload,
            position=transfer.position,
            safe_bytes=transfer.safe_bytes,
            bytes_per_second=transfer.bytes_per_second,
        )
        # Its last byte may just have made it another state.
        if not is_wanted and transfer.position < upload.length_bytes:
            transfer.stop()

    def _renew(self, transfer: Transfer) -> None:
        count, is_wanted = leases.renew(transfer.holder)
        gives_way = is_wanted and transfer.idle_seconds > GIVES_WAY_SECONDS
        # One of two is not enough: who got the other may be writing to the same volume.
        if not transfer.ended.is_set() and (count < transfer.lease_count or gives_way):
            transfer.stop()

    def _end_stalled(self, transfers: list[Transfer]) -> None:
        """What hangs in libvirt cannot be woken; should it wake, it finds that it was stopped."""
        for transfer in transfers:
            if transfer.idle_seconds > STALLED_SECONDS and not transfer.stopped.is_set():
                logger.warning("A transfer in which nothing has moved for %d s is given up.", STALLED_SECONDS)
                transfer.stop()
                if transfer.connection is not None:
                    transfer.connection.close(wait_seconds=0)


def is_still_allowed(transfer: Transfer) -> bool:
    """Whether its person is signed in and has the right. Raises: django.db.Error."""
    user = find_user(transfer.session_key)
    if user is None or user.pk != transfer.user_id:
        return False
    return can(user, Privilege.STORAGE_MANAGE, transfer.storage_pool)
