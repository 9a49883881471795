"""Asking for volumes through the pages: does it work, wrong method, wrong person, unknown id."""

from collections.abc import Callable
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hypervisors.models import Domain, Hypervisor, Operation, StoragePool, Volume
from hypervisors.states import HypervisorStatus
from tests.rows import define, domain_xml

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
HTMX = {"HX-Request": "true"}
GIB = 1024**3


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
    return Volume.objects.create(storage_pool=storage_pool, name="disk1.qcow2", path="/images/disk1.qcow2")


def wanted(**fields: object) -> dict[str, object]:
    return {"name": "new <b>.qcow2", "format": "qcow2", "size": "1.5", "unit": "GiB"} | fields


def test_a_volume_is_asked_for(operator: Client, storage_pool: StoragePool) -> None:
    url = f"/storage/{storage_pool.pk}/volumes/create/"
    dialog = operator.get(url, headers=HTMX).content.decode()
    assert "New volume in “<bdi>images</bdi>”" in dialog
    assert "50 GiB of 100 GiB are free on <bdi>host1</bdi>" in dialog
    answer = operator.post(url, wanted(), headers=HTMX)
    assert answer.status_code == 204
    operation = Operation.objects.get()
    assert operation.parameters == {
        "name": "new <b>.qcow2",
        "format": "qcow2",
        "capacity_bytes": 3 * GIB // 2,
        "preallocation": "off",
        "overcommitted": False,
    }
    page = operator.get(storage_pool.get_absolute_url()).content.decode()
    assert "images/new &lt;b&gt;.qcow2" in page
    assert f'hx-post="/operations/{operation.pk}/cancel/"' in page


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": ""}, "This field is required"),
        ({"name": "a/../b"}, "has no “/”"),
        ({"size": "0"}, "greater than or equal to"),
        ({"size": "NaN"}, "Enter a number"),
        ({"size": "1e400"}, "Ensure that there are no more than"),
        ({"size": "99999", "unit": "TiB"}, "between 1 MiB and 1 PiB"),
        ({"format": "vmdk"}, "Select a valid choice"),
        ({"format": "raw", "preallocation": "metadata"}, "Only a qcow2 volume has tables"),
        ({"preallocation": "some"}, "Select a valid choice"),
        ({"format": "raw", "preallocation": "full", "size": "60"}, "50.0 GiB are free, 60.0 GiB are needed"),
        ({"size": "60"}, "It can grow to 60.0 GiB, and 50.0 GiB are free"),
        ({"format": "raw", "size": "999", "unit": "TiB"}, "It can grow to 1022976.0 GiB, and 50.0 GiB are free"),
        ({"preallocation": "full", "size": "60", "overcommitted": "on"}, "The storage pool is full"),
        ({"name": "disk1.qcow2"}, "There is a volume called “disk1.qcow2” in this storage pool already"),
    ],
)
def test_what_is_wrong_is_said_in_the_dialog(
    fields: dict[str, object], reason: str, operator: Client, storage_pool: StoragePool, volume: Volume
) -> None:
    answer = operator.post(f"/storage/{storage_pool.pk}/volumes/create/", wanted(**fields), headers=HTMX)
    assert answer.status_code == 200
    assert reason in answer.content.decode()
    assert not Operation.objects.exists()


def test_one_larger_than_what_is_free_is_made_when_that_is_meant(operator: Client, storage_pool: StoragePool) -> None:
    url = f"/storage/{storage_pool.pk}/volumes/create/"
    assert 'name="overcommitted"' not in operator.get(url, headers=HTMX).content.decode()
    assert 'name="overcommitted"' in operator.post(url, wanted(size="60"), headers=HTMX).content.decode()
    assert operator.post(url, wanted(size="60", overcommitted="on"), headers=HTMX).status_code == 204
    assert Operation.objects.get().parameters["overcommitted"] is True


def test_a_host_that_is_away_is_named_before_anything_is_typed(operator: Client, storage_pool: StoragePool) -> None:
    Hypervisor.objects.update(status=HypervisorStatus.OFFLINE)
    dialog = operator.get(f"/storage/{storage_pool.pk}/volumes/create/", headers=HTMX).content.decode()
    assert "host1 is offline" in dialog


def test_a_volume_is_asked_to_be_deleted_once(operator: Client, volume: Volume) -> None:
    url = f"/storage/volumes/{volume.pk}/delete/"
    assert operator.post(url, headers=HTMX).status_code == 204
    assert Operation.objects.get().kind == "delete_volume"
    again = operator.post(url, headers=HTMX)
    assert (again.status_code, "“Delete volume”, asked for by alice" in again.content.decode()) == (409, True)


def test_the_wrong_method_person_or_id(
    client: Client, alice: User, bob: User, charlie: User, storage_pool: StoragePool, volume: Volume
) -> None:
    urls = [f"/storage/{storage_pool.pk}/volumes/create/", f"/storage/volumes/{volume.pk}/delete/"]
    for person in (bob, charlie):
        client.force_login(person)
        assert [client.post(url, wanted(), headers=HTMX).status_code for url in urls] == [404, 404]
        assert client.get(f"/storage/{storage_pool.pk}/operations/").status_code == 404
    client.logout()
    assert [client.post(url, wanted()).status_code for url in urls] == [302, 302]
    client.force_login(alice)
    assert client.get(urls[1]).status_code == 405
    assert client.post("/storage/volumes/99999/delete/", headers=HTMX).status_code == 404
    assert client.get("/storage/99999/volumes/create/").status_code == 404
    assert not Operation.objects.exists()


