"""Deleting volumes on libvirt's test driver: what is there afterwards."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4
from xml.sax.saxutils import quoteattr

import pytest
from django.contrib.auth.models import User

from hypervisors.errors import NotPossible
from hypervisors.gateway.connections import cached_connection
from hypervisors.gateway.storage.volumes import create_volume, delete_volume
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import Domain, Hypervisor, StoragePool, Volume
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.operations.storage.volume_users import overlays_of
from hypervisors.states import DomainState, OperationState
from tests.fakehost.fake_storage import GIB, POOL_UUID, Storage, ask
from tests.fakehost.killing import run_to_end
from tests.rows import define

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]


def test_a_volume_is_deleted(storage: Storage, alice: User) -> None:
    run_to_end(ask(storage, alice))
    volume = storage.mirror("disk1.qcow2")
    operation = run_to_end(request_operation(user=alice, kind="delete_volume", subject=volume))
    assert (operation.state, operation.outcome, storage.names()) == (OperationState.SUCCEEDED, "It is deleted.", [])


def test_a_volume_that_is_gone_already_has_been_deleted(storage: Storage, alice: User) -> None:
    run_to_end(ask(storage, alice))
    volume = storage.mirror("disk1.qcow2")
    operation = request_operation(user=alice, kind="delete_volume", subject=volume)
    storage.connection.raw.storagePoolLookupByUUID(POOL_UUID.bytes).storageVolLookupByName(volume.name).delete(0)
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
    create_volume(storage.connection, POOL_UUID, overlay)
    assert why_not(volume, "delete_volume") == ""
    operation = run_to_end(request_operation(user=alice, kind="delete_volume", subject=volume))
    assert (operation.state, storage.names()) == (OperationState.FAILED, ["disk1.qcow2", "over.qcow2"])
    assert "Other volumes are on top of it, and cannot be read without it: “over.qcow2”" in operation.outcome
    delete_volume(storage.connection, POOL_UUID, "over.qcow2")
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
