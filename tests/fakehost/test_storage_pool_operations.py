"""Storage pools made, started, stopped, edited and deleted on libvirt's test driver, whatever broke in between."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from hypervisors.errors import Conflict, FolderMissing, HypervisorError, NotPermitted, NotPossible
from hypervisors.gateway.connections import cached_connection
from hypervisors.gateway.definitions import Definitions
from hypervisors.gateway.storage.storage_pools import StoragePoolFacts, list_storage_pool_uuids, read_storage_pool
from hypervisors.gateway.storage.volumes import create_volume, list_volumes
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.inventory.storage.storage_pools import pool_columns
from hypervisors.libvirtxml.storage_pool_builder import definition_digest
from hypervisors.libvirtxml.storage_pool_specs import StoragePoolSpec
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import Domain, DomainDefinition, Hypervisor, Operation, OperationLock, StoragePool, Volume
from hypervisors.operations.engine import records
from hypervisors.operations.engine.requests import request_cancel, request_of_many, request_operation, why_not
from hypervisors.operations.engine.runner import run_operation
from hypervisors.states import DomainState, HypervisorStatus, OperationState

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]

SPEC = StoragePoolSpec(pool_type="dir", name="images", target_path="/srv/images")
NODE = "<node/>"
_TAKEN = "<pool type='dir'><name>images</name><target><path>/srv/images</path></target></pool>"


class FakeHost:
    """A hypervisor of the test driver: its row, and what libvirt has."""

    def __init__(self, row: Hypervisor) -> None:
        self.row = row

    @property
    def connection(self) -> Any:
        return cached_connection(endpoint_of(self.row))

    def pools(self) -> dict[str, StoragePoolFacts]:
        found = (read_storage_pool(self.connection, uuid) for uuid in list_storage_pool_uuids(self.connection))
        return {facts.name: facts for facts in found if facts is not None}

    def mirror(self, name: str) -> StoragePool:
        """Write what the watcher would."""
        values = pool_columns(self.pools()[name])
        row, _created = StoragePool.objects.update_or_create(
            hypervisor=self.row, uuid=values.pop("uuid"), defaults=values
        )
        return row


@pytest.fixture
def host(tmp_path: Path, make_hypervisor: Callable[..., Hypervisor]) -> FakeHost:
    (tmp_path / "node.xml").write_text(NODE)
    return FakeHost(make_hypervisor(uri=f"test://{tmp_path}/node.xml"))


def ask(host: FakeHost, user: User, wanted: StoragePoolSpec = SPEC, **parameters: Any) -> Operation:
    given = {"spec": wanted.to_json()} | parameters
    return request_operation(user=user, kind="create_storage_pool", subject=host.row, parameters=given)


def do(row: StoragePool, kind: str, user: User, **parameters: Any) -> Operation:
    fresh = StoragePool.objects.select_related("hypervisor").get(pk=row.pk)
    return run_to_end(request_operation(user=user, kind=kind, subject=fresh, parameters=parameters))


def made(host: FakeHost, user: User, spec: StoragePoolSpec = SPEC, **parameters: Any) -> StoragePool:
    operation = run_to_end(ask(host, user, spec, **parameters))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    return host.mirror(spec.name)


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


@pytest.mark.parametrize("name", ["images", """o'brien, "x" <y>&z=1"""])
def test_a_storage_pool_is_defined_built_started_and_autostarted(name: str, host: FakeHost, alice: User) -> None:
    spec = StoragePoolSpec(pool_type="dir", name=name, target_path=f"/srv/{name}")
    operation = run_to_end(ask(host, alice, spec, building="folder"))
    assert (operation.state, operation.outcome) == (OperationState.SUCCEEDED, "It is created and started.")
    assert (operation.subject_name, operation.hypervisor) == (name, host.row)
    facts = host.pools()[name]
    assert (facts.active, facts.autostart, facts.target_path) == (True, True, f"/srv/{name}")
    assert [entry["state"] for entry in operation.steps] == ["done"] * 4
    assert not OperationLock.objects.exists()


