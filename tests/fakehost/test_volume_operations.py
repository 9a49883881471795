"""Creating and deleting volumes on libvirt's test driver: what is there afterwards, whatever broke in between."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from xml.sax.saxutils import quoteattr

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from hypervisors.errors import Conflict, ConnectionLost, NotPossible
from hypervisors.gateway.connections import cached_connection
from hypervisors.gateway.storage.volumes import VolumeFacts, create_volume, delete_volume, list_volumes, read_volume
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import Domain, Hypervisor, Operation, OperationLock, StoragePool, Volume
from hypervisors.operations.engine import records, steps
from hypervisors.operations.engine.records import RecordsAway
from hypervisors.operations.engine.requests import request_cancel, request_operation, why_not
from hypervisors.operations.engine.runner import run_operation
from hypervisors.operations.storage import create_volume as creation
from hypervisors.operations.storage.volume_users import overlays_of
from hypervisors.states import DomainState, OperationState
from tests.rows import define

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]

_UUID = UUID("dfe224cb-28fb-8dd0-c4b2-64eb3f0f4566")
_NODE = f"""<node>
  <pool type='dir'><name>images</name><uuid>{_UUID}</uuid><target><path>/images</path></target></pool>
</node>"""
GIB = 1024**3


class Storage:
    """A storage pool of a hypervisor of the test driver, as its row and as libvirt has it."""

    def __init__(self, row: StoragePool) -> None:
        self.row = row

    @property
    def connection(self) -> Any:
        return cached_connection(endpoint_of(self.row.hypervisor))

    def names(self) -> list[str]:
        return [facts.name for facts in list_volumes(self.connection, _UUID)]

    def find(self, name: str) -> VolumeFacts | None:
        return read_volume(self.connection, _UUID, name)

    def mirror(self, name: str) -> Volume:
        """Write what the watcher would."""
        facts = self.find(name)
        assert facts is not None
        return Volume.objects.create(
            storage_pool=self.row,
            name=name,
            path=facts.path,
            format=facts.format,
            capacity_bytes=facts.capacity_bytes,
        )


@pytest.fixture
def storage(tmp_path: Path, make_hypervisor: Callable[..., Hypervisor]) -> Storage:
    (tmp_path / "node.xml").write_text(_NODE)
    hypervisor = make_hypervisor(uri=f"test://{tmp_path}/node.xml")
    row = StoragePool.objects.create(
        hypervisor=hypervisor,
        uuid=_UUID,
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
        target_path="/images",
        available_bytes=50 * GIB,
    )
    return Storage(row)


def ask(storage: Storage, user: User, **parameters: Any) -> Operation:
    given = {"name": "disk1.qcow2", "format": "qcow2", "capacity_bytes": GIB} | parameters
    return request_operation(user=user, kind="create_volume", subject=storage.row, parameters=given)


def run_to_end(operation: Operation) -> Operation:
    """Deliver it whenever it wants to be, as the queue does."""
    while (again_in_seconds := run_operation(operation.pk)) is not None:
        time.sleep(min(0.3, again_in_seconds))
    operation.refresh_from_db()
    return operation


def make_stale(operation: Operation) -> None:
    """Its worker has not been heard of for long."""
    long_ago = timezone.now() - timedelta(seconds=records.STALE_SECONDS + 1)
    Operation.objects.filter(pk=operation.pk).update(heartbeat_at=long_ago)


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
    free = storage.connection.raw.storagePoolLookupByUUID(_UUID.bytes).info()[3]
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


class Killed(BaseException):
    """The worker is gone: nothing that it would have done next happens."""


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
    create_volume(storage.connection, _UUID, spec)
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


def test_a_volume_is_deleted(storage: Storage, alice: User) -> None:
    run_to_end(ask(storage, alice))
    volume = storage.mirror("disk1.qcow2")
    operation = run_to_end(request_operation(user=alice, kind="delete_volume", subject=volume))
    assert (operation.state, operation.outcome, storage.names()) == (OperationState.SUCCEEDED, "It is deleted.", [])


def test_a_volume_that_is_gone_already_has_been_deleted(storage: Storage, alice: User) -> None:
    run_to_end(ask(storage, alice))
    volume = storage.mirror("disk1.qcow2")
    operation = request_operation(user=alice, kind="delete_volume", subject=volume)
    storage.connection.raw.storagePoolLookupByUUID(_UUID.bytes).storageVolLookupByName(volume.name).delete(0)
    assert run_to_end(operation).state == OperationState.SUCCEEDED


@pytest.mark.parametrize(
    "disk",
    [
        "<disk type='file' device='disk'><source file='/images/disk1.qcow2'/><target dev='vda'/></disk>",
        "<disk type='volume' device='disk'><source pool='images' volume='disk1.qcow2'/><target dev='vda'/></disk>",
        "<disk type='file' device='disk'><source file='/images/../images//disk1.qcow2'/><target dev='vda'/></disk>",
    ],
)
@pytest.mark.parametrize("at", ["live", "inactive"])
def test_a_volume_in_use_is_not_deleted_and_its_user_is_named(
    at: str, disk: str, storage: Storage, alice: User, make_domain: Callable[..., Domain]
) -> None:
    run_to_end(ask(storage, alice))
    volume = storage.mirror("disk1.qcow2")
    user = make_domain(name="db1", hypervisor=storage.row.hypervisor, state=DomainState.RUNNING)
    _define(user, at, f"<domain type='qemu'><name>db1</name><devices>{disk}</devices></domain>")
    reason = why_not(volume, "delete_volume")
    assert reason == f"It is in use: vda of “db1” on {storage.row.hypervisor.name} (running)."
    with pytest.raises(NotPossible, match="db1"):
        request_operation(user=alice, kind="delete_volume", subject=volume)


def test_a_volume_of_a_pool_that_another_host_calls_otherwise_is_not_deleted(
    storage: Storage, alice: User, make_domain: Callable[..., Domain], make_hypervisor: Callable[..., Hypervisor]
) -> None:
    run_to_end(ask(storage, alice))
    volume = storage.mirror("disk1.qcow2")
    other = make_hypervisor(name="kvm2", hypervisor_pool=storage.row.hypervisor.hypervisor_pool)
    StoragePool.objects.create(
        hypervisor=other,
        uuid=uuid4(),
        name="bilder",
        pool_type="dir",
        active=True,
        autostart=False,
        target_path="/images/",
    )
    disk = "<disk type='volume'><source pool='bilder' volume='disk1.qcow2'/><target dev='vdc'/></disk>"
    _define(make_domain(name="db1", hypervisor=other), "inactive", f"<domain><devices>{disk}</devices></domain>")
    assert why_not(volume, "delete_volume") == "It is in use: vdc of “db1” on kvm2 (off)."


def test_a_volume_given_to_a_machine_after_it_was_asked_for_is_not_deleted(
    storage: Storage, alice: User, make_domain: Callable[..., Domain]
) -> None:
    run_to_end(ask(storage, alice))
    volume = storage.mirror("disk1.qcow2")
    operation = request_operation(user=alice, kind="delete_volume", subject=volume)
    user = make_domain(name="db1", hypervisor=storage.row.hypervisor)
    disk = "<disk type='file' device='disk'><source file='/images/disk1.qcow2'/><target dev='vda'/></disk>"
    _define(user, "inactive", f"<domain type='qemu'><name>db1</name><devices>{disk}</devices></domain>")
    run_to_end(operation)
    assert (operation.state, storage.names()) == (OperationState.FAILED, ["disk1.qcow2"])
    assert "db1" in operation.outcome


def test_what_others_are_on_top_of_is_not_deleted(storage: Storage, alice: User) -> None:
    run_to_end(ask(storage, alice))
    volume = storage.mirror("disk1.qcow2")
    Volume.objects.create(storage_pool=storage.row, name="clone.qcow2", backing_path=volume.path)
    assert "cannot be read without it: “clone.qcow2”" in why_not(volume, "delete_volume")


def test_an_overlay_that_no_row_tells_of_yet_keeps_the_volume(storage: Storage, alice: User) -> None:
    run_to_end(ask(storage, alice))
    volume = storage.mirror("disk1.qcow2")
    overlay = VolumeSpec(
        name="over.qcow2",
        format="qcow2",
        capacity_bytes=GIB,
        backing_path="/images//disk1.qcow2",
        backing_format="qcow2",
    )
    create_volume(storage.connection, _UUID, overlay)
    assert why_not(volume, "delete_volume") == ""
    operation = run_to_end(request_operation(user=alice, kind="delete_volume", subject=volume))
    assert (operation.state, storage.names()) == (OperationState.FAILED, ["disk1.qcow2", "over.qcow2"])
    assert "Other volumes are on top of it, and cannot be read without it: “over.qcow2”" in operation.outcome
    delete_volume(storage.connection, _UUID, "over.qcow2")
    operation = run_to_end(request_operation(user=alice, kind="delete_volume", subject=volume))
    assert (operation.state, storage.names()) == (OperationState.SUCCEEDED, [])


@pytest.mark.parametrize("name", ["disk1.qcow2", "r&d's <1>.qcow2"])
def test_a_machine_that_no_row_tells_of_yet_keeps_the_volume(
    name: str, storage: Storage, alice: User, make_hypervisor: Callable[..., Hypervisor], tmp_path: Path
) -> None:
    (tmp_path / "other.xml").write_text("<node/>")
    other = make_hypervisor(name="elsewhere", uri=f"test://{tmp_path}/other.xml")
    run_to_end(ask(storage, alice, name=name))
    volume = storage.mirror(name)
    for hypervisor in (storage.row.hypervisor, other):
        raw = cached_connection(endpoint_of(hypervisor)).raw
        disk = f"<disk type='file'><source file={quoteattr(volume.path)}/><target dev='vdb'/></disk>"
        domain = raw.defineXML(
            f"<domain type='test'><name>db1</name><memory>65536</memory><os><type>hvm</type></os>"
            f"<devices>{disk}</devices></domain>"
        )
        assert why_not(volume, "delete_volume") == ""
        operation = run_to_end(request_operation(user=alice, kind="delete_volume", subject=volume))
        assert (operation.state, storage.names()) == (OperationState.FAILED, [name])
        assert operation.outcome == f"It is in use: vdb of “db1” on {hypervisor.name} (off)."
        domain.undefine()
    operation = run_to_end(request_operation(user=alice, kind="delete_volume", subject=volume))
    assert (operation.state, storage.names()) == (OperationState.SUCCEEDED, [])


def test_rows_know_a_machine_whose_disk_is_written_with_entities(
    storage: Storage, alice: User, make_domain: Callable[..., Domain]
) -> None:
    run_to_end(ask(storage, alice, name="r&d.qcow2"))
    user = make_domain(name="db1", hypervisor=storage.row.hypervisor)
    disk = "<disk type='file' device='disk'><source file='/images/r&amp;d.qcow2'/><target dev='vda'/></disk>"
    _define(user, "inactive", f"<domain type='qemu'><name>db1</name><devices>{disk}</devices></domain>")
    assert "vda of “db1”" in why_not(storage.mirror("r&d.qcow2"), "delete_volume")


def test_another_host_that_cannot_be_asked_holds_up_no_deletion(
    storage: Storage, alice: User, make_hypervisor: Callable[..., Hypervisor], tmp_path: Path
) -> None:
    make_hypervisor(name="elsewhere", uri=f"test://{tmp_path}/none.xml")
    run_to_end(ask(storage, alice))
    volume = storage.mirror("disk1.qcow2")
    operation = run_to_end(request_operation(user=alice, kind="delete_volume", subject=volume))
    assert (operation.state, storage.names()) == (OperationState.SUCCEEDED, [])


def test_an_overlay_with_a_relative_path_counts(storage: Storage, alice: User) -> None:
    run_to_end(ask(storage, alice))
    volume = storage.mirror("disk1.qcow2")
    Volume.objects.create(storage_pool=storage.row, name="far", backing_path="/images/../images/disk1.qcow2")
    Volume.objects.create(storage_pool=storage.row, name="near", backing_path="/images/other-disk1.qcow2")
    assert [overlay.name for overlay in overlays_of(volume)] == ["far"]


def _define(domain: Domain, at: str, xml: str) -> None:
    define(domain, **{f"{at}_xml": xml})


def _refuse(*arguments: Any) -> Any:
    raise NotPossible("The other hosts refuse.")
