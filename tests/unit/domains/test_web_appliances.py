"""Importing appliances and exporting machines through the pages: works, wrong method, wrong person, unknown id."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hypervisors.access import can
from hypervisors.imaging.appliance_json import appliance_to_json
from hypervisors.imaging.appliances import DiskFacts, ExaminedAppliance, PackagedDisk
from hypervisors.imaging.ovf import ApplianceDisk, parse_ovf
from hypervisors.models import (
    Appliance,
    Domain,
    DomainDefinition,
    Hypervisor,
    HypervisorPool,
    Network,
    Operation,
    OperationLock,
    Role,
    RoleBinding,
    StoragePool,
    Volume,
)
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.engine.requests import why_not
from hypervisors.states import AdminState, OperationState
from tests.rows import make_operation
from tests.unit.imaging import packages

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
HTMX = {"HX-Request": "true"}
MIB, GIB = 1024**2, 1024**3


@pytest.fixture
def storage_pool(hypervisor: Hypervisor) -> StoragePool:
    return StoragePool.objects.create(
        hypervisor=hypervisor,
        uuid=UUID(int=1),
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
        target_path="/images",
        capacity_bytes=100 * GIB,
        available_bytes=50 * GIB,
    )


@pytest.fixture
def volume(storage_pool: StoragePool) -> Volume:
    host = storage_pool.hypervisor
    Network.objects.create(hypervisor=host, uuid=uuid4(), name="default", active=True, autostart=True)
    return Volume.objects.create(storage_pool=storage_pool, name="web1 <b>.ova", path="/images/web1.ova")


def examined(**fields: Any) -> ExaminedAppliance:
    appliance = parse_ovf(packages.descriptor([("d.vmdk", 5 * MIB, 64)], extra_settings=packages.UEFI, **fields))
    facts = DiskFacts(format="vmdk", virtual_size_bytes=64 * MIB, populated_bytes=10 * MIB)
    disk = PackagedDisk(disk=appliance.disks[0], volume_name="v", offset=1024, size_bytes=5 * MIB, facts=facts)
    return ExaminedAppliance(kind="ova", appliance=appliance, disks=(disk,), descriptor_sha256="0" * 64)


def noted(volume: Volume, found: ExaminedAppliance | None = None, problem: str = "") -> Appliance:
    content = {} if problem else appliance_to_json(found or examined())
    return Appliance.objects.create(volume=volume, content=content, problem=problem)


def wanted(storage_pool: StoragePool, /, **fields: object) -> dict[str, object]:
    return {
        "name": "web1",
        "host": storage_pool.hypervisor_id,
        "storage_pool": storage_pool.pk,
        "system": "debian11",
        "vcpus": 2,
        "memory_mib": 256,
        "firmware": "uefi",
        "bus": "auto",
        "start": "on",
        "network_0": "default",
    } | fields


def test_what_looks_like_an_appliance_is_listed(operator: Client, volume: Volume) -> None:
    Volume.objects.create(storage_pool=volume.storage_pool, name="disk.qcow2")
    page = operator.get("/appliances/new/").content.decode()
    assert "web1 &lt;b&gt;.ova" in page
    assert "disk.qcow2" not in page


def test_a_volume_that_nobody_looked_into_is_looked_into(operator: Client, volume: Volume) -> None:
    page = operator.get(f"/appliances/new/?volume={volume.pk}").content.decode()
    assert "Not looked into yet" in page
    assert 'hx-trigger="load, submit"' in page
    part = operator.post(f"/storage/volumes/{volume.pk}/appliance/", headers=HTMX).content.decode()
    assert "Looking into it…" in part
    assert 'hx-trigger="every 1s"' in part
    operation = Operation.objects.get()
    assert (operation.kind, operation.subject_key) == ("read_appliance", str(volume.pk))
    assert operator.post(f"/storage/volumes/{volume.pk}/appliance/", headers=HTMX).status_code == 409


def test_what_is_in_it_is_shown_and_what_is_not_taken_over(operator: Client, volume: Volume) -> None:
    tpm = (
        "<Item><rasd:ElementName>TPM &lt;i&gt;</rasd:ElementName><rasd:InstanceID>50</rasd:InstanceID>"
        "<rasd:ResourceType>1</rasd:ResourceType></Item>"
    )
    noted(volume, examined(extra_items=tpm))
    page = operator.get(f"/appliances/new/?volume={volume.pk}").content.decode()
    assert "Not taken over" in page
    assert "TPM &lt;i&gt; (type 1)" in page
    assert "64 MiB, of which 10 MiB hold something" in page
    assert '<option value="uefi" selected>' in page
    assert '<option value="default" selected>' in page
    assert "VM Network" in page


def test_why_it_cannot_be_imported_is_said(operator: Client, volume: Volume) -> None:
    noted(volume, problem="The archive has “../x”: files in an OVA lie in no folder.")
    page = operator.get(f"/appliances/new/?volume={volume.pk}").content.decode()
    assert "It cannot be imported." in page
    assert "lie in no folder" in page
    assert "Look again" in page


def test_a_disk_that_is_refused_says_why(operator: Client, volume: Volume) -> None:
    disk = ApplianceDisk(name="vmdisk0", file_name="d.vmdk", file_bytes=1, capacity_bytes=GIB)
    bad = PackagedDisk(disk=disk, problem="It has a parent.")
    found = examined()
    noted(volume, ExaminedAppliance(kind="ova", appliance=found.appliance, disks=(bad,)))
    page = operator.get(f"/appliances/new/?volume={volume.pk}").content.decode()
    assert "Disk “vmdisk0”: It has a parent." in page


def test_an_import_is_asked_for_with_what_is_to_be_done(
    operator: Client, volume: Volume, storage_pool: StoragePool
) -> None:
    noted(volume)
    answer = operator.post(f"/storage/volumes/{volume.pk}/import/", wanted(storage_pool), headers=HTMX)
    assert answer.status_code == 204, answer.content.decode()
    operation = Operation.objects.get()
    assert (operation.kind, operation.subject_name, operation.hypervisor) == (
        "import_appliance",
        "web1",
        storage_pool.hypervisor,
    )
    spec = operation.parameters["spec"]
    assert (spec["firmware"], spec["vcpus"], spec["memory_kib"]) == ("uefi", 2, 256 * 1024)
    assert [card["source"] for card in spec["interfaces"]] == ["default"]
    assert operation.parameters["disks"][0]["offset"] == 1024
    keys = set(OperationLock.objects.values_list("key", flat=True))
    pool = storage_pool.pk
    assert {f"volume:{pool}/web1 <b>.ova", f"volume:{pool}/web1-1.qcow2"} <= keys
    assert f"name:{storage_pool.hypervisor.hypervisor_pool_id}/web1" in keys


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": "a/b"}, "A name cannot contain “/”"),
        ({"name": ""}, "required"),
        ({"system": "plan 9"}, "Choose a system from the list"),
        ({"network_0": "nowhere"}, "not one of the available choices"),
        ({"memory_mib": 1}, "greater than or equal to 16"),
        ({"storage_pool": 999}, "not one of the available choices"),
        ({"host": 999}, "not one of the available choices"),
    ],
)
def test_what_is_wrong_is_said_beside_the_form_and_nothing_is_lost(
    fields: dict[str, object], text: str, operator: Client, volume: Volume, storage_pool: StoragePool
) -> None:
    noted(volume)
    answer = operator.post(f"/storage/volumes/{volume.pk}/import/", wanted(storage_pool, **fields), headers=HTMX)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert text in page
    assert 'value="256"' in page or "memory_mib" in fields
    assert not Operation.objects.exists()


def test_a_name_that_is_taken_and_one_that_is_proposed(
    operator: Client, volume: Volume, storage_pool: StoragePool, make_domain: Callable[..., Domain]
) -> None:
    make_domain(name="web1")
    noted(volume)
    page = operator.get(f"/appliances/new/?volume={volume.pk}").content.decode()
    assert 'value="web1-2"' in page
    answer = operator.post(f"/storage/volumes/{volume.pk}/import/", wanted(storage_pool), headers=HTMX)
    assert answer.status_code == 422
    assert "is taken; names are unique in a pool" in answer.content.decode()


def test_what_does_not_fit_is_refused_and_what_can_grow_is_asked_about(
    operator: Client, volume: Volume, storage_pool: StoragePool
) -> None:
    noted(volume)
    url = f"/storage/volumes/{volume.pk}/import/"
    StoragePool.objects.update(available_bytes=70 * MIB)
    assert "It does not fit" in operator.post(url, wanted(storage_pool), headers=HTMX).content.decode()
    large = ApplianceDisk(name="d", file_name="d.vmdk", file_bytes=5, capacity_bytes=500 * GIB)
    facts = DiskFacts(format="vmdk", virtual_size_bytes=500 * GIB, populated_bytes=MIB)
    found = examined()
    disk = PackagedDisk(disk=large, volume_name="v", size_bytes=5, facts=facts)
    Appliance.objects.all().delete()
    noted(volume, ExaminedAppliance(kind="ova", appliance=found.appliance, disks=(disk,)))
    StoragePool.objects.update(available_bytes=50 * GIB)
    assert "can grow to 500.0 GiB" in operator.post(url, wanted(storage_pool), headers=HTMX).content.decode()
    assert operator.post(url, wanted(storage_pool, overcommitted="on"), headers=HTMX).status_code == 204


def test_a_licence_must_be_accepted(operator: Client, volume: Volume, storage_pool: StoragePool) -> None:
    noted(volume, examined(extra_sections="<EulaSection><Info/><License>Pay &lt;us&gt;.</License></EulaSection>"))
    page = operator.get(f"/appliances/new/?volume={volume.pk}").content.decode()
    assert "Pay &lt;us&gt;." in page
    url = f"/storage/volumes/{volume.pk}/import/"
    assert operator.post(url, wanted(storage_pool), headers=HTMX).status_code == 422
    assert operator.post(url, wanted(storage_pool, licence="on"), headers=HTMX).status_code == 204


def test_another_pool_s_volume_is_not_read_into_ones_own(
    operator: Client, volume: Volume, storage_pool: StoragePool
) -> None:
    noted(volume)
    other = HypervisorPool.objects.create(name="other")
    host = Hypervisor.objects.create(hypervisor_pool=other, name="far", uri="qemu+tcp://far/system", status="online")
    answer = operator.post(f"/storage/volumes/{volume.pk}/import/", wanted(storage_pool, host=host.pk), headers=HTMX)
    assert answer.status_code == 422


@pytest.fixture
def machine(storage_pool: StoragePool, make_domain: Callable[..., Domain]) -> Domain:
    domain = make_domain(name="db 1", state="shutoff")
    Volume.objects.create(storage_pool=storage_pool, name="db1.qcow2", path="/images/db1.qcow2", format="qcow2")
    disk = {"device": "disk", "target": "vda", "source_kind": "file", "source": "/images/db1.qcow2", "format": "qcow2"}
    parsed = {"disks": [disk], "memory_kib": 1024**2}
    xml = "<domain><name>db 1</name></domain>"
    DomainDefinition.objects.update_or_create(domain=domain, defaults={"inactive_parsed": parsed, "inactive_xml": xml})
    return Domain.objects.get(pk=domain.pk)


def test_an_export_is_asked_for(operator: Client, machine: Domain, storage_pool: StoragePool) -> None:
    url = f"/vms/{machine.uuid}/export/"
    dialog = operator.get(url, headers=HTMX).content.decode()
    assert "Export “<bdi>db 1</bdi>”" in dialog
    assert "images: 50 GiB free" in dialog
    chosen = {"format": "ova", "name": "db 1", "storage_pool_id": storage_pool.pk}
    answer = operator.post(url, chosen, headers=HTMX)
    assert answer.status_code == 204, answer.content.decode()
    operation = Operation.objects.get()
    assert (operation.kind, operation.parameters["stem"], operation.parameters["format"]) == (
        "export_domain",
        "db 1",
        "ova",
    )
    keys = set(OperationLock.objects.values_list("key", flat=True))
    pool = storage_pool.pk
    assert keys == {f"domain:{machine.uuid}", f"volume:{pool}/db1.qcow2", f"volume:{pool}/db 1.ova"}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": 'a"b'}, "without quotes"),
        ({"name": "../x"}, "name"),
        ({"format": "zip"}, "not one of the available choices"),
        ({"name": "there"}, "already"),
    ],
)
def test_an_export_that_cannot_be_says_why(
    fields: dict[str, object], text: str, operator: Client, machine: Domain, storage_pool: StoragePool
) -> None:
    Volume.objects.create(storage_pool=storage_pool, name="there.ova")
    chosen = {"format": "ova", "name": "db1", "storage_pool_id": storage_pool.pk} | fields
    answer = operator.post(f"/vms/{machine.uuid}/export/", chosen, headers=HTMX)
    assert answer.status_code == 200
    assert text in answer.content.decode()
    assert not Operation.objects.exists()


def test_a_running_machine_is_not_exported(operator: Client, machine: Domain) -> None:
    Domain.objects.update(state="running")
    dialog = operator.get(f"/vms/{machine.uuid}/export/", headers=HTMX).content.decode()
    assert "It is running." in dialog
    assert "disabled" in dialog


def test_a_disk_in_no_storage_pool_is_named(operator: Client, machine: Domain, storage_pool: StoragePool) -> None:
    Volume.objects.all().delete()
    chosen = {"format": "ova", "name": "db1", "storage_pool_id": storage_pool.pk}
    answer = operator.post(f"/vms/{machine.uuid}/export/", chosen, headers=HTMX)
    assert "vda (/images/db1.qcow2) is in no storage pool" in answer.content.decode()


def test_what_was_exported_can_be_downloaded_while_it_is_there(
    operator: Client, machine: Domain, storage_pool: StoragePool
) -> None:
    make_operation(
        domain=machine,
        hypervisor=storage_pool.hypervisor,
        kind="export_domain",
        state=OperationState.SUCCEEDED,
        parameters={"format": "ova", "stem": "db1", "storage_pool_id": storage_pool.pk, "disks": []},
    )
    url = f"/vms/{machine.uuid}/export/"
    assert "Exported before" not in operator.get(url, headers=HTMX).content.decode()
    made = Volume.objects.create(storage_pool=storage_pool, name="db1.ova", allocation_bytes=5 * MIB)
    dialog = operator.get(url, headers=HTMX).content.decode()
    assert f'href="/transfer/volumes/{made.pk}"' in dialog
    assert "5 MiB" in dialog


def test_nothing_is_imported_to_a_host_in_maintenance(volume: Volume, storage_pool: StoragePool) -> None:
    Hypervisor.objects.update(admin_state=AdminState.MAINTENANCE)
    host = Hypervisor.objects.get(pk=storage_pool.hypervisor_id)
    assert "in maintenance" in why_not(host, "import_appliance")


def test_who_may_see_no_storage_imports_none_of_its_volumes(
    operator: Client, volume: Volume, storage_pool: StoragePool, bob: User
) -> None:
    """Whoever names a volume's number gets its content otherwise."""
    noted(volume)
    answer = operator.post(f"/storage/volumes/{volume.pk}/import/", wanted(storage_pool, name="imported"), headers=HTMX)
    assert answer.status_code == 204, answer.content.decode()
    asked = Operation.objects.get()
    maker = Role.objects.create(key="maker", name="Maker", privileges=["domain.create", "hypervisor.view"])
    RoleBinding.objects.create(user=bob, role=maker, scope="everything")
    kind, host = operation_type("import_appliance"), storage_pool.hypervisor
    needed = kind.also_needs(host, kind.parameters_of(asked))
    assert [can(bob, privilege, thing) for privilege, thing in needed] == [False]
