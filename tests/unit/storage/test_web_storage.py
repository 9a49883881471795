"""A storage pool's page: what it shows, to whom, and its number of queries."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hypervisors.models import Domain, Hypervisor, Operation, SharedStorage, StoragePool, Volume
from hypervisors.states import DomainState
from tests.rows import define, domain_xml

GIB = 2**30
DOORS = [("get", "storage_pool"), ("post", "storage_pool_refresh"), ("get", "volume")]


@pytest.fixture
def make_pool(hypervisor: Hypervisor) -> Callable[..., StoragePool]:
    def make(**fields: Any) -> StoragePool:
        values = {
            "hypervisor": hypervisor,
            "uuid": uuid4(),
            "name": "images",
            "pool_type": "dir",
            "active": True,
            "autostart": True,
            "target_path": "/srv/images",
            "capacity_bytes": 10 * GIB,
            "allocation_bytes": 4 * GIB,
            "available_bytes": 6 * GIB,
            "volumes_read_at": timezone.now(),
        }
        return StoragePool.objects.create(**(values | fields))

    return make


@pytest.fixture
def pool(make_pool: Callable[..., StoragePool]) -> StoragePool:
    return make_pool()


def add_volume(pool: StoragePool, name: str, **fields: Any) -> Volume:
    values = {"path": f"{pool.target_path}/{name}", "format": "qcow2", "capacity_bytes": GIB}
    return Volume.objects.create(storage_pool=pool, name=name, **(values | fields))


def shown(page: str) -> list[str]:
    """The names in the table, in its order."""
    return [part.split("</span>")[0].split(">", 1)[1] for part in page.split('class="vp-volume-name"')[1:]]


def door(name: str, pk: int) -> str:
    return reverse(name, args=[pk])


@pytest.mark.parametrize(("method", "name"), DOORS)
def test_strangers_meet_404_and_nobody_the_login(
    method: str, name: str, client: Client, bob: User, pool: StoragePool
) -> None:
    pk = add_volume(pool, "a").pk if name == "volume" else pool.pk
    assert getattr(client, method)(door(name, pk))["Location"].startswith(reverse("account_login"))
    client.force_login(bob)
    assert getattr(client, method)(door(name, pk)).status_code == 404


@pytest.mark.parametrize(("method", "name"), DOORS)
def test_unknown_ids_and_wrong_methods(method: str, name: str, operator: Client, pool: StoragePool) -> None:
    assert getattr(operator, method)(door(name, 987654)).status_code == 404
    assert operator.put(door(name, pool.pk)).status_code == 405


def test_the_page_shows_what_there_is_escaped(operator: Client, pool: StoragePool) -> None:
    base = add_volume(pool, "base.qcow2", capacity_bytes=8 * GIB)
    add_volume(pool, "<b>.qcow2", capacity_bytes=8 * GIB, allocation_bytes=3 * 2**20, backing_path=base.path)
    add_volume(pool, "gone.qcow2", vanished_at=timezone.now())
    page = operator.get(pool.get_absolute_url()).content.decode()
    assert shown(page) == ["&lt;b&gt;.qcow2", "base.qcow2"]
    for text in ("6 GiB", "3 MiB", "16 GiB", "1.6 × what there is", "1 volume is on top of it", "this host alone"):
        assert text in page, text


def test_machines_that_use_a_volume_are_named(
    operator: Client, pool: StoragePool, make_domain: Callable[..., Domain]
) -> None:
    add_volume(pool, "web1.qcow2")
    add_volume(pool, "db1.qcow2")
    domain = make_domain(name="web1", state=DomainState.RUNNING)
    define(domain, live_xml=domain_xml("/srv/images/web1.qcow2"), inactive_xml=domain_xml("/x", "images/db1.qcow2"))
    define(make_domain(name="unrelated"), inactive_xml=domain_xml("/x"))
    page = operator.get(pool.get_absolute_url()).content.decode()
    rows = dict(zip(shown(page), page.split('class="vp-volume-name"')[1:], strict=True))
    assert ">web1</a>" in rows["web1.qcow2"]
    assert "vda" in rows["web1.qcow2"]
    assert ">web1</a>" in rows["db1.qcow2"], "what starts next counts too"
    assert "vdb" in rows["db1.qcow2"]
    assert "unrelated" not in page


def test_a_machine_of_another_host_counts_on_shared_storage_alone(
    operator: Client,
    make_pool: Callable[..., StoragePool],
    make_hypervisor: Callable[..., Hypervisor],
    make_domain: Callable[..., Domain],
) -> None:
    here, other = make_pool(), make_hypervisor(name="other-host")
    there = make_pool(hypervisor=other)
    add_volume(here, "web1.qcow2")
    define(make_domain(name="far-away", hypervisor=other), live_xml=domain_xml("/srv/images/web1.qcow2"))
    assert "far-away" not in operator.get(here.get_absolute_url()).content.decode()
    shared = SharedStorage.objects.create(
        hypervisor_pool=other.hypervisor_pool, name="images", pool_type="dir", identity="path /srv/images of images"
    )
    StoragePool.objects.filter(pk__in=[here.pk, there.pk]).update(shared_storage=shared)
    page = operator.get(here.get_absolute_url()).content.decode()
    assert "far-away" in page
    assert "· other-host" in page
    assert "Hosts that see this storage" in page
    assert "not proved yet" in page


def test_volumes_are_sorted_naturally_searched_and_paged(operator: Client, pool: StoragePool) -> None:
    Volume.objects.bulk_create(Volume(storage_pool=pool, name=f"disk{n}", capacity_bytes=n) for n in range(250))
    url = pool.get_absolute_url()
    page = operator.get(url).content.decode()
    assert shown(page)[:12] == [f"disk{n}" for n in range(12)]
    assert len(shown(page)) == 200
    assert shown(operator.get(f"{url}?page=2").content.decode())[-1] == "disk249"
    assert shown(operator.get(f"{url}?q=DISK24").content.decode())[:3] == ["disk24", "disk240", "disk241"]
    assert shown(operator.get(f"{url}?sort=capacity&order=desc").content.decode())[0] == "disk249"
    assert "No volume here is called" in operator.get(f"{url}?q=<nothing>").content.decode()
    to_table = {"HX-Request": "true", "HX-Target": "volumes"}
    assert operator.get(f"{url}?q=disk1", headers=to_table).content.decode().lstrip().startswith("<vp-refetch")
    to_page = {"HX-Request": "true", "HX-Target": "storage-pool"}
    assert "vp-storage-tiles" in operator.get(url, headers=to_page).content.decode()
    for nonsense in ("sort=passwords&order=up&page=x", "page=-3", "q=%01"):
        assert operator.get(f"{url}?{nonsense}").status_code == 200


def test_an_empty_an_inactive_and_a_troubled_storage_pool_say_so(
    operator: Client, make_pool: Callable[..., StoragePool]
) -> None:
    assert "This storage pool is empty" in operator.get(make_pool().get_absolute_url()).content.decode()
    unread = make_pool(name="b", volumes_read_at=None)
    assert "have not been read yet" in operator.get(unread.get_absolute_url()).content.decode()
    inactive = make_pool(name="c", active=False)
    assert "not started on this host" in operator.get(inactive.get_absolute_url()).content.decode()
    troubled = make_pool(name="d", trouble="It has not <answered>.", trouble_since=timezone.now())
    assert "It has not &lt;answered&gt;." in operator.get(troubled.get_absolute_url()).content.decode()
    for name in ("hypervisor", "hypervisor_storage_pools"):
        page = operator.get(reverse(name, args=[troubled.hypervisor_id])).content.decode()
        assert "It has not &lt;answered&gt;." in page
        assert troubled.get_absolute_url() in page


def test_one_that_is_gone_keeps_its_page(operator: Client, pool: StoragePool, hypervisor: Hypervisor) -> None:
    gone = timezone.now()
    add_volume(pool, "web1.qcow2", vanished_at=gone)
    StoragePool.objects.filter(pk=pool.pk).update(vanished_at=gone)
    page = operator.get(pool.get_absolute_url()).content.decode()
    assert "does not have this storage pool any more" in page
    assert hypervisor.name in page
    assert "1 volume" in page
    listed = operator.get(reverse("hypervisor_storage_pools", args=[hypervisor.pk])).content.decode()
    assert pool.get_absolute_url() not in listed


def test_a_volume_leads_to_its_storage_pool(operator: Client, pool: StoragePool) -> None:
    volume = add_volume(pool, "a & b.qcow2")
    page = operator.get(volume.get_absolute_url()).content.decode()
    assert f'<a href="{pool.get_absolute_url()}">images</a>' in page
    assert "<bdi>a &amp; b.qcow2</bdi>" in page


def test_a_refresh_is_asked_for(operator: Client, make_pool: Callable[..., StoragePool]) -> None:
    row = make_pool()
    assert operator.post(reverse("storage_pool_refresh", args=[row.pk])).status_code == 302
    operation = Operation.objects.get()
    assert (operation.kind, operation.subject_key) == ("refresh_storage_pool", str(row.pk))


def test_the_number_of_queries_does_not_grow(
    operator: Client,
    make_pool: Callable[..., StoragePool],
    make_hypervisor: Callable[..., Hypervisor],
    make_domain: Callable[..., Domain],
    django_assert_num_queries: Any,
) -> None:
    pools = [make_pool(hypervisor=make_hypervisor()) for _ in range(20)]
    shared = SharedStorage.objects.create(
        hypervisor_pool=pools[0].hypervisor.hypervisor_pool, name="images", pool_type="dir", identity="x"
    )
    StoragePool.objects.update(shared_storage=shared)
    Volume.objects.bulk_create(
        Volume(storage_pool=pools[0], name=f"v{n}", path=f"/srv/images/v{n}", backing_path="/srv/images/v0")
        for n in range(300)
    )
    for n in range(20):
        define(make_domain(hypervisor=pools[n].hypervisor), inactive_xml=domain_xml(f"/srv/images/v{n}"))
    # Session, person, rights, storage pool, what is under way, those that share it, volumes' names, volumes, storage
    # pools around and what names the volumes, the same again and the overlays, machines that the person may see; for
    # the menu who holds the storage pool, who uses it (twice), and who else can be asked to prove it.
    with django_assert_num_queries(18):
        operator.get(pools[0].get_absolute_url())
