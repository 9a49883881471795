"""What all tests share: a Redis, and the cast: alice operates, bob may view one machine, charlie is a stranger."""

import os
import subprocess
import uuid as uuid_module
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from hypervisors.models import Domain, DomainDefinition, Hypervisor, HypervisorPool, troubles
from hypervisors.states import DomainState, HypervisorStatus
from tests.roles import bind
from vmportal import caches
from vmportal.celery import app

# The same examples in every run; nothing is kept between runs.
hypothesis.settings.register_profile("vmportal", database=None, derandomize=True, deadline=None)
hypothesis.settings.load_profile("vmportal")

if os.path.exists(os.path.join(os.path.dirname(__file__), "lab_plugin.py")):
    pytest_plugins = ["tests.lab_plugin"]


@pytest.fixture(scope="session", autouse=True)
def redis_server() -> Iterator[str]:
    """The URL of the tests' Redis; started here unless REDIS_URL named one."""
    port = os.environ.get("VMPORTAL_TEST_REDIS_PORT")
    if port is None:
        yield settings.REDIS_URL
        return
    command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis.from_url(settings.REDIS_URL, retry=_until_up()) as client:
            client.ping()
        yield settings.REDIS_URL
    finally:
        server.terminate()
        server.wait(10)


def _until_up() -> redis.retry.Retry:
    return redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 100)


@pytest.fixture
def redis_client(redis_server: str) -> Iterator[redis.Redis]:
    """An emptied Redis, and nothing that this process remembers of an earlier one."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushdb()
        # Of a test that ended in trouble it would be known for a second more, and changes would be refused.
        caches.forget_absences()
        troubles.read_trouble()
        yield client


@pytest.fixture
def tasks_at_once(redis_client: redis.Redis) -> Iterator[None]:
    """Celery runs tasks in the caller."""
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def hypervisor_pool(db: None) -> HypervisorPool:
    return HypervisorPool.objects.create(name="rack one")


@pytest.fixture
def make_hypervisor(hypervisor_pool: HypervisorPool) -> Callable[..., Hypervisor]:
    """Makes rows of hypervisors; online ones unless told otherwise."""

    def make(**fields: Any) -> Hypervisor:
        number = Hypervisor.objects.count() + 1
        defaults = {
            "hypervisor_pool": hypervisor_pool,
            "name": f"host{number}",
            "uri": f"qemu+tcp://host{number}/system",
            "status": HypervisorStatus.ONLINE,
            "seen_at": timezone.now(),
            "architecture": "x86_64",
        }
        return Hypervisor.objects.create(**(defaults | fields))

    return make


@pytest.fixture
def hypervisor(make_hypervisor: Callable[..., Hypervisor]) -> Hypervisor:
    return make_hypervisor()


@pytest.fixture
def make_domain(hypervisor: Hypervisor) -> Callable[..., Domain]:
    """Makes rows of domains with a definition (`parsed=` for its JSON); shut off ones unless told otherwise."""

    def make(**fields: Any) -> Domain:
        parsed = fields.pop("parsed", {})
        defaults = {
            "uuid": uuid_module.uuid4(),
            "hypervisor": hypervisor,
            "name": f"vm{Domain.objects.count() + 1}",
            "state": DomainState.SHUTOFF,
            "state_since": timezone.now(),
            "memory_kib": 131072,
        }
        domain = Domain.objects.create(**(defaults | fields))
        DomainDefinition.objects.create(domain=domain, live_parsed=parsed)
        return domain

    return make


@pytest.fixture
def domain(make_domain: Callable[..., Domain]) -> Domain:
    """The machine that bob may view."""
    return make_domain(name="web1")


@pytest.fixture
def alice(db: None) -> User:
    """Operator on everything."""
    return User.objects.create_user("alice", password="alice-is-an-operator", is_staff=True)


@pytest.fixture
def dora(db: None) -> User:
    """Another operator."""
    return User.objects.create_user("dora", password="dora-is-another-operator", is_staff=True)


@pytest.fixture
def bob(domain: Domain, alice: User) -> User:
    """May view `domain`, and nothing else."""
    user = User.objects.create_user("bob", password="bob-may-only-look")
    bind(user, "viewer", domain, granted_by=alice)
    return user


@pytest.fixture
def charlie(db: None) -> User:
    """Logged in, but a stranger to every machine."""
    return User.objects.create_user("charlie", password="charlie-is-a-stranger")


@pytest.fixture
def operator(client: Client, alice: User) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client