def test_pasted_xml_is_taken_with_what_vmportal_does_not_know(host: FakeHost, alice: User) -> None:
    xml = (
        "<pool type='dir'><name>pasted</name><uuid>2ec115d7-3a88-3ceb-bc12-0ac909a6fd87</uuid>"
        "<target><path>/srv/pasted</path><permissions><mode>0750</mode></permissions></target></pool>"
    )
    row = made(host, alice, StoragePoolSpec(pool_type="dir", name="pasted"), xml=xml, start=False, autostart=False)
    assert (row.active, row.autostart, row.target_path) == (False, False, "/srv/pasted")
    # Its own: the same text may be pasted for every host.
    assert str(row.uuid) != "2ec115d7-3a88-3ceb-bc12-0ac909a6fd87"


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"spec": {"pool_type": "dir", "name": "a/b", "target_path": "/a"}}, "no “/”"),
        ({"spec": {"pool_type": "dir", "name": "a", "target_path": "/a/../b"}}, "without “.”"),
        ({"spec": {"pool_type": "floppy", "name": "a"}}, "no type"),
        ({"spec": {"hosts": 7}}, "no storage pool"),
        ({"building": "overwrite"}, "not made that way"),
        ({"xml": "<pool"}, "cannot be read"),
        ({"xml": "<network/>"}, "begins with <pool>"),
        ({"xml": "<pool type='dir'><name>../x</name></pool>"}, "no “/”"),
    ],
)
def test_what_cannot_be_is_refused(parameters: dict[str, Any], reason: str, host: FakeHost, alice: User) -> None:
    with pytest.raises(NotPossible, match=reason):
        ask(host, alice, **parameters)
    assert not Operation.objects.exists()


def test_a_name_or_a_path_that_is_taken_is_refused_before_anything_is_done(host: FakeHost, alice: User) -> None:
    row = made(host, alice)
    with pytest.raises(NotPossible, match="host1 has a storage pool called “images” already"):
        ask(host, alice)
    elsewhere = StoragePoolSpec(pool_type="dir", name="others", target_path="/srv/images")
    with pytest.raises(NotPossible, match="“images” of host1 is at /srv/images already: use that one"):
        ask(host, alice, elsewhere)
    StoragePool.objects.filter(pk=row.pk).update(active=False)
    with pytest.raises(NotPossible, match="and is stopped: start that one"):
        ask(host, alice, elsewhere)
    # The rows may not know it yet: the worker looks.
    StoragePool.objects.all().delete()
    for spec in (SPEC, elsewhere):
        operation = run_to_end(ask(host, alice, spec))
        assert operation.state == OperationState.FAILED
        assert "“images”" in operation.outcome
    assert host.pools().keys() == {"images"}


def test_two_requests_for_one_name_file_one_operation(host: FakeHost, alice: User, dora: User) -> None:
    ask(host, alice)
    with pytest.raises(Conflict, match="“Create storage pool”, asked for by alice"):
        ask(host, dora)
    with pytest.raises(Conflict):
        ask(host, dora, StoragePoolSpec(pool_type="dir", name="others", target_path="/srv/images"))
    ask(host, dora, StoragePoolSpec(pool_type="dir", name="others", target_path="/srv/others"))


def test_every_host_of_the_pool_is_asked_by_itself(
    host: FakeHost, alice: User, make_hypervisor: Callable[..., Hypervisor], tmp_path: Path
) -> None:
    (tmp_path / "second.xml").write_text(NODE)
    second = FakeHost(make_hypervisor(uri=f"test://{tmp_path}/second.xml"))
    away = make_hypervisor(status=HypervisorStatus.OFFLINE)
    (tmp_path / "third.xml").write_text(NODE.replace("/>", f">{_TAKEN}</node>"))
    third = make_hypervisor(uri=f"test://{tmp_path}/third.xml")
    asked = request_of_many(
        user=alice,
        kind="create_storage_pool",
        subjects=[host.row, second.row, away, third],
        parameters={"spec": SPEC.to_json()},
    )
    assert [subject for subject, _reason in asked.refusals] == [away]
    assert asked.parent is not None
    assert asked.parent.subject_name == "3 hosts"
    for operation in asked.accepted:
        run_to_end(operation)
    assert host.pools().keys() == second.pools().keys() == {"images"}
    asked.parent.refresh_from_db()
    assert (asked.parent.state, asked.parent.outcome) == (OperationState.FAILED, "2 done, 1 failed, 1 refused.")


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
@pytest.mark.parametrize("number", range(1, 9))
def test_a_worker_killed_at_any_step_is_followed_by_one_that_makes_it_whole(
    number: int, after: bool, host: FakeHost, alice: User, kill_at_write: Callable[[int, bool], None]
) -> None:
    operation = ask(host, alice, building="folder")
    kill_at_write(number, after)
    with pytest.raises(Killed):
        run_operation(operation.pk)
    make_stale(operation)
    run_to_end(operation)
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    facts = host.pools()["images"]
    assert (facts.active, facts.autostart) == (True, True)


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6, 7])
def test_cancelled_after_a_worker_was_killed_nothing_is_left(
    number: int, host: FakeHost, alice: User, kill_at_write: Callable[[int, bool], None]
) -> None:
    operation = ask(host, alice, building="folder")
    kill_at_write(number, True)
    with pytest.raises(Killed):
        run_operation(operation.pk)
    operation.refresh_from_db()
    request_cancel(operation, user=alice)
    make_stale(operation)
    run_to_end(operation)
    assert (operation.state, host.pools()) == (OperationState.CANCELLED, {}), operation.outcome
    assert operation.outcome == "Cancelled. What had been done is undone."
    assert not OperationLock.objects.exists()


