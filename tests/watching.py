"""A watcher in the tests' own process, and waiting for what it brings about."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from hypervisors.inventory.watcher import Watcher
from hypervisors.models import Hypervisor
from hypervisors.states import HypervisorStatus


def wait_until(condition: Callable[[], Any], *, seconds: float = 30) -> Any:
    """The condition's first true value. Fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "what was waited for was not seen"
        time.sleep(0.01)
    return value


def wait_for_status(hypervisor: Hypervisor, status: HypervisorStatus, *, seconds: float = 30) -> Hypervisor:
    """The row, once it has that status."""
    row: Hypervisor = wait_until(
        lambda: Hypervisor.objects.filter(pk=hypervisor.pk, status=status).first(), seconds=seconds
    )
    return row


@contextmanager
def running_watcher() -> Iterator[Watcher]:
    stopping = threading.Event()
    watcher = Watcher(stopping)
    thread = threading.Thread(target=watcher.run, name="watcher")
    thread.start()
    try:
        yield watcher
    finally:
        stopping.set()
        thread.join(20)
        connection.close()
    assert not thread.is_alive()
