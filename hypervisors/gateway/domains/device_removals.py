"""What a guest answers when it is asked to let go of a device, https://libvirt.org/html/libvirt-libvirt-domain.html.

DEVICE_REMOVED comes when it has; DEVICE_REMOVAL_FAILED at once where it can refuse (memory that is in use). One that is
paused, or does not know how, says nothing at all.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated


class RemovalAnswers:
    """The aliases of the devices that are gone, and of those that were refused."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._removed: set[str] = set()
        self._refused: set[str] = set()

    def note(self, alias: str, *, is_refusal: bool) -> None:
        with self._lock:
            (self._refused if is_refusal else self._removed).add(alias)
            self._lock.notify_all()

    def wait(self, alias: str, seconds: float) -> None:
        """Until there is an answer about the device, or so long."""
        with self._lock:
            self._lock.wait_for(lambda: alias in self._removed | self._refused, seconds)

    def is_refused(self, alias: str) -> bool:
        with self._lock:
            return alias in self._refused


@contextmanager
def removal_answers(connection: Connection, uuid: UUID) -> Iterator[RemovalAnswers]:
    """What the guest answers while this is open. Raises: errors.HypervisorError."""
    answers, raw = RemovalAnswers(), connection.raw
    with translated("listen to the virtual machine"):
        domain = raw.lookupByUUID(uuid.bytes)
        ids = [
            raw.domainEventRegisterAny(domain, event, _noted, (answers, is_refusal))
            for event, is_refusal in (
                (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, False),
                (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, True),
            )
        ]
    try:
        yield answers
    finally:
        for registered in ids:
            with suppress(libvirt.libvirtError):
                raw.domainEventDeregisterAny(registered)


def _noted(_raw: Any, _domain: Any, alias: str, told: tuple[RemovalAnswers, bool]) -> None:
    answers, is_refusal = told
    answers.note(alias, is_refusal=is_refusal)
