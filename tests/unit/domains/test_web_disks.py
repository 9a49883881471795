"""The dialogs of a machine's disks: which may move where, what is refused and why, and which images can be merged."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hypervisors.models import Domain, Operation, StoragePool, Volume
from hypervisors.states import DomainState
from tests.roles import bind
from tests.rows import define, domain_xml

pytestmark = pytest.mark.usefixtures("redis_client")
GIB = 1024**3
CHAIN = """<domain type='qemu'><name>web1</name><devices><disk type='file' device='disk'>
<driver name='qemu' type='qcow2'/>
<source file='/images/top.qcow2'/><backingStore type='file'><format type='qcow2'/><source file='/images/web1.qcow2'/>
<backingStore/></backingStore><target dev='vda' bus='virtio'/></disk></devices></domain>"""


@pytest.fixture
def machine(make_domain: Callable[..., Domain]) -> Domain:
    """It runs, from /images/web1.qcow2; there is a second storage pool."""
    domain = make_domain(name="web1", state=DomainState.RUNNING)
    assert domain.hypervisor is not None
    define(domain, live_xml=domain_xml("/images/web1.qcow2"), inactive_xml=domain_xml("/images/web1.qcow2"))
    for name in ("images", "fast"):
        StoragePool.objects.create(
            hypervisor=domain.hypervisor,
            uuid=uuid4(),
            name=name,
            pool_type="dir",
            active=True,
            autostart=True,
            target_path=f"/{name}",
            available_bytes=20 * GIB,
        )
    images = StoragePool.objects.get(name="images")
    make_volume(images, "web1.qcow2")
    return domain


def make_volume(pool: StoragePool, name: str, **values: object) -> Volume:
    given = {"format": "qcow2", "capacity_bytes": 10 * GIB, "allocation_bytes": GIB} | values
    path = f"/{pool.name}/{name}"
    return Volume.objects.create(storage_pool=pool, name=name, key=path, path=path, **given)


def post(client: Client, machine: Domain, **values: object) -> str:
    pool = StoragePool.objects.get(name=values.pop("pool", "fast"))
    url = f"/vms/{machine.uuid}/disks/move/"
    answer = client.post(url, {"disk": "vda", "storage_pool_id": pool.pk, **values}, headers={"HX-Request": "true"})
    return answer.content.decode()


def test_a_move_is_asked_for_with_all_that_it_needs(operator: Client, machine: Domain) -> None:
    dialog = operator.get(f"/vms/{machine.uuid}/disks/move/").content.decode()
    assert 'value="vda" required checked' in dialog
    assert "10 GiB, 1 GiB written" in dialog
    assert post(operator, machine, format="raw", speed="20", delete_source="on") == ""
    operation = Operation.objects.get()
    wanted = {"disk": "vda", "format": "raw", "name": "web1.img", "delete_source": True, "was_off": False}
    assert operation.kind == "move_disk"
    assert wanted.items() <= operation.parameters.items()
    assert operation.parameters["bytes_per_second"] == 20 * 1024**2
    assert len(operation.locks.all()) == 3


def test_a_name_that_is_taken_there_gets_a_number(operator: Client, machine: Domain) -> None:
    make_volume(StoragePool.objects.get(name="fast"), "web1.qcow2")
    post(operator, machine)
    assert Operation.objects.get().parameters["name"] == "web1-2.qcow2"


def test_what_can_grow_beyond_what_is_free_is_asked_about(operator: Client, machine: Domain) -> None:
    StoragePool.objects.filter(name="fast").update(available_bytes=5 * GIB)
    said = post(operator, machine)
    assert "It can grow to 10.0 GiB" in said
    assert 'name="overcommitted"' in said
    assert post(operator, machine, overcommitted="on") == ""


@pytest.mark.parametrize(
    ("reason", "values"),
    [
        ("has snapshots", {"has_snapshots": True}),
        ("has checkpoints", {"has_checkpoints": True}),
        ("transient", {"persistent": False}),
        ("saved state", {"has_managed_save": True, "state": "shutoff"}),
    ],
)
def test_why_nothing_can_move_is_said(
    operator: Client, machine: Domain, reason: str, values: dict[str, object]
) -> None:
    Domain.objects.filter(pk=machine.pk).update(**values)
    assert reason in operator.get(f"/vms/{machine.uuid}/disks/move/").content.decode()
    assert reason in post(operator, machine)
    assert not Operation.objects.exists()


def test_a_disk_that_others_need_does_not_move(
    operator: Client, machine: Domain, make_domain: Callable[..., Domain]
) -> None:
    images = StoragePool.objects.get(name="images")
    make_volume(images, "linked.qcow2", backing_path="/images/web1.qcow2", backing_format="qcow2")
    assert "linked.qcow2" in operator.get(f"/vms/{machine.uuid}/disks/move/").content.decode()
    assert "Disk vda cannot move" in post(operator, machine)
    assert not Operation.objects.exists()


def test_it_is_not_moved_to_where_it_is(operator: Client, machine: Domain) -> None:
    assert "It is there already" in post(operator, machine, pool="images")
    assert post(operator, machine, pool="images", format="raw") == ""


def test_images_are_merged_into_what_nobody_else_needs(
    operator: Client, machine: Domain, make_domain: Callable[..., Domain]
) -> None:
    url = f"/vms/{machine.uuid}/disks/images/"
    assert "there is nothing to merge" in operator.get(url).content.decode()
    images = StoragePool.objects.get(name="images")
    make_volume(images, "top.qcow2", backing_path="/images/web1.qcow2", backing_format="qcow2")
    define(machine, live_xml=CHAIN, inactive_xml=domain_xml("/images/top.qcow2"))
    assert "Merge into it" in operator.get(url).content.decode()
    asked = {"kind": "commit_disk", "disk": "vda", "into": "/images/web1.qcow2", "delete_merged": "1"}
    other = make_volume(images, "other.qcow2", backing_path="/images/web1.qcow2", backing_format="qcow2")
    assert "other.qcow2" in operator.get(url).content.decode()
    assert "Nothing can be merged into it" in operator.post(url, asked, headers={"HX-Request": "true"}).content.decode()
    assert not Operation.objects.exists()
    other.delete()
    assert operator.post(url, asked, headers={"HX-Request": "true"}).status_code == 204
    operation = Operation.objects.get()
    assert operation.parameters["paths"] == ["/images/top.qcow2", "/images/web1.qcow2"]
    assert len(operation.parameters["volume_ids"]) == 2


def test_who_only_uses_a_machine_is_told_nothing_of_its_storage(client: Client, charlie: User, machine: Domain) -> None:
    bind(charlie, "vm-user", machine)
    client.force_login(charlie)
    for door in ("move", "images"):
        assert client.get(f"/vms/{machine.uuid}/disks/{door}/").status_code == 403
    menu = client.get(f"/vms/{machine.uuid}/menu/").content.decode()
    assert "Move disk" not in menu
    assert "Disk images" not in menu
