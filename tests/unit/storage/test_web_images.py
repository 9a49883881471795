"""The images page: which volumes it shows, once for shared storage, and what it says of each."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from hypervisors.inventory.storage.origins import forget_origin, note_origin
from hypervisors.models import AuditRecord, Domain, Hypervisor, SharedStorage, StoragePool, Upload, Volume, VolumeHead
from hypervisors.operations.storage.uploads import begin_upload
from hypervisors.states import OperationState, UploadState
from tests.rows import define, domain_xml

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
GIB = 1024**3


@pytest.fixture
def pool(hypervisor: Hypervisor) -> StoragePool:
    return make_pool(hypervisor)


def make_pool(hypervisor: Hypervisor, **fields: Any) -> StoragePool:
    values = {"uuid": uuid4(), "name": "images", "pool_type": "dir", "active": True, "autostart": True}
    values |= {"target_path": "/images", "available_bytes": 50 * GIB}
    return StoragePool.objects.create(hypervisor=hypervisor, **(values | fields))


def add(pool: StoragePool, name: str, format_: str = "iso", **fields: Any) -> Volume:
    values = {"path": f"/images/{name}", "volume_type": "file", "capacity_bytes": GIB}
    return Volume.objects.create(storage_pool=pool, name=name, format=format_, **(values | fields))


def say(volume: Volume, **fields: Any) -> None:
    VolumeHead.objects.create(volume=volume, read_at=timezone.now(), **({"format": "iso"} | fields))


def shown(page: str) -> list[str]:
    return [part.split("</span>")[0].split(">", 1)[1] for part in page.split('class="vp-volume-name"')[1:]]


def test_isos_and_what_somebody_brought_are_images_and_disks_are_not(operator: Client, pool: StoragePool) -> None:
    for name, format_ in (("b10.iso", "iso"), ("b9.iso", "raw"), ("disk.qcow2", "qcow2"), ("brought.qcow2", "qcow2")):
        add(pool, name, format_)
    say(add(pool, "debian-12-genericcloud-amd64.qcow2", "qcow2"), format="qcow2")
    add(pool, "gone.iso", vanished_at=timezone.now())
    note_origin(pool, "brought.qcow2", format_="qcow2", purpose="image")
    page = operator.get("/images/").content.decode()
    assert shown(page) == ["b9.iso", "b10.iso", "brought.qcow2", "debian-12-genericcloud-amd64.qcow2"]
    assert shown(operator.get("/images/?kind=disk").content.decode()) == shown(page)[2:]
    assert shown(operator.get("/images/?q=B1").content.decode()) == ["b10.iso"]
    assert "No image fits" in operator.get("/images/?q=nothing").content.decode()
    for nonsense in ("kind=x", "page=-1", "q=%01"):
        assert operator.get(f"/images/?{nonsense}").status_code == 200


def test_what_is_said_of_an_image(operator: Client, pool: StoragePool, make_domain: Callable[..., Domain]) -> None:
    say(add(pool, "a.iso"), system_name="Debian <12>", label="Debian 12 n", is_bootable=True)
    say(add(pool, "b.iso", "raw"), problem="It is called .iso and is none.")
    define(make_domain(name="web1"), inactive_xml=domain_xml("/images/a.iso"))
    page = operator.get("/images/").content.decode()
    for text in ("Debian &lt;12&gt;", "Debian 12 n", "It is called .iso and is none.", ">web1</a>"):
        assert text in page, text
    assert shown(operator.get("/images/?q=debian").content.decode()) == ["a.iso"]


def test_an_image_of_shared_storage_stands_once(
    operator: Client, pool: StoragePool, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    shared = SharedStorage.objects.create(
        hypervisor_pool=pool.hypervisor.hypervisor_pool, name="images", pool_type="dir", identity="x"
    )
    other = make_pool(make_hypervisor(), shared_storage=shared)
    pool.shared_storage = shared
    pool.save()
    for one in (pool, other):
        add(one, "a.iso")
    page = operator.get("/images/").content.decode()
    assert shown(page) == ["a.iso"]
    assert "2 hosts" in page


def test_an_image_is_flagged_on_every_host_and_that_is_audited(operator: Client, pool: StoragePool) -> None:
    volume = add(pool, "plain.qcow2", "qcow2")
    url = f"/storage/volumes/{volume.pk}/image/"
    assert shown(operator.get("/images/").content.decode()) == []
    assert operator.post(url, headers={"HX-Request": "true"}).status_code == 204
    assert shown(operator.get("/images/").content.decode()) == ["plain.qcow2"]
    assert operator.post(url, {"image": "0"}).status_code == 302
    assert shown(operator.get("/images/").content.decode()) == []
    assert AuditRecord.objects.filter(action="say what a volume is for").count() == 2


def arrived(user: User, pool: StoragePool, name: str, state: UploadState) -> None:
    """An upload of that name that is over."""
    upload = begin_upload(user=user, storage_pool=pool, parameters={"name": name, "length_bytes": 9}, fingerprint="")
    Upload.objects.filter(pk=upload.pk).update(state=state, sha256="5" * 64)
    upload.operation.locks.all().delete()
    upload.operation.state = OperationState.SUCCEEDED
    upload.operation.save()


def test_an_upload_that_is_not_the_file_that_was_meant_says_so_until_it_is_another(
    operator: Client, alice: User, pool: StoragePool
) -> None:
    warning = "Not the file that was meant"
    arrived(alice, pool, "a.iso", UploadState.MISMATCHED)
    arrived(alice, pool, "b.iso", UploadState.DONE)
    for name in ("a.iso", "b.iso"):
        add(pool, name)
    page = operator.get("/images/").content.decode()
    assert page.count(warning) == 1
    assert "5" * 64 in page.partition("a.iso")[2].partition("b.iso")[0]
    forget_origin(pool, "a.iso")
    assert warning not in operator.get("/images/").content.decode()


def test_strangers_see_no_images(client: Client, bob: User, pool: StoragePool) -> None:
    add(pool, "a.iso")
    client.force_login(bob)
    assert client.get("/images/").status_code == 404


def test_there_is_a_place_to_upload_to(operator: Client, pool: StoragePool) -> None:
    page = operator.get("/images/").content.decode()
    assert f'hx-get="/storage/{pool.pk}/image-upload/"' in page
    part = operator.get(f"/storage/{pool.pk}/image-upload/").content.decode()
    assert f'data-storage-pool="{pool.pk}"' in part


def test_the_number_of_queries_does_not_grow(
    operator: Client, pool: StoragePool, make_domain: Callable[..., Domain], django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        say(add(pool, f"a{number}.iso"), system_name="x")
        define(make_domain(), inactive_xml=domain_xml(f"/images/a{number}.iso"))
    with django_assert_max_num_queries(17):
        operator.get("/images/")
