"""The one search: what it proposes, in which order, and to whom."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hypervisors.models import Domain, Hypervisor

pytestmark = pytest.mark.usefixtures("redis_client")


def proposed(client: Client, text: str) -> list[str]:
    """The names, in order."""
    response = client.get("/search/", {"q": text})
    assert response.status_code == 200
    return re.findall(r'class="vp-found-name"><bdi>(.*?)</bdi>', response.content.decode())


def test_names_that_begin_so_come_first_and_hosts_among_them(
    operator: Client, make_domain: Callable[..., Domain], make_hypervisor: Callable[..., Hypervisor]
) -> None:
    make_hypervisor(name="web-rack")
    for name in ("web10", "web9", "my-web", "db1"):
        make_domain(name=name)
    make_domain(name="cache", title="Web cache")
    assert proposed(operator, "web") == ["web9", "web10", "web-rack", "my-web", "cache"]
    assert proposed(operator, "db1") == ["db1"]
    assert proposed(operator, "") == proposed(operator, "%") == []


def test_the_machines_of_a_host_come_with_it(operator: Client, domain: Domain) -> None:
    assert proposed(operator, "host1") == ["host1", domain.name]


def test_at_most_eight_are_proposed_and_the_list_has_the_rest(
    operator: Client, make_domain: Callable[..., Domain]
) -> None:
    for number in range(8):
        make_domain(name=f"vm{number}")
    assert 'id="found-all"' not in operator.get("/search/?q=vm").content.decode()
    make_domain(name="vm8")
    page = operator.get("/search/?q=vm").content.decode()
    assert page.count('id="found-') - page.count('id="found-list"') == 9
    assert 'id="found-all" aria-selected="false" tabindex="-1" href="/vms/?q=vm"' in page


def test_nobody_learns_of_what_they_may_not_see(
    client: Client, bob: User, charlie: User, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    make_domain(name="web-secret")
    client.force_login(bob)
    assert proposed(client, "web") == [domain.name]
    # The host's name is known from the machine; its page is not bob's to see.
    assert proposed(client, "host1") == [domain.name]
    client.force_login(charlie)
    assert proposed(client, "web") == proposed(client, "host1") == []


def test_hostile_names_are_text(operator: Client, make_domain: Callable[..., Domain]) -> None:
    make_domain(name="<b>x</b>", title="<i>y</i>")
    page = operator.get("/search/", {"q": "<b>"}).content.decode()
    assert "<b>" not in page
    assert "<i>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page


def test_it_takes_a_handful_of_queries(
    operator: Client, make_domain: Callable[..., Domain], django_assert_num_queries: Any
) -> None:
    for number in range(12):
        make_domain(name=f"vm{number}")
    with django_assert_num_queries(6):  # session, user, rights, machines, hosts, networks
        operator.get("/search/?q=vm")
