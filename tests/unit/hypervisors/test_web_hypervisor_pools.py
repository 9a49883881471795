"""The doors of pools: what a pool has, and adding, changing and removing pools."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hypervisors.models import Domain, Hypervisor, HypervisorPool, SharedStorage, StoragePool
from hypervisors.states import HypervisorStatus


def add_storage_pool(hypervisor: Hypervisor, name: str, path: str, **fields: Any) -> None:
    defaults = {"active": True, "autostart": True, "capacity_bytes": 100 << 30, "available_bytes": 60 << 30}
    StoragePool.objects.create(
        hypervisor=hypervisor, uuid=uuid.uuid4(), name=name, pool_type="dir", target_path=path, **(defaults | fields)
    )


def test_a_pool_is_added_changed_and_removed(operator: Client, db: None) -> None:
    added = operator.post(reverse("hypervisor_pool_add"), {"name": "rack 'one' <b>", "description": "by the door"})
    pool = HypervisorPool.objects.get()
    assert added["Location"] == reverse("hypervisor_pool", args=[pool.pk])
    page = operator.get(added["Location"]).content.decode()
    assert "rack &#x27;one&#x27; &lt;b&gt;" in page
    assert "by the door" in page
    operator.post(reverse("hypervisor_pool_edit", args=[pool.pk]), {"name": "rack two"})
    pool.refresh_from_db()
    assert (pool.name, pool.description) == ("rack two", "")
    operator.post(reverse("hypervisor_pool_remove", args=[pool.pk]))
    assert not HypervisorPool.objects.exists()


def test_a_second_pool_of_a_name_is_refused(operator: Client, hypervisor_pool: HypervisorPool) -> None:
    answer = operator.post(reverse("hypervisor_pool_add"), {"name": hypervisor_pool.name})
    assert answer.status_code == 422
    assert "Another pool has this name already." in answer.content.decode()


@pytest.mark.parametrize("name", ["", "x" * 101, "a\x01b", "two\u2028lines"])
def test_impossible_names_are_refused(name: str, operator: Client, db: None) -> None:
    assert operator.post(reverse("hypervisor_pool_add"), {"name": name}).status_code == 422
    assert not HypervisorPool.objects.exists()


def test_a_pool_with_hosts_is_not_removed(operator: Client, hypervisor: Hypervisor) -> None:
    url = reverse("hypervisor_pool_remove", args=[hypervisor.hypervisor_pool_id])
    answer = operator.post(url)
    assert answer.status_code == 422
    assert hypervisor.name in answer.content.decode()
    assert HypervisorPool.objects.exists()


def test_the_page_sums_up_what_there_is_and_what_is_used(
    operator: Client, make_hypervisor: Callable[..., Hypervisor], make_domain: Callable[..., Domain]
) -> None:
    one = make_hypervisor(cpu_count=8, cpu_percent=50.0, memory_kib=16 << 20, memory_used_kib=8 << 20)
    make_hypervisor(cpu_count=8, cpu_percent=0.0, memory_kib=16 << 20, memory_used_kib=1 << 20)
    make_hypervisor(cpu_count=64, memory_kib=64 << 20, status=HypervisorStatus.OFFLINE)
    make_domain(hypervisor=one, state="running", vcpu_count=3, memory_kib=2 << 20)
    make_domain(hypervisor=one, vcpu_count=5)
    page = operator.get(reverse("hypervisor_pool", args=[one.hypervisor_pool_id])).content.decode()
    # The fourth is the fixture of make_domain.
    assert "3 of 4 hosts online" in page
    assert "3 vCPUs of active VMs · 25 % busy" in " ".join(page.split())
    assert "96 GiB" in page
    assert "9 GiB used · 2 GiB given to active VMs" in " ".join(page.split())


def test_shared_storage_is_a_line_of_its_own_and_counts_once_it_is_proved(
    operator: Client, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    one, two = make_hypervisor(), make_hypervisor()
    for host in (one, two):
        add_storage_pool(host, "shared", "/srv/shared")
    add_storage_pool(one, "lonely", "/srv/lonely")
    shared = SharedStorage.objects.create(
        hypervisor_pool=one.hypervisor_pool, name="shared", pool_type="dir", identity="x"
    )
    StoragePool.objects.filter(name="shared").update(shared_storage=shared)
    url = reverse("hypervisor_pool", args=[one.hypervisor_pool_id])
    page = operator.get(url).content.decode()
    assert page.count("/srv/shared") == page.count("/srv/lonely") == 1
    assert "shared?" in page
    assert "<dd>0<span>proved to be seen by all that have them" in page
    StoragePool.objects.filter(name="shared").update(proved_at=timezone.now(), proved_since=timezone.now())
    assert "<dd>1<span>proved to be seen by all that have it" in operator.get(url).content.decode()
