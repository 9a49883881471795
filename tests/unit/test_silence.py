"""Which of our own processes are missed, since when, and who is told."""

import json
from collections.abc import Iterator

import pytest
import redis
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client

from hypervisors.live import freshness
from hypervisors.models import Domain, silence
from hypervisors.models.instances import Instance, announce, this_instance, withdraw
from hypervisors.models.silence import PARTS, SilenceWatch
from tests.roles import bind
from tests.unit.test_live_consumer import hears, in_thread, logged_in, opened

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]


class Clock:
    """time.time() as the test turns it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(silence, "time", clock)
    return clock


@pytest.fixture
def instances() -> Iterator[dict[str, Instance]]:
    """One of each, alive."""
    alive = {queue: this_instance("worker", holds=[queue], id=queue) for queue in PARTS[:3]}
    alive |= {"console": this_instance("console"), "transfer": this_instance("transfer")}
    for instance in alive.values():
        announce(instance)
    yield alive
    for instance in alive.values():
        withdraw(instance)


def test_while_all_are_heard_of_nothing_is_missed(clock: Clock, instances: dict[str, Instance]) -> None:
    watch = SilenceWatch()
    assert watch.look() == {}
    clock.now += 60
    assert watch.look() == {}


@pytest.mark.parametrize("part", PARTS)
def test_what_is_silent_is_missed_after_a_moment_since_it_was_heard_last(
    clock: Clock, instances: dict[str, Instance], part: str
) -> None:
    watch = SilenceWatch()
    watch.look()
    heard_at = clock.now
    withdraw(instances[part])
    clock.now += 3
    assert watch.look() == {}, "it may be starting anew"
    clock.now += 3
    assert watch.look() == {part: int(heard_at)}
    announce(instances[part])
    assert watch.look() == {}


def test_without_redis_nothing_is_said_of_the_others(
    clock: Clock, instances: dict[str, Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = SilenceWatch()
    watch.look()

    def fail() -> list[Instance]:
        raise redis.TimeoutError

    monkeypatch.setattr(silence, "read_instances", fail)
    withdraw(instances["console"])
    clock.now += 5
    assert watch.look() == {"redis": 1_000_000}


def test_open_pages_are_told_when_a_part_falls_silent_and_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch, alice: User, instances: dict[str, Instance]
) -> None:
    monkeypatch.setattr(freshness, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(silence, "_GRACE_SECONDS", 0.1)
    client = logged_in(alice)

    async def follow() -> None:
        async with opened(client) as socket:
            await in_thread(withdraw)(instances["storage"])
            told = await hears(socket, "freshness")
            assert list(told["silent"]) == ["storage"]
            assert told["stale"] == {}
            await in_thread(announce)(instances["storage"])
            assert (await hears(socket, "freshness"))["silent"] == {}

    async_to_sync(follow)()


def test_nobody_hears_of_processes_that_their_roles_never_need(client: Client, bob: User, domain: Domain) -> None:
    bind(bob, "vm-user", domain)
    client.force_login(bob)
    page = client.get(f"/vms/{domain.uuid}/").content.decode()
    assert 'data-parts="redis operations"' in page
    bind(bob, "operator")
    page = client.get(f"/vms/{domain.uuid}/").content.decode()
    assert 'data-parts="redis operations migrations storage"' in page
    words = json.loads(page.partition('id="words"')[2].partition(">")[2].partition("<")[0])
    assert all(f"silent.{part}" in words for part in ("redis", *PARTS))