def test_a_folder_that_is_not_there_is_said_with_what_to_choose(
    host: FakeHost, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_arguments: Any) -> None:
        raise FolderMissing("Could not start the storage pool: cannot open directory '/srv/images'.")

    monkeypatch.setattr(Definitions, "start", missing)
    operation = run_to_end(ask(host, alice))
    assert operation.state == OperationState.FAILED
    assert "The folder is not there on host1. Choose “Create the folder”, or make it there first." in operation.outcome
    assert operation.outcome.endswith("What had been done is undone.")
    assert host.pools() == {}


def test_what_cannot_be_undone_is_named(host: FakeHost, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any) -> None:
        raise HypervisorError("The host refuses.")

    monkeypatch.setattr(Definitions, "start", refuse)
    monkeypatch.setattr(Definitions, "undefine", refuse)
    operation = run_to_end(ask(host, alice))
    assert operation.outcome == (
        "The host refuses. What could not be undone: The storage pool “images” stays defined. The host refuses."
    )


def test_what_libvirt_leaves_out_of_typed_xml_is_named(host: FakeHost, alice: User) -> None:
    xml = "<pool type='dir'><name>typed</name><odd/><target><path>/typed</path></target></pool>"
    operation = run_to_end(
        request_operation(
            user=alice, kind="create_storage_pool", subject=host.row, parameters={"xml": xml, "start": False}
        )
    )
    assert operation.outcome == "It is created. libvirt left out what it does not know: odd."
    row = host.mirror("typed")
    typed = row.definition_xml.replace("/typed<", "/typed2<").replace("</pool>", "<stranger/></pool>")
    operation = do(row, "edit_storage_pool", alice, digest=definition_digest(row.definition_xml), xml=typed)
    assert operation.outcome.endswith("libvirt left out what it does not know: stranger.")


def test_it_is_stopped_started_and_autostarted(host: FakeHost, alice: User) -> None:
    row = made(host, alice)
    assert why_not(row, "start_storage_pool") == "It is started already."
    assert do(row, "stop_storage_pool", alice).outcome == "It is stopped."
    row = host.mirror("images")
    assert (row.active, why_not(row, "stop_storage_pool")) == (False, "It is not started.")
    assert why_not(row, "refresh_storage_pool") == "It is not started."
    assert do(row, "start_storage_pool", alice).outcome == "It is started."
    assert do(row, "set_storage_pool_autostart", alice, autostart="").state == OperationState.SUCCEEDED
    row = host.mirror("images")
    assert (row.active, row.autostart) == (True, False)
    assert do(row, "refresh_storage_pool", alice).outcome == "It is read again on 1 host."


def test_a_definition_is_edited_and_what_is_not_known_survives(host: FakeHost, alice: User) -> None:
    xml = (
        "<pool type='netfs'><name>nas</name><source><host name='nas1'/><dir path='/export'/><format type='nfs'/>"
        "<product name='filer'/></source><target><path>/srv/nas</path></target></pool>"
    )
    row = made(host, alice, StoragePoolSpec(pool_type="netfs", name="nas"), xml=xml, start=False)
    spec = StoragePoolSpec(
        pool_type="netfs",
        name="nas",
        hosts=({"name": "nas2"},),  # type: ignore[arg-type]
        directory="/export",
        format="nfs",
        target_path="/srv/nas",
    )
    given = {"digest": definition_digest(row.definition_xml), "spec": spec.to_json()}
    operation = do(row, "edit_storage_pool", alice, **given)
    assert (operation.state, operation.outcome) == (OperationState.SUCCEEDED, "It is changed.")
    changed = host.mirror("nas")
    assert (changed.source, "filer" in changed.definition_xml) == ("nas2:/export", "filer" in row.definition_xml)
    with pytest.raises(NotPossible, match="Somebody changed its definition meanwhile"):
        do(changed, "edit_storage_pool", alice, **given)


