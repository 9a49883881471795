"""libvirt's event loop in a thread of its own: keepalive and events need it, https://libvirt.org/html/libvirt-libvirt-event.html."""

import logging
import os
import threading

import libvirt

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_started_in: int | None = None


def start_event_loop() -> None:
    """Start the loop once per process, before the first connection is opened; further calls do nothing.

    A loop inherited through fork() would lose the child's events silently, hence the check. Raises: RuntimeError.
    """
    global _started_in
    with _lock:
        if _started_in == os.getpid():
            return
        if _started_in is not None:
            raise RuntimeError("libvirt's event loop was started before fork(); start it in the child only.")
        libvirt.virEventRegisterDefaultImpl()
        _started_in = os.getpid()
        threading.Thread(target=_run, name="libvirt-events", daemon=True).start()


def _run() -> None:
    while True:
        if libvirt.virEventRunDefaultImpl() < 0:
            logger.error("libvirt's event loop reported an error; it goes on.")
