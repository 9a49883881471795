"""vmportal's own processes on the Hosts page."""

from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client

from deploy.services import private_redis
from hypervisors.inventory.leases import LeaseKeeper
from hypervisors.models import Hypervisor, HypervisorPool
from hypervisors.models.instances import announce, this_instance
from tests.roles import bind

pytestmark = pytest.mark.django_db


def test_each_process_is_named_with_its_machine_and_what_it_does(
    operator: Client, redis_client: Any, hypervisor: Hypervisor
) -> None:
    watcher = this_instance("watcher")
    announce(watcher)
    announce(this_instance("watcher", id="another"))
    announce(this_instance("worker", holds=["migrations"]))
    LeaseKeeper(watcher.id).turn()
    page = operator.get("/hypervisors/processes/").content.decode()
    assert page.count(f">{watcher.host}<") == 3
    assert "leads rack one" in page
    assert "stands by" in page
    assert "migrations" in page
    assert "No watcher leads" not in page


def test_processes_of_one_machine_that_do_the_same_are_one_line(operator: Client, redis_client: Any) -> None:
    for number in range(4):
        announce(this_instance("web", id=f"host1:{number}"))
    page = operator.get("/hypervisors/processes/").content.decode()
    assert page.count("Pages") == 1
    assert "Pages × 4" in page


def test_a_pool_that_nobody_watches_is_named(operator: Client, redis_client: Any, hypervisor: Hypervisor) -> None:
    HypervisorPool.objects.update(created_at="2020-01-01T00:00Z")
    assert "No watcher leads: rack one" in operator.get("/hypervisors/processes/").content.decode()


def test_without_redis_it_says_so(operator: Client, settings: LazySettings) -> None:
    with private_redis() as url:
        settings.REDIS_URL = url
    assert "Not known while Redis is away" in operator.get("/hypervisors/processes/").content.decode()


def test_who_sees_one_pool_sees_no_processes(client: Client, charlie: User, hypervisor: Hypervisor) -> None:
    bind(charlie, "operator", hypervisor.hypervisor_pool)
    client.force_login(charlie)
    page = client.get("/hypervisors/")
    assert page.status_code == 200
    assert b"/hypervisors/processes/" not in page.content
    assert client.get("/hypervisors/processes/").status_code == 404


def test_who_sees_all_has_them_on_the_hosts_page(operator: Client, redis_client: Any) -> None:
    assert b'hx-get="/hypervisors/processes/"' in operator.get("/hypervisors/").content