def test_an_edit_of_what_somebody_changed_since_is_refused_by_the_worker(host: FakeHost, alice: User) -> None:
    row = made(host, alice)
    given = {
        "digest": definition_digest(row.definition_xml),
        "xml": row.definition_xml.replace("/srv/images", "/srv/b"),
    }
    raw = host.connection.raw
    do(row, "stop_storage_pool", alice)
    raw.storagePoolLookupByUUID(row.uuid.bytes).undefine()
    raw.storagePoolDefineXML(row.definition_xml.replace("/srv/images", "/srv/c"), 0)
    operation = do(row, "edit_storage_pool", alice, **given)
    assert operation.state == OperationState.FAILED
    assert "Somebody changed its definition meanwhile" in operation.outcome
    assert host.pools()["images"].target_path == "/srv/c"


@pytest.mark.parametrize(("tag", "wrong"), [("name", "<name>other</name>"), ("uuid", f"<uuid>{UUID(int=5)}</uuid>")])
def test_name_and_uuid_are_not_edited(tag: str, wrong: str, host: FakeHost, alice: User) -> None:
    row = made(host, alice)
    xml = re.sub(f"<{tag}>.*</{tag}>", wrong, row.definition_xml)
    with pytest.raises(NotPossible, match="Its name, its UUID and its type stay"):
        do(row, "edit_storage_pool", alice, digest=definition_digest(row.definition_xml), xml=xml)


def _user_of(row: StoragePool, source: str, name: str = "web1", *, at: Hypervisor | None = None) -> Domain:
    domain = Domain.objects.create(
        uuid=UUID(int=Domain.objects.count() + 1),
        hypervisor=at or row.hypervisor,
        name=name,
        state=DomainState.SHUTOFF,
        state_since=timezone.now(),
    )
    xml = f"<domain><devices><disk><source {source}/><target dev='vda'/></disk></devices></domain>"
    DomainDefinition.objects.create(domain=domain, inactive_xml=xml)
    return domain


@pytest.mark.parametrize("source", ["file='/srv/images/a.qcow2'", "pool='images' volume='a.qcow2'"])
def test_one_that_machines_use_is_not_deleted_and_they_are_named(source: str, host: FakeHost, alice: User) -> None:
    row = made(host, alice)
    _user_of(row, source)
    _user_of(row, "file='/srv/images2/a.qcow2'", "unrelated")
    with pytest.raises(NotPossible, match=r"Virtual machines use volumes in it: “web1” on host1 \(off\)\."):
        do(row, "delete_storage_pool", alice)
    assert host.pools()["images"].active


def test_a_machine_that_the_rows_do_not_know_yet_is_seen_by_the_worker(host: FakeHost, alice: User) -> None:
    row = made(host, alice)
    host.connection.raw.defineXML(
        "<domain type='test'><name>sudden</name><memory>1024</memory><os><type>hvm</type></os><devices>"
        "<disk type='file'><source file='/srv/images/x.img'/><target dev='vda'/></disk></devices></domain>"
    )
    operation = do(row, "delete_storage_pool", alice)
    assert operation.state == OperationState.FAILED
    assert "“sudden” on host1 (off)" in operation.outcome
    assert host.pools()["images"].active


def test_it_is_deleted_and_its_volumes_stay_unless_that_is_asked_for(host: FakeHost, alice: User) -> None:
    row = made(host, alice)
    create_volume(host.connection, row.uuid, VolumeSpec(name="a.img", format="raw", capacity_bytes=1))
    assert len(list_volumes(host.connection, row.uuid)) == 1
    operation = do(row, "delete_storage_pool", alice)
    assert (operation.state, operation.outcome, host.pools()) == (OperationState.SUCCEEDED, "It is deleted.", {})
    assert [entry["name"] for entry in operation.steps] == ["stop", "undefine"]


