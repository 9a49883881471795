"""Pages that need the cache, while Redis is away: signing in, its limits, key pairs."""

from collections.abc import Iterator

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.cache import cache, caches
from django.test import Client
from django.urls import reverse

from deploy.services import private_redis
from hypervisors.operations.hypervisors.ssh_keys import find_generated_key, keep_generated_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def without_redis(settings: LazySettings) -> Iterator[None]:
    """A cache whose Redis was there once, and is not any more."""
    with private_redis() as url:
        settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": url}}
        cache.set("before", "it went")
        assert cache.get("before") == "it went"
    yield
    caches.close_all()


@pytest.mark.usefixtures("without_redis")
def test_one_can_sign_in(client: Client, alice: User) -> None:
    answer = client.post("/accounts/login/", {"login": "alice", "password": "alice-is-an-operator"})
    assert answer.status_code == 302
    assert client.get("/vms/").status_code == 200


@pytest.mark.usefixtures("without_redis")
def test_guessing_passwords_is_limited_all_the_same(client: Client, alice: User) -> None:
    for _ in range(12):
        answer = client.post("/accounts/login/", {"login": "alice", "password": "wrong"})
    assert "Too many failed login attempts" in answer.content.decode()


@pytest.mark.usefixtures("without_redis")
def test_a_key_pair_can_be_made(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert "ssh-ed25519" in client.post(reverse("hypervisor_key_pair")).content.decode()


@pytest.mark.usefixtures("without_redis")
def test_what_is_kept_meanwhile_is_found_by_later_requests_and_redis_is_asked_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for number in range(5):
        # Each request has a cache of its own.
        caches.close_all()
        cache.set(f"key-{number}", number)
    assert cache.get_many([f"key-{number}" for number in range(5)]) == {f"key-{n}": n for n in range(5)}
    assert cache.get("before") is None
    assert cache.add("counter", 1)
    assert cache.incr("counter") == 2
    assert caplog.text.count("Redis is away") == 1


def test_the_cache_is_redis_again_when_it_is_back(settings: LazySettings, redis_client: object) -> None:
    cache.set("shared", "by all processes")
    caches.close_all()
    assert cache.get("shared") == "by all processes"


def test_a_key_made_without_redis_is_found_when_it_is_back(settings: LazySettings, redis_client: object) -> None:
    well = settings.CACHES
    with private_redis() as url:
        settings.CACHES = {"default": well["default"] | {"LOCATION": url}}
    token, _public_key = keep_generated_key(user_id=1)
    settings.CACHES = well
    assert "PRIVATE KEY" in (find_generated_key(token, user_id=1) or "")
    assert find_generated_key(token, user_id=2) is None
    cache.clear()
    assert find_generated_key(token, user_id=1) is None
