"""Hypervisors of libvirt's test driver, and a watcher over them in this process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisors.inventory.refresh_requests import request_hypervisors_refresh
from hypervisors.inventory.watcher import Watcher
from hypervisors.models import Hypervisor, HypervisorPool, StoragePool
from hypervisors.operations.engine import records
from hypervisors.states import HypervisorStatus
from tests.fakehost.fake_storage import GIB, NODE, POOL_UUID, Storage
from tests.fakehost.killing import Killed
from tests.watching import running_watcher, wait_for_status


def domain_xml(name: str, uuid: str, *, title: str = "") -> str:
    return (
        f"<domain type='test'><name>{name}</name><uuid>{uuid}</uuid><title>{title}</title>"
        "<memory>65536</memory><vcpu>2</vcpu><os><type>hvm</type></os></domain>"
    )


class FakeHosts:
    """A running watcher and the hypervisors under it."""

    def __init__(self, watcher: Watcher, directory: Path) -> None:
        self._watcher = watcher
        self._directory = directory

    def add(self, name: str, *domains: str, pool: str = "fakes") -> Hypervisor:
        """A hypervisor that runs these domains (XML), once it is online."""
        path = self._directory / f"{name}.xml"
        path.write_text(f"<node>{''.join(domains)}</node>")
        in_pool, _ = HypervisorPool.objects.get_or_create(name=pool)
        row = Hypervisor.objects.create(hypervisor_pool=in_pool, name=name, uri=f"test://{path}")
        request_hypervisors_refresh()
        return wait_for_status(row, HypervisorStatus.ONLINE)

    def libvirt(self, hypervisor: Hypervisor) -> Any:
        """The virConnect on which that hypervisor's world lives."""
        for session in self._watcher.sessions():
            if session.hypervisor_id == hypervisor.pk and session.state.connection is not None:
                return session.state.connection.raw
        raise AssertionError(f"{hypervisor} is not connected")


@pytest.fixture
def fake_hosts(transactional_db: None, redis_client: Any, tmp_path: Path) -> Iterator[FakeHosts]:
    with running_watcher() as watcher:
        yield FakeHosts(watcher, tmp_path)


@pytest.fixture
def storage(tmp_path: Path, make_hypervisor: Callable[..., Hypervisor]) -> Storage:
    (tmp_path / "node.xml").write_text(NODE)
    hypervisor = make_hypervisor(uri=f"test://{tmp_path}/node.xml")
    row = StoragePool.objects.create(
        hypervisor=hypervisor,
        uuid=POOL_UUID,
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
        target_path="/images",
        available_bytes=50 * GIB,
    )
    return Storage(row)


@pytest.fixture
def kill_at_write(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, bool], None]]:
    """Kill the worker at its n-th writing down of the steps: before it, or after it."""
    original = records.note_steps

    def arrange(number: int, after: bool) -> None:
        left = [number]

        def note_steps(*arguments: Any) -> None:
            left[0] -= 1
            if left[0] == 0:
                if after:
                    original(*arguments)
                raise Killed
            original(*arguments)

        monkeypatch.setattr(records, "note_steps", note_steps)

    yield arrange
    monkeypatch.setattr(records, "note_steps", original)
