"""Proving what is shared on libvirt's test driver, where nothing is: what the rows say, and that nothing stays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User

from hypervisors.errors import NotPossible
from hypervisors.gateway.connections import cached_connection
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.libvirtxml.storage_pools import PROBE_PREFIX
from hypervisors.models import Hypervisor, Operation, OperationLock, SharedStorage, StoragePool
from hypervisors.operations.engine.requests import request_operation
from hypervisors.operations.storage import prove_sharing
from hypervisors.states import OperationState
from tests.fakehost.killing import run_and_die, run_to_end

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]

_UUID = UUID("dfe224cb-28fb-8dd0-c4b2-64eb3f0f4566")
_POOL = f"<pool type='dir'><name>images</name><uuid>{_UUID}</uuid><target><path>/images</path></target></pool>"
_NODE = f"<node>{_POOL}</node>"


@pytest.fixture
def sharers(
    tmp_path: Path, make_hypervisor: Callable[..., Hypervisor], monkeypatch: pytest.MonkeyPatch
) -> list[StoragePool]:
    """Storage pools of two hosts that look like the same storage."""
    monkeypatch.setattr(prove_sharing, "_BETWEEN_LOOKS_SECONDS", 0.01)
    rows = []
    for number in range(2):
        file = tmp_path / f"node{number}.xml"
        file.write_text(_NODE)
        host = make_hypervisor(uri=f"test://{file}")
        shared, _created = SharedStorage.objects.get_or_create(
            hypervisor_pool=host.hypervisor_pool, name="images", pool_type="dir", identity="path /images of images"
        )
        rows.append(
            StoragePool.objects.create(
                hypervisor=host,
                shared_storage=shared,
                uuid=_UUID,
                name="images",
                pool_type="dir",
                active=True,
                autostart=True,
                target_path="/images",
            )
        )
    return rows


def ask(sharers: list[StoragePool], user: User) -> Operation:
    return request_operation(user=user, kind="prove_sharing", subject=sharers[0])


def probes(sharers: list[StoragePool]) -> list[str]:
    """Those that libvirt has, on any of the hosts."""
    raws: list[Any] = [cached_connection(endpoint_of(row.hypervisor)).raw for row in sharers]
    volumes = [volume for raw in raws for volume in raw.storagePoolLookupByUUID(_UUID.bytes).listAllVolumes()]
    return [volume.name() for volume in volumes if volume.name().startswith(PROBE_PREFIX)]


def test_what_is_another_storage_is_found_out_and_nothing_stays(sharers: list[StoragePool], alice: User) -> None:
    operation = run_to_end(ask(sharers, alice))
    assert operation.state == OperationState.FAILED
    assert operation.outcome == "It is not shared: none of host1, host2 sees what another writes."
    assert [row.is_another for row in StoragePool.objects.all()] == [True, True]
    assert probes(sharers) == []
    assert not OperationLock.objects.exists()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
def test_a_worker_killed_at_any_step_leaves_no_probe(
    number: int, after: bool, sharers: list[StoragePool], alice: User
) -> None:
    operation = ask(sharers, alice)
    assert run_and_die(operation, number, after=after)
    run_to_end(operation)
    assert (operation.state, probes(sharers)) == (OperationState.FAILED, []), operation.outcome
    assert [row.is_another for row in StoragePool.objects.all()] == [True, True]


def test_a_look_that_fails_takes_its_probes_away(
    sharers: list[StoragePool], alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any) -> None:
        assert len(probes(sharers)) == 2
        raise NotPossible("The rows cannot be written.")

    monkeypatch.setattr(prove_sharing, "note_findings", refuse)
    operation = run_to_end(ask(sharers, alice))
    assert operation.outcome == "The rows cannot be written. What had been done is undone."
    assert probes(sharers) == []