def test_the_menu_offers_what_can_be_done_and_says_why_not(operator: Client, volume: Volume) -> None:
    url = f"/storage/volumes/{volume.pk}/menu/"
    Volume.objects.update(format="qcow2", capacity_bytes=GIB)
    menu = operator.get(url, headers=HTMX).content.decode()
    for word in ("resize", "clone", "convert", "wipe"):
        assert f'hx-get="/storage/volumes/{volume.pk}/{word}/"' in menu
    assert f'href="/transfer/volumes/{volume.pk}"' in menu
    assert f'action="/storage/volumes/{volume.pk}/delete/"' in menu
    Volume.objects.create(storage_pool=volume.storage_pool, name="clone.qcow2", backing_path=volume.path)
    Volume.objects.filter(pk=volume.pk).update(quarantine="It was <raw>.")
    menu = operator.get(url, headers=HTMX).content.decode()
    assert f'action="/storage/volumes/{volume.pk}/delete/"' not in menu
    assert "Other volumes are on top of it" in menu
    assert "Its content is not trusted. It was &lt;raw&gt;." in menu
    assert f'action="/storage/volumes/{volume.pk}/trust/"' in menu


def test_an_iso_cannot_be_converted_and_its_dialog_says_so(operator: Client, volume: Volume) -> None:
    Volume.objects.update(format="iso", capacity_bytes=GIB)
    assert "/convert/" not in operator.get(f"/storage/volumes/{volume.pk}/menu/", headers=HTMX).content.decode()
    url = f"/storage/volumes/{volume.pk}/convert/"
    assert "of the format iso" in operator.get(url, headers=HTMX).content.decode()
    values = {"name": "x", "storage_pool": volume.storage_pool_id}
    assert "of the format iso" in operator.post(url, values, headers=HTMX).content.decode()
    assert not Operation.objects.exists()


def test_a_volume_is_resized_when_that_is_meant(operator: Client, volume: Volume) -> None:
    Volume.objects.update(format="qcow2", capacity_bytes=2 * GIB)
    url = f"/storage/volumes/{volume.pk}/resize/"
    dialog = operator.get(url, headers=HTMX).content.decode()
    assert 'value="2"' in dialog
    assert 'name="shrink"' not in dialog
    check = operator.post(f"{url}?check=1", {"size": "1", "unit": "GiB"}, headers=HTMX).content.decode()
    assert "what is beyond it would be lost" in check
    refused = operator.post(url, {"size": "1", "unit": "GiB"}, headers=HTMX).content.decode()
    assert 'name="shrink"' in refused
    assert not Operation.objects.exists()
    assert operator.post(url, {"size": "1", "unit": "GiB", "shrink": "on"}, headers=HTMX).status_code == 204
    assert Operation.objects.get().parameters == {"capacity_bytes": GIB, "shrink": True, "overcommitted": False}


def test_a_copy_is_asked_for_with_a_name_proposed(operator: Client, volume: Volume) -> None:
    Volume.objects.update(format="qcow2", capacity_bytes=GIB)
    url = f"/storage/volumes/{volume.pk}/clone/"
    dialog = operator.get(url, headers=HTMX).content.decode()
    assert 'value="disk1-copy.qcow2"' in dialog
    assert "images: 50 GiB free" in dialog
    values = {"name": "a/b", "storage_pool": volume.storage_pool_id}
    assert "has no “/”" in operator.post(f"{url}?check=1", values, headers=HTMX).content.decode()
    assert operator.post(url, values | {"name": "copy"}, headers=HTMX).status_code == 204
    operation = Operation.objects.get()
    assert (operation.kind, operation.parameters["capacity_bytes"]) == ("clone_volume", GIB)
    assert set(operation.locks.values_list("key", flat=True)) == {
        f"volume:{volume.storage_pool_id}/copy",
        f"volume:{volume.storage_pool_id}/disk1.qcow2",
    }


def test_a_volume_is_wiped_only_by_its_name(operator: Client, volume: Volume) -> None:
    url = f"/storage/volumes/{volume.pk}/wipe/"
    assert "Type the name" in operator.post(url, {"confirmed_name": "disk1"}, headers=HTMX).content.decode()
    assert operator.post(url, {"confirmed_name": "disk1.qcow2"}, headers=HTMX).status_code == 204


def test_an_overlay_is_offered_what_nobody_writes_to(
    operator: Client, volume: Volume, make_domain: Callable[..., Domain]
) -> None:
    Volume.objects.update(format="qcow2", capacity_bytes=GIB)
    written = Volume.objects.create(
        storage_pool=volume.storage_pool, name="written.qcow2", path="/images/written.qcow2", format="qcow2"
    )
    define(make_domain(), inactive_xml=domain_xml("/images/written.qcow2"))
    url = f"/storage/{volume.storage_pool_id}/volumes/create/"
    dialog = operator.get(url, headers=HTMX).content.decode()
    assert f'<option value="{volume.pk}">' in dialog
    assert f'<option value="{written.pk}">' not in dialog
    small = operator.post(url, wanted(backing=volume.pk, size="0.5"), headers=HTMX).content.decode()
    assert "at least as large as what it is on top of" in small
    assert operator.post(url, wanted(backing=volume.pk), headers=HTMX).status_code == 204
    assert Operation.objects.get().parameters["backing_volume_id"] == volume.pk
