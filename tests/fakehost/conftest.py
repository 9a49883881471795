"""Hypervisors of libvirt's test driver, and a watcher over them in this process."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from hypervisors.inventory.nudges import nudge_hypervisors
from hypervisors.inventory.watcher import Watcher
from hypervisors.models import Hypervisor, HypervisorPool
from hypervisors.states import HypervisorStatus


def domain_xml(name: str, uuid: str, *, title: str = "") -> str:
    return (
        f"<domain type='test'><name>{name}</name><uuid>{uuid}</uuid><title>{title}</title>"
        "<memory>65536</memory><vcpu>2</vcpu><os><type>hvm</type></os></domain>"
    )


def wait_until(condition: Callable[[], Any], *, seconds: float = 10) -> Any:
    """The condition's first true value. Fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "what was waited for was not seen"
        time.sleep(0.01)
    return value


class FakeHosts:
    """A running watcher and the hypervisors under it."""

    def __init__(self, watcher: Watcher, directory: Path) -> None:
        self._watcher = watcher
        self._directory = directory
        self._pool, _ = HypervisorPool.objects.get_or_create(name="fakes")

    def add(self, name: str, *domains: str) -> Hypervisor:
        """A hypervisor that runs these domains (XML), once it is online."""
        path = self._directory / f"{name}.xml"
        path.write_text(f"<node>{''.join(domains)}</node>")
        row = Hypervisor.objects.create(hypervisor_pool=self._pool, name=name, uri=f"test://{path}")
        nudge_hypervisors()
        return wait_until(
            lambda: Hypervisor.objects.filter(pk=row.pk, status=HypervisorStatus.ONLINE, seen_at__isnull=False).first()
        )

    def libvirt(self, hypervisor: Hypervisor) -> Any:
        """The virConnect on which that hypervisor's world lives."""
        for session in self._watcher.sessions():
            if session.hypervisor_id == hypervisor.pk and session.state.connection is not None:
                return session.state.connection.raw
        raise AssertionError(f"{hypervisor} is not connected")


@pytest.fixture
def fake_hosts(transactional_db: None, redis_client: Any, tmp_path: Path) -> Iterator[FakeHosts]:
    stopping = threading.Event()
    watcher = Watcher(stopping)
    thread = threading.Thread(target=watcher.run, name="watcher")
    thread.start()
    try:
        yield FakeHosts(watcher, tmp_path)
    finally:
        stopping.set()
        thread.join(20)
        connection.close()
    assert not thread.is_alive()
