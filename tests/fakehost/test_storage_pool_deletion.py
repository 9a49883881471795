"""Storage pools deleted on libvirt's test driver, with what is in them and without."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from hypervisors.errors import NotPermitted, NotPossible
from hypervisors.gateway.storage.volumes import create_volume, list_volumes
from hypervisors.libvirtxml.storage_pool_specs import StoragePoolSpec
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import Domain, DomainDefinition, Hypervisor, OperationLock, StoragePool, Volume
from hypervisors.operations.engine.requests import request_operation
from hypervisors.operations.engine.runner import run_operation
from hypervisors.states import DomainState, OperationState
from tests.fakehost.fake_storage_pools import NODE, FakeHost, ask, do, made
from tests.fakehost.killing import Killed, make_stale, run_to_end

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]


@pytest.fixture
def host(tmp_path: Path, make_hypervisor: Callable[..., Hypervisor]) -> FakeHost:
    (tmp_path / "node.xml").write_text(NODE)
    return FakeHost(make_hypervisor(uri=f"test://{tmp_path}/node.xml"))


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
