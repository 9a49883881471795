"""Noticing a guest's reboot: its QEMU lives on, so an event is all there is to see."""

import logging
import threading
from collections.abc import Callable
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated

logger = logging.getLogger(__name__)


def watch_for_reboot(connection: Connection, uuid: UUID, on_reboot: Callable[[], None], *, seconds: float) -> None:
    """Call `on_reboot` once, in libvirt's event thread, when the guest reboots within `seconds`.

    Raises: errors.HypervisorError.
    """
    watch = _Watch(connection.raw, on_reboot)
    with translated("watch for the reboot"):
        watch.start(connection.raw.lookupByUUID(uuid.bytes), seconds)


class _Watch:
    def __init__(self, raw: "libvirt.virConnect", on_reboot: Callable[[], None]) -> None:
        self._raw = raw
        self._on_reboot = on_reboot
        self._lock = threading.Lock()
        self._callback_id: int | None = None

    def start(self, domain: "libvirt.virDomain", seconds: float) -> None:
        event = libvirt.VIR_DOMAIN_EVENT_ID_REBOOT
        self._callback_id = self._raw.domainEventRegisterAny(domain, event, self._rebooted, None)
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        timer.start()

    def _rebooted(self, connection: object, domain: object, opaque: object) -> None:
        # Duplicates are usual. Nothing may be asked of libvirt in its own event thread.
        self._on_reboot()

    def _end(self) -> None:
        with self._lock:
            callback_id, self._callback_id = self._callback_id, None
        if callback_id is None:
            return
        try:
            self._raw.domainEventDeregisterAny(callback_id)
        except libvirt.libvirtError:
            logger.debug("The connection is gone, and its callbacks with it.")
