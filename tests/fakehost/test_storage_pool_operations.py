"""Storage pools made, started, stopped and edited on libvirt's test driver, whatever broke in between."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User

from hypervisors.errors import Conflict, FolderMissing, HypervisorError, NotPossible
from hypervisors.gateway.definitions import Definitions
from hypervisors.libvirtxml.storage_pool_builder import definition_digest
from hypervisors.libvirtxml.storage_pool_specs import StoragePoolSpec
from hypervisors.models import Hypervisor, Operation, OperationLock, StoragePool
from hypervisors.operations.engine.requests import request_cancel, request_of_many, request_operation, why_not
from hypervisors.operations.engine.runner import run_operation
from hypervisors.states import HypervisorStatus, OperationState
from tests.fakehost.fake_storage_pools import NODE, SPEC, FakeHost, ask, do, made
from tests.fakehost.killing import Killed, make_stale, run_to_end

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]

_TAKEN = "<pool type='dir'><name>images</name><target><path>/srv/images</path></target></pool>"


@pytest.fixture
def host(tmp_path: Path, make_hypervisor: Callable[..., Hypervisor]) -> FakeHost:
    (tmp_path / "node.xml").write_text(NODE)
    return FakeHost(make_hypervisor(uri=f"test://{tmp_path}/node.xml"))


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
