"""What /healthz says of ourselves."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from deploy.services import private_redis
from hypervisors.inventory.leases import LeaseKeeper
from hypervisors.models import Domain, DomainCopy, Hypervisor, HypervisorPool, WatcherLease
from hypervisors.models.instances import announce, read_instances, this_instance, withdraw
from hypervisors.states import AdminState

pytestmark = pytest.mark.django_db


def checks(client: Client) -> tuple[int, dict[str, Any]]:
    answer = client.get("/healthz")
    return answer.status_code, answer.json()["checks"]


@pytest.fixture
def all_alive(redis_client: Any, console: str, transfer: str) -> None:
    """One of each kind, as if it ran."""
    announce(this_instance("web"))
    announce(this_instance("console", address=console))
    announce(this_instance("transfer", address=transfer))
    announce(this_instance("watcher"))
    announce(this_instance("worker", holds=["operations", "migrations", "storage"]))


@pytest.fixture
def console(settings: LazySettings) -> Iterator[str]:
    """The address of a console proxy."""
    import threading

    from hypervisors.console.proxy import ConsoleServer

    server = ConsoleServer(("127.0.0.1", 0))
    settings.CONSOLE_PORT = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.stop()
    thread.join(10)


@pytest.fixture
def transfer() -> Iterator[str]:
    """The address of a transfer process."""
    import threading

    from hypervisors.transfer.server import TransferServer

    server = TransferServer(("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.stop()
    thread.join(10)


@pytest.fixture
def frozen_console(settings: LazySettings) -> Iterator[str]:
    """Accepts connections, as the kernel does for a process that is stopped, and says nothing."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_all_is_well_with_one_of_each_kind(client: Client, all_alive: None) -> None:
    status, found = checks(client)
    assert {name for name, check in found.items() if not check["well"]} == set()
    assert status == 200


def test_a_process_that_gives_no_sign_of_life_is_named(client: Client, redis_client: Any) -> None:
    announce(this_instance("watcher"))
    announce(this_instance("worker", holds=["operations"]))
    status, found = checks(client)
    assert status == 503
    assert found["database"]["well"]
    assert found["redis"]["well"]
    assert found["watcher"]["well"]
    assert found["worker"]["well"]
    assert found["migrations"] == found["storage"] == {"well": False, "detail": "no sign of life"}


def test_a_console_proxy_that_is_frozen_is_ill(client: Client, all_alive: None, frozen_console: str) -> None:
    withdraw(this_instance("console"))
    announce(this_instance("console", address=frozen_console))
    status, found = checks(client)
    assert status == 503
    assert found["console"] == {"well": False, "detail": "no answer within 2 s"}


def test_one_frozen_console_proxy_of_two_is_no_illness(client: Client, all_alive: None, frozen_console: str) -> None:
    announce(this_instance("console", id="a frozen one", address=frozen_console))
    assert checks(client)[0] == 200


def test_without_redis_nothing_is_said_of_those_who_announce_themselves_in_it(
    client: Client, settings: LazySettings
) -> None:
    with private_redis() as url:
        settings.REDIS_URL = url
    status, found = checks(client)
    assert status == 503
    assert found["database"]["well"]
    assert not found["redis"]["well"]
    assert found["watcher"] == {"well": False, "detail": "not known while Redis is away"}


def test_a_pool_without_a_watcher_is_ill_but_not_one_without_hosts_to_watch(
    client: Client, all_alive: None, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    host = make_hypervisor()
    HypervisorPool.objects.create(name="empty")
    # It is not new any more.
    HypervisorPool.objects.update(created_at="2020-01-01T00:00Z")
    assert checks(client)[1]["pools"] == {"well": False, "detail": "1 of 1 pools have no watcher"}
    LeaseKeeper("the watcher").turn()
    assert checks(client)[1]["pools"]["well"]
    WatcherLease.objects.update(expires_at="2020-01-01T00:00Z")
    assert checks(client)[0] == 503
    host.admin_state = AdminState.DISABLED
    host.save()
    assert checks(client)[0] == 200


def test_strangers_see_how_many_and_operators_who(
    client: Client, operator: Client, all_alive: None, hypervisor: Hypervisor
) -> None:
    LeaseKeeper("host1:7:aa").turn()
    told = operator.get("/healthz").json()
    assert told["instances"]["worker"][0]["holds"] == ["operations", "migrations", "storage"]
    assert told["pools"] == {"watched": 1, "total": 1, "each": {"rack one": "host1:7:aa"}}
    told = Client().get("/healthz").json()
    assert told["instances"] == {"web": 1, "console": 1, "transfer": 1, "watcher": 1, "worker": 1}
    assert told["pools"] == {"watched": 1, "total": 1}


def test_an_instance_that_ends_or_falls_silent_is_no_longer_named(redis_client: Any) -> None:
    announce(this_instance("web"))
    announce(this_instance("watcher"))
    assert [one.kind for one in read_instances()] == ["watcher", "web"]
    withdraw(this_instance("web"))
    assert [one.kind for one in read_instances()] == ["watcher"]
    name = f"vmportal:instance:watcher:{this_instance('watcher').id}"
    assert 0 < redis_client.ttl(name) <= 6
    redis_client.delete(name)
    assert read_instances() == []
    assert redis_client.scard("vmportal:instances") == 0


def test_a_machine_that_runs_twice_is_told_and_named_to_operators(
    all_alive: None, client: Client, alice: User, make_domain: Callable[..., Domain], make_hypervisor: Any
) -> None:
    twice = make_domain(name="web1", state="running", trouble="ALARM: web1 runs on host1 and on host2")
    copy = DomainCopy.objects.create(domain=twice, hypervisor=make_hypervisor(), name="web1", state="running")
    assert client.get("/healthz").json()["alarms"] == {"total": 0}, "which may be a migration"
    DomainCopy.objects.filter(pk=copy.pk).update(runs_too_since=timezone.now())
    told = client.get("/healthz").json()
    assert (told["status"] == "well", told["alarms"]) == (False, {"total": 1})
    client.force_login(alice)
    assert client.get("/healthz").json()["alarms"]["each"] == ["ALARM: web1 runs on host1 and on host2"]
