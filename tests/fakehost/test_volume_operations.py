"""Creating volumes on libvirt's test driver: what is there afterwards, whatever broke in between."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User

from hypervisors.errors import Conflict, ConnectionLost, NotPossible
from hypervisors.gateway.storage.volumes import create_volume
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import Hypervisor, Operation, OperationLock, StoragePool
from hypervisors.operations.engine import records, steps
from hypervisors.operations.engine.records import RecordsAway
from hypervisors.operations.engine.requests import request_cancel
from hypervisors.operations.engine.runner import run_operation
from hypervisors.operations.storage import create_volume as creation
from hypervisors.states import OperationState
from tests.fakehost.fake_storage import GIB, POOL_UUID, Storage, ask
from tests.fakehost.killing import Killed, make_stale, run_to_end

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]


def states_of(operation: Operation) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in operation.steps}


@pytest.mark.parametrize("name", ['o\'brien "quoted" & <b>.qcow2', "100% münchen 😀.img", "-rf", "$(reboot)"])
def test_a_volume_is_created_as_it_was_asked_for(name: str, storage: Storage, alice: User) -> None:
    operation = run_to_end(ask(storage, alice, name=name, capacity_bytes=3 * GIB))
    assert (operation.state, operation.outcome) == (OperationState.SUCCEEDED, "It is created.")
    found = storage.find(name)
    assert found is not None
    assert (found.format, found.capacity_bytes) == ("qcow2", 3 * GIB)
    assert operation.subject_name == f"images/{name}"
    assert states_of(operation) == {"create": "done", "tell_hosts": "done"}
    assert not OperationLock.objects.exists()


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"name": ""}, "needs a name"),
        ({"name": "a/../b"}, "has no “/”"),
        ({"name": "two\nlines"}, "printable"),
        ({"name": "x" * 256}, "at most 255 bytes"),
        ({"capacity_bytes": 0}, "between 1 MiB and 1 PiB"),
        ({"capacity_bytes": 2**62}, "between 1 MiB and 1 PiB"),
        ({"capacity_bytes": "many"}, "between 1 MiB and 1 PiB"),
        ({"format": "vhdx"}, "Choose the format"),
        ({"format": "raw", "preallocation": "metadata"}, "Only a qcow2 volume has tables"),
        ({"preallocation": "some"}, "Choose the space to reserve"),
        (
            {"format": "raw", "preallocation": "full", "capacity_bytes": 60 * GIB},
            "50.0 GiB are free, 60.0 GiB are needed",
        ),
        ({"backing_volume_id": 987654}, "It is not there"),
    ],
)
def test_what_cannot_be_is_refused(parameters: dict[str, Any], reason: str, storage: Storage, alice: User) -> None:
    with pytest.raises(NotPossible, match=reason):
        ask(storage, alice, **parameters)
    assert not Operation.objects.exists()


def test_a_storage_pool_that_filled_up_since_it_was_asked_for_is_seen(storage: Storage, alice: User) -> None:
    free = storage.connection.raw.storagePoolLookupByUUID(POOL_UUID.bytes).info()[3]
    StoragePool.objects.filter(pk=storage.row.pk).update(available_bytes=2 * free)
    storage.row.refresh_from_db()
    operation = run_to_end(ask(storage, alice, capacity_bytes=free + GIB))
    assert (operation.state, storage.names()) == (OperationState.FAILED, [])
    assert "It can grow to" in operation.outcome
    operation = run_to_end(ask(storage, alice, capacity_bytes=free + GIB, overcommitted=True))
    assert (operation.state, storage.names()) == (OperationState.SUCCEEDED, ["disk1.qcow2"]), operation.outcome


def test_two_requests_for_one_name_file_one_operation(storage: Storage, alice: User, dora: User) -> None:
    ask(storage, alice)
    with pytest.raises(Conflict, match="“Create volume”, asked for by alice"):
        ask(storage, dora)
    ask(storage, dora, name="other.qcow2")


def test_the_same_name_on_another_host_of_shared_storage_is_the_same_lock(
    storage: Storage, alice: User, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    shared = storage.row.hypervisor.hypervisor_pool.shared_storages.create(
        name="images", pool_type="dir", identity="images:/images"
    )
    elsewhere = StoragePool.objects.create(
        hypervisor=make_hypervisor(),
        shared_storage=shared,
        uuid=UUID(int=7),
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
        available_bytes=50 * GIB,
    )
    storage.row.shared_storage = shared
    storage.row.save()
    ask(storage, alice)
    with pytest.raises(Conflict):
        ask(Storage(elsewhere), alice)


def test_what_libvirt_has_under_the_name_already_is_left_alone(storage: Storage, alice: User) -> None:
    run_to_end(ask(storage, alice))
    again = run_to_end(ask(storage, alice, capacity_bytes=2 * GIB))
    assert again.state == OperationState.FAILED
    assert "There is a volume called “disk1.qcow2”" in again.outcome
    found = storage.find("disk1.qcow2")
    assert found is not None
    assert found.capacity_bytes == GIB


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_worker_killed_at_any_step_leaves_the_whole_volume(
    number: int, after: bool, storage: Storage, alice: User, kill_at_write: Callable[[int, bool], None]
) -> None:
    operation = ask(storage, alice)
    kill_at_write(number, after)
    with pytest.raises(Killed):
        run_operation(operation.pk)
    operation.refresh_from_db()
    assert operation.state == OperationState.RUNNING
    make_stale(operation)
    run_to_end(operation)
    assert (operation.state, storage.names()) == (OperationState.SUCCEEDED, ["disk1.qcow2"]), operation.outcome
    assert states_of(operation) == {"create": "done", "tell_hosts": "done"}


@pytest.mark.parametrize("number", [2, 3, 4])
def test_cancelled_after_a_worker_was_killed_nothing_is_left(
    number: int, storage: Storage, alice: User, kill_at_write: Callable[[int, bool], None]
) -> None:
    operation = ask(storage, alice)
    kill_at_write(number, True)
    with pytest.raises(Killed):
        run_operation(operation.pk)
    operation.refresh_from_db()
    made = operation.steps[-1]["state"] == "done" and len(operation.steps) == 2
    request_cancel(operation, user=alice)
    make_stale(operation)
    run_to_end(operation)
    if made:
        # Both steps were done: there was nothing left to cancel.
        assert (operation.state, storage.names()) == (OperationState.SUCCEEDED, ["disk1.qcow2"])
    else:
        assert (operation.state, storage.names()) == (OperationState.CANCELLED, []), operation.outcome
        assert operation.outcome == "Cancelled. What had been done is undone."
    assert not OperationLock.objects.exists()


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_what_somebody_else_made_after_the_worker_was_killed_is_left_alone(
    is_cancelled: bool, storage: Storage, alice: User, kill_at_write: Callable[[int, bool], None]
) -> None:
    operation = ask(storage, alice)
    kill_at_write(1, True)
    with pytest.raises(Killed):
        run_operation(operation.pk)
    spec = VolumeSpec(name="disk1.qcow2", format="qcow2", capacity_bytes=3 * GIB, allocation_bytes=0)
    create_volume(storage.connection, POOL_UUID, spec)
    if is_cancelled:
        operation.refresh_from_db()
        request_cancel(operation, user=alice)
    make_stale(operation)
    run_to_end(operation)
    assert operation.state == (OperationState.CANCELLED if is_cancelled else OperationState.FAILED)
    assert "stays in the storage pool “images”" in operation.outcome or "it is left alone" in operation.outcome
    found = storage.find("disk1.qcow2")
    assert found is not None
    assert found.capacity_bytes == 3 * GIB
    assert not OperationLock.objects.exists()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_worker_killed_while_it_undoes_is_followed_by_one_that_goes_on(
    number: int, storage: Storage, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = ask(storage, alice)
    monkeypatch.setattr(creation.TellHosts, "do", _refuse)
    original, left = records.note_steps, [number]

    def note_steps(operation: Operation, entries: list[dict[str, Any]], ending: dict[str, str] | None) -> None:
        if ending is not None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
        original(operation, entries, ending)

    monkeypatch.setattr(records, "note_steps", note_steps)
    with pytest.raises(Killed):
        run_operation(operation.pk)
    monkeypatch.setattr(records, "note_steps", original)
    make_stale(operation)
    run_to_end(operation)
    assert (operation.state, storage.names()) == (OperationState.FAILED, [])
    assert operation.outcome == "The other hosts refuse. What had been done is undone."


def test_what_cannot_be_undone_is_named(storage: Storage, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = ask(storage, alice)
    monkeypatch.setattr(creation.TellHosts, "do", _refuse)
    monkeypatch.setattr(creation, "delete_volume", _refuse)
    run_to_end(operation)
    assert operation.state == OperationState.FAILED
    assert operation.outcome == (
        "The other hosts refuse. What could not be undone: "
        "The volume “disk1.qcow2” stays in the storage pool “images”. The other hosts refuse."
    )
    assert storage.names() == ["disk1.qcow2"]
    assert not OperationLock.objects.exists()


def test_a_connection_lost_after_the_volume_was_made_is_looked_at_again(
    storage: Storage, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = creation.create_volume

    def made_but_unheard(*arguments: Any) -> Any:
        original(*arguments)
        raise ConnectionLost("The connection broke.")

    monkeypatch.setattr(creation, "create_volume", made_but_unheard)
    monkeypatch.setattr(steps, "_LOOK_AGAIN_SECONDS", 0.3)
    operation = run_to_end(ask(storage, alice))
    assert (operation.state, storage.names()) == (OperationState.SUCCEEDED, ["disk1.qcow2"])


def test_a_host_that_stays_away_ends_it_after_some_patience(
    storage: Storage, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unheard(*arguments: Any) -> Any:
        raise ConnectionLost("The connection broke.")

    monkeypatch.setattr(creation, "create_volume", unheard)
    monkeypatch.setattr(steps, "_LOOK_AGAIN_SECONDS", 0.3)
    monkeypatch.setattr(steps, "PATIENCE_SECONDS", 1)
    operation = run_to_end(ask(storage, alice))
    assert operation.state == OperationState.FAILED
    assert "Given up after" in operation.outcome
    assert storage.names() == []


def test_a_database_that_stays_away_leaves_the_row_for_the_next_worker(
    storage: Storage, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = ask(storage, alice)
    original = records.note_steps

    def away(*arguments: Any) -> None:
        raise RecordsAway("The database is away.")

    monkeypatch.setattr(records, "note_steps", away)
    assert run_operation(operation.pk) is None
    operation.refresh_from_db()
    assert operation.state == OperationState.RUNNING
    assert OperationLock.objects.filter(operation=operation).exists()
    monkeypatch.setattr(records, "note_steps", original)
    make_stale(operation)
    assert run_to_end(operation).state == OperationState.SUCCEEDED


def _refuse(*arguments: Any) -> Any:
    raise NotPossible("The other hosts refuse.")