def test_with_all_that_is_in_it(host: FakeHost, alice: User) -> None:
    row = made(host, alice)
    for name in ("a.img", "b.img"):
        create_volume(host.connection, row.uuid, VolumeSpec(name=name, format="raw", capacity_bytes=1))
    _user_of(row, "file='/srv/images/a.img'", at=row.hypervisor)
    with pytest.raises(NotPossible, match="web1"):
        do(row, "delete_storage_pool", alice, deletes_volumes="1")
    Domain.objects.all().delete()
    operation = do(row, "delete_storage_pool", alice, deletes_volumes="1")
    assert (operation.state, host.pools()) == (OperationState.SUCCEEDED, {}), operation.outcome
    assert operation.steps[0]["made"] == {"deleted": 2}


@pytest.mark.parametrize("rows_know", [True, False])
def test_what_volumes_of_another_storage_pool_are_on_top_of_is_not_deleted_with_it(
    rows_know: bool, host: FakeHost, alice: User
) -> None:
    row = made(host, alice)
    clones = made(host, alice, StoragePoolSpec(pool_type="dir", name="clones", target_path="/srv/clones"))
    base = create_volume(host.connection, row.uuid, VolumeSpec(name="base", format="qcow2", capacity_bytes=2**20))
    overlay = VolumeSpec(
        name="top", format="qcow2", capacity_bytes=2**20, backing_path=base.path, backing_format="qcow2"
    )
    create_volume(host.connection, clones.uuid, overlay)
    if rows_know:
        Volume.objects.create(storage_pool=row, name="base", path=base.path)
        Volume.objects.create(storage_pool=clones, name="top", path="/srv/clones/top", backing_path=base.path)
        with pytest.raises(NotPossible, match="on top of it, and cannot be read without it: “top”"):
            do(row, "delete_storage_pool", alice, deletes_volumes="1")
    else:
        operation = do(row, "delete_storage_pool", alice, deletes_volumes="1")
        assert (operation.state, "“top”" in operation.outcome) == (OperationState.FAILED, True)
    assert [one.name for one in list_volumes(host.connection, row.uuid)] == ["base"]


def test_what_something_is_being_made_in_is_not_deleted_with_its_contents(host: FakeHost, alice: User) -> None:
    row = made(host, alice)
    given = {"name": "new.qcow2", "format": "qcow2", "capacity_bytes": 2**20, "overcommitted": True}
    creation = request_operation(user=alice, kind="create_volume", subject=row, parameters=given)
    OperationLock.objects.filter(operation=creation).exclude(key__startswith="volume:").delete()
    with pytest.raises(NotPossible, match="An operation works on a volume in it"):
        do(row, "delete_storage_pool", alice, deletes_volumes="1")


def test_what_other_hosts_share_is_not_deleted_with_its_contents(
    host: FakeHost, alice: User, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    row = made(host, alice)
    shared = host.row.hypervisor_pool.shared_storages.create(name="images", pool_type="dir", identity="x")
    StoragePool.objects.create(
        hypervisor=make_hypervisor(name="other"),
        shared_storage=shared,
        uuid=UUID(int=7),
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
    )
    StoragePool.objects.filter(pk=row.pk).update(shared_storage=shared)
    with pytest.raises(NotPossible, match=r"Other hosts have the same storage \(other\)"):
        do(row, "delete_storage_pool", alice, deletes_volumes="1")


def test_who_may_not_is_refused(host: FakeHost, alice: User, bob: User) -> None:
    row = made(host, alice)
    for kind in ("start_storage_pool", "stop_storage_pool", "delete_storage_pool", "edit_storage_pool"):
        with pytest.raises(NotPermitted):
            do(row, kind, bob)
    with pytest.raises(NotPermitted):
        ask(host, bob)


def test_a_worker_killed_while_it_deletes_is_followed_by_one_that_goes_on(
    host: FakeHost, alice: User, kill_at_write: Callable[[int, bool], None]
) -> None:
    row = made(host, alice)
    operation = request_operation(
        user=alice, kind="delete_storage_pool", subject=StoragePool.objects.select_related("hypervisor").get(pk=row.pk)
    )
    kill_at_write(3, False)
    with pytest.raises(Killed):
        run_operation(operation.pk)
    make_stale(operation)
    run_to_end(operation)
    assert (operation.state, host.pools()) == (OperationState.SUCCEEDED, {}), operation.outcome
