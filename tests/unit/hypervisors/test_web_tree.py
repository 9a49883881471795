"""The inventory on the left: what it shows to whom, and its number of queries."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from hypervisors.models import Domain, Hypervisor, HypervisorPool
from hypervisors.states import DomainState


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def test_pools_hosts_and_numbers_are_shown_to_operators(
    as_alice: Client, domain: Domain, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    HypervisorPool.objects.create(name="empty pool")
    make_hypervisor(name="idle-host")
    page = as_alice.get("/tree/").content.decode()
    for text in ("rack one", "empty pool", "host1", "idle-host", '<span class="vp-count">1</span>'):
        assert text in page
    assert "web1" not in page


def test_others_see_what_holds_their_machines(
    client: Client, bob: User, charlie: User, domain: Domain, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    other = make_hypervisor(name="idle-host")
    HypervisorPool.objects.create(name="empty pool")
    client.force_login(bob)
    page = client.get("/tree/").content.decode()
    assert "host1" in page
    assert "idle-host" not in page
    assert "empty pool" not in page
    assert f"/hypervisors/{domain.hypervisor_id}/" not in page.replace(f"/tree/hypervisors/{domain.hypervisor_id}/", "")
    assert client.get(f"/tree/hypervisors/{other.pk}/").status_code == 404
    client.force_login(charlie)
    assert "Nothing here yet" in client.get("/tree/").content.decode()
    assert client.get(f"/tree/hypervisors/{domain.hypervisor_id}/").status_code == 404


def test_a_hosts_machines_come_when_it_is_opened(
    client: Client, alice: User, bob: User, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    make_domain(name="secret")
    make_domain(name="gone", vanished_at=timezone.now())
    url = f"/tree/hypervisors/{domain.hypervisor_id}/"
    client.force_login(alice)
    page = client.get(url).content.decode()
    assert "web1" in page
    assert "secret" in page
    assert "gone" not in page
    client.force_login(bob)
    page = client.get(url).content.decode()
    assert "web1" in page
    assert "secret" not in page


def test_wrong_method_and_unknown_host(as_alice: Client) -> None:
    assert as_alice.post("/tree/").status_code == 405
    assert as_alice.get("/tree/hypervisors/999999/").status_code == 404
    assert Client().get("/tree/").status_code == 302


def test_an_empty_host_says_so(as_alice: Client, hypervisor: Hypervisor) -> None:
    assert "No virtual machine" in as_alice.get(f"/tree/hypervisors/{hypervisor.pk}/").content.decode()


def test_the_number_of_queries_does_not_grow(
    as_alice: Client,
    make_domain: Callable[..., Domain],
    make_hypervisor: Callable[..., Hypervisor],
    django_assert_num_queries: Any,
) -> None:
    hosts = [make_hypervisor() for _ in range(20)]
    state = {"state": DomainState.RUNNING, "state_since": timezone.now()}
    Domain.objects.bulk_create(
        Domain(uuid=uuid4(), name=f"vm{n}", hypervisor=hosts[n % 20], **state) for n in range(1000)
    )
    with django_assert_num_queries(6):  # session, user, rights, numbers, hosts, pools
        as_alice.get("/tree/")
    with django_assert_num_queries(4):
        as_alice.get(f"/tree/hypervisors/{hosts[0].pk}/")
