"""What cannot be made is refused from rows alone, by field; what is asked for holds what it needs; no secret stays."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User

from hypervisors.errors import Conflict, NotPermitted, NotPossible
from hypervisors.libvirtxml.domain_spec import DomainSpec, InterfaceSpec
from hypervisors.models import (
    AuditRecord,
    Domain,
    Hypervisor,
    Network,
    Operation,
    OperationLock,
    Role,
    RoleBinding,
    StoragePool,
    Volume,
)
from hypervisors.models.access import Scope
from hypervisors.operations.domains.creation.checks import checked, problems_of
from hypervisors.operations.domains.creation.requests import request_creation
from hypervisors.operations.domains.creation.specs import filled_spec
from hypervisors.operations.engine.requests import request_cancel, request_operation, why_not
from hypervisors.states import AdminState, OperationState
from tests.rows import define, domain_xml

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
GIB = 1024**3
MAC = "52:54:00:12:34:56"


@pytest.fixture
def pool(hypervisor: Hypervisor) -> StoragePool:
    Hypervisor.objects.filter(pk=hypervisor.pk).update(
        memory_kib=16 * 1024**2, kvm_available=False, interface_names=["eth0", "br0"]
    )
    hypervisor.refresh_from_db()
    Network.objects.create(
        hypervisor=hypervisor, uuid=uuid4(), name="default", active=True, autostart=True, forward_mode="nat"
    )
    return StoragePool.objects.create(
        hypervisor=hypervisor,
        uuid=uuid4(),
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
        target_path="/images",
        available_bytes=50 * GIB,
    )


def volume(pool: StoragePool, name: str, **fields: Any) -> Volume:
    values = {"path": f"/images/{name}", "format": "qcow2", "capacity_bytes": 2 * GIB, "allocation_bytes": GIB}
    return Volume.objects.create(storage_pool=pool, name=name, **(values | fields))


def given(pool: StoragePool, **fields: Any) -> dict[str, Any]:
    spec = DomainSpec(name="x", virt_type="qemu", interfaces=(InterfaceSpec(source="default", mac=MAC),))
    disk = {"action": "new", "storage_pool_id": pool.pk, "capacity_bytes": 10 * GIB}
    return {"name": "made", "method": "pxe", "spec": spec.to_json(), "disks": [disk], **fields}


def spec_with(pool: StoragePool, **fields: Any) -> dict[str, Any]:
    wanted = given(pool)
    wanted["spec"] |= fields
    return wanted


def test_what_is_missing_is_chosen(pool: StoragePool) -> None:
    wanted = spec_with(pool, interfaces=[{"source": "default"}, {"kind": "bridge", "source": "br0"}])
    parameters = checked(pool.hypervisor, wanted)
    assert UUID(parameters.spec["uuid"]).version == 4
    macs = [card["mac"] for card in parameters.spec["interfaces"]]
    assert all(mac.startswith("52:54:00:") for mac in macs)
    assert len(set(macs)) == 2
    assert [plan.volume_name for plan in parameters.disk_plans] == ["made.qcow2"]
    spec = filled_spec(parameters, pool.hypervisor)
    assert [(disk.path, disk.boot_order) for disk in spec.disks] == [("/images/made.qcow2", 1)]
    assert spec.interfaces[0].boot_order == 2


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"name": ""}, "name", "needs a name"),
        ({"name": "a/b"}, "name", "cannot contain “/”"),
        ({"name": "two\nlines"}, "name", "control characters"),
        ({"name": "taken"}, "name", "is taken"),
        ({"method": "magic"}, "method", "Choose the way"),
        ({"method": "iso"}, "method", "Choose the ISO"),
        ({"method": "cloud_image"}, "method", "Choose the cloud image"),
        ({"method": "url_tree"}, "method", "Give the URL"),
        ({"method": "url_tree", "tree_url": "file:///etc"}, "method", "http://"),
        ({"cmdline": "x\ny"}, "method", "one line"),
        ({"spec": None}, "spec", "is missing"),
        ({"disks": "x"}, "disks", "at most"),
        ({"media": ["x"]}, "media", "from the list"),
        ({"media": [999_999]}, "media", "is gone"),
        ({"cloud_init": {"user": "Root"}}, "cloud_init", "user's name"),
        ({"cloud_init": {"ssh_keys": ["x"]}}, "cloud_init", "SSH key"),
        ({"cloud_init": {"user_data": "a: : b"}}, "cloud_init", "line 1"),
        ({"cloud_init": {"networks": [{}, {}]}}, "method", "more networks"),
    ],
)
def test_what_cannot_be_is_told_by_field(
    fields: dict[str, Any], field: str, said: str, pool: StoragePool, make_domain: Callable[..., Domain]
) -> None:
    make_domain(name="taken")
    wanted = given(pool, **fields)
    with pytest.raises(NotPossible, match=said):
        checked(pool.hypervisor, wanted)
    problems = problems_of(pool.hypervisor, wanted)
    assert (problems[0].field, said in problems[0].text) == (field, True)


@pytest.mark.parametrize(
    ("disk", "said"),
    [
        ({"capacity_bytes": 0}, "between 1 MiB and 1 PiB"),
        ({"capacity_bytes": 2**63}, "between 1 MiB and 1 PiB"),
        ({"capacity_bytes": "10"}, "is something else"),
        ({"action": "steal"}, "Choose the kind"),
        ({"action": "copy"}, "Choose the image"),
        ({"volume_name": "../x"}, "no “/”"),
        ({"volume_name": "there.qcow2"}, "already"),
        ({"format": "vhdx"}, "qcow2 or raw"),
        ({"storage_pool_id": 999_999}, "is gone"),
        ({"capacity_bytes": 60 * GIB}, "can grow to"),
        ({"capacity_bytes": 60 * GIB, "preallocation": "full", "overcommitted": True}, "does not fit"),
        ({"bus": "magic"}, "disk bus"),
        ({"serial": "a,b"}, "no commas"),
    ],
)
def test_a_disk_that_cannot_be_is_told(disk: dict[str, Any], said: str, pool: StoragePool) -> None:
    volume(pool, "there.qcow2")
    wanted = given(pool)
    wanted["disks"] = [wanted["disks"][0], wanted["disks"][0] | disk]
    with pytest.raises(NotPossible, match=said):
        checked(pool.hypervisor, wanted)
    # Counted from one.
    assert problems_of(pool.hypervisor, wanted)[0].field in ("disks.2", "disks", "spec")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"memory_kib": 32 * 1024**2}, "has 16.0 GiB of memory"),
        ({"virt_type": "kvm"}, "has no KVM"),
        ({"vcpus": 0}, "vCPUs"),
        ({"interfaces": [{"source": "nowhere"}]}, "no network “nowhere”"),
        ({"interfaces": [{"kind": "bridge", "source": "br9"}]}, "no interface “br9”"),
        ({"colour": "red"}, "has no “colour”"),
        ({"uuid": "x"}, "hexadecimal"),
    ],
)
def test_a_machine_that_cannot_be_is_told(spec: dict[str, Any], said: str, pool: StoragePool) -> None:
    with pytest.raises(NotPossible, match=said):
        checked(pool.hypervisor, spec_with(pool, **spec))


def test_an_address_in_use_anywhere_in_the_pool_is_refused(
    pool: StoragePool, make_domain: Callable[..., Domain], make_hypervisor: Callable[..., Hypervisor]
) -> None:
    other = make_domain(hypervisor=make_hypervisor(), name="elsewhere")
    xml = f"<domain><devices><interface type='network'><mac address='{MAC}'/></interface></devices></domain>"
    define(other, inactive_xml=xml)
    with pytest.raises(NotPossible, match=f"{MAC} is in use") as refusal:
        checked(pool.hypervisor, given(pool))
    # Whoever asks may not see that machine.
    assert "elsewhere" not in str(refusal.value)


def test_a_disk_that_a_machine_has_is_not_given_to_another(pool: StoragePool, domain: Domain) -> None:
    disk = volume(pool, "disk.qcow2")
    define(domain, inactive_xml=domain_xml("/images/disk.qcow2"))
    plan = {"action": "existing", "source_volume_id": disk.pk}
    with pytest.raises(NotPossible, match="vda of “web1”"):
        checked(pool.hypervisor, given(pool, disks=[plan]))
    # It is not for the new one to say that the other shares it.
    with pytest.raises(NotPossible, match="vda of “web1”"):
        checked(pool.hypervisor, given(pool, disks=[plan | {"shareable": True}]))
    define(domain, inactive_xml=domain_xml("/images/disk.qcow2").replace("</disk>", "<shareable/></disk>"))
    assert checked(pool.hypervisor, given(pool, disks=[plan | {"shareable": True}])).disk_plans[0].shareable
    Domain.objects.update(is_template=True)
    with pytest.raises(NotPossible, match="vda of “web1”"):
        checked(pool.hypervisor, given(pool, disks=[plan | {"shareable": True}]))


def test_nothing_is_put_on_top_of_what_a_machine_writes_to(pool: StoragePool, domain: Domain) -> None:
    disk = volume(pool, "disk.qcow2")
    define(domain, inactive_xml=domain_xml("/images/disk.qcow2"))
    plan = {"action": "overlay", "storage_pool_id": pool.pk, "source_volume_id": disk.pk}
    with pytest.raises(NotPossible, match="is a disk of “web1”, which changes it"):
        checked(pool.hypervisor, given(pool, disks=[plan]))
    Domain.objects.update(is_template=True)
    assert checked(pool.hypervisor, given(pool, disks=[plan])).disk_plans[0].action == "overlay"


def test_a_template_stays_one_while_a_disk_is_put_on_top_of_its_own(
    pool: StoragePool, domain: Domain, alice: User
) -> None:
    disk = volume(pool, "disk.qcow2")
    define(domain, inactive_xml=domain_xml("/images/disk.qcow2"))
    Domain.objects.update(is_template=True)
    domain.refresh_from_db()
    assert why_not(domain, "unmake_template") == ""
    plan = {"action": "overlay", "storage_pool_id": pool.pk, "source_volume_id": disk.pk}
    request_operation(user=alice, kind="create_domain", subject=pool.hypervisor, parameters=given(pool, disks=[plan]))
    assert why_not(domain, "unmake_template") == "“made” is being made of it."


def test_who_may_only_create_names_no_volume_unseen_and_no_file_of_the_host(pool: StoragePool, charlie: User) -> None:
    role = Role.objects.create(key="maker", name="Maker", privileges=["domain.view", "domain.create"])
    RoleBinding.objects.create(
        user=charlie, role=role, scope=Scope.HYPERVISOR_POOL, hypervisor_pool=pool.hypervisor.hypervisor_pool
    )
    image = volume(pool, "image.qcow2")
    plan = {"action": "copy", "storage_pool_id": pool.pk, "source_volume_id": image.pk, "volume_name": "copy.qcow2"}
    floppy = {"device": "floppy", "bus": "fdc", "path": "/etc/shadow", "format": "raw"}
    for wanted in (
        given(pool, disks=[plan]),
        given(pool, kernel_volume_id=image.pk),
        spec_with(pool, kernel_path="/boot/vmlinuz", initrd_path="/etc/shadow"),
        spec_with(pool, emulator="/usr/bin/env"),
        spec_with(pool, disks=[floppy]),
    ):
        with pytest.raises(NotPermitted):
            request_operation(user=charlie, kind="create_domain", subject=pool.hypervisor, parameters=wanted)
    role.privileges += ["storage.view"]
    role.save()
    charlie = User.objects.get(pk=charlie.pk)
    accepted = request_operation(
        user=charlie, kind="create_domain", subject=pool.hypervisor, parameters=given(pool, disks=[plan])
    )
    assert accepted.requested_by == charlie


def test_an_image_is_not_cut_off_and_a_foreign_one_not_used_as_it_is(pool: StoragePool) -> None:
    image, foreign = volume(pool, "image.qcow2"), volume(pool, "foreign.vmdk", format="vmdk")
    plan = {"action": "overlay", "storage_pool_id": pool.pk, "source_volume_id": image.pk}
    with pytest.raises(NotPossible, match=r"cut “image\.qcow2” off"):
        checked(pool.hypervisor, given(pool, disks=[plan | {"capacity_bytes": GIB}]))
    with pytest.raises(NotPossible, match="has to be converted"):
        checked(pool.hypervisor, given(pool, disks=[plan | {"source_volume_id": foreign.pk}]))
    with pytest.raises(NotPossible, match="Two disks cannot both be called"):
        checked(pool.hypervisor, given(pool, disks=[plan | {"volume_name": "same"}] * 2))


def test_a_disk_image_is_no_medium(pool: StoragePool) -> None:
    with pytest.raises(NotPossible, match="is no ISO image"):
        checked(pool.hypervisor, given(pool, method="iso", media=[volume(pool, "image.qcow2").pk]))


def test_a_password_is_kept_as_a_hash_and_that_only_until_the_end(pool: StoragePool, alice: User) -> None:
    seed = {"user": "anna", "password": "geheim!", "user_data": "secret: yes-it-is"}
    wanted = given(pool, cloud_init=seed)
    operation = request_operation(user=alice, kind="create_domain", subject=pool.hypervisor, parameters=wanted)
    assert operation.parameters["cloud_init"]["password"] == ""
    assert operation.parameters["cloud_init"]["password_hash"].startswith("$6$")
    assert "geheim!" not in str(Operation.objects.values_list("parameters", flat=True))
    request_cancel(operation, user=alice)
    operation.refresh_from_db()
    assert (operation.state, "cloud_init" in operation.parameters) == (OperationState.CANCELLED, False)
    audited = str(list(AuditRecord.objects.values_list("after", "detail")))
    assert "made" in audited
    assert not any(secret in audited for secret in ("geheim!", "$6$", "yes-it-is"))


def test_two_at_once_cannot_have_the_same_name_or_address(pool: StoragePool, alice: User) -> None:
    first = request_operation(user=alice, kind="create_domain", subject=pool.hypervisor, parameters=given(pool))
    keys = set(OperationLock.objects.filter(operation=first).values_list("key", flat=True))
    kinds = {key.partition(":")[0] for key in keys}
    assert kinds == {"name", "domain", "mac", "volume"}
    for fields in ({}, {"name": "other"}):
        with pytest.raises(Conflict):
            request_operation(
                user=alice, kind="create_domain", subject=pool.hypervisor, parameters=given(pool, **fields)
            )


@pytest.mark.parametrize("person", ["bob", "charlie"])
def test_who_may_not_is_refused(person: str, pool: StoragePool, request: pytest.FixtureRequest) -> None:
    user = request.getfixturevalue(person)
    for where in ({"hypervisor": pool.hypervisor}, {"hypervisor_pool": pool.hypervisor.hypervisor_pool}):
        with pytest.raises(NotPermitted):
            request_creation(user=user, given=given(pool), **where)
    with pytest.raises(NotPermitted):
        request_operation(
            user=user, kind="create_domain_from_xml", subject=pool.hypervisor, parameters={"xml": "<domain/>"}
        )
    assert not Operation.objects.exists()


def test_nothing_goes_to_a_host_in_maintenance(pool: StoragePool, alice: User) -> None:
    Hypervisor.objects.update(admin_state=AdminState.MAINTENANCE)
    pool.hypervisor.refresh_from_db()
    with pytest.raises(NotPossible, match="in maintenance"):
        request_operation(user=alice, kind="create_domain", subject=pool.hypervisor, parameters=given(pool))
    with pytest.raises(NotPossible, match="maintenance"):
        request_creation(user=alice, given=given(pool), hypervisor_pool=pool.hypervisor.hypervisor_pool)


def test_of_several_those_that_cannot_be_are_named(pool: StoragePool, alice: User) -> None:
    volume(pool, "made-2.qcow2")
    asked = request_creation(user=alice, given=given(pool), hypervisor=pool.hypervisor, count=3)
    assert [operation.subject_name for operation in asked.accepted] == ["made-1", "made-3"]
    assert asked.parent is not None
    assert asked.parent.parameters["refused"][0]["name"] == "made-2"
    assert {operation.parent_id for operation in asked.accepted} == {asked.parent.pk}
