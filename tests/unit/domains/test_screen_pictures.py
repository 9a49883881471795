"""A machine's last screen: who may look and ask, how often it is taken, and when not at all."""

import time
from collections.abc import Callable

import pytest
import redis
from django.contrib.auth.models import User
from django.test import Client

from hypervisors.models import Domain, Hypervisor
from hypervisors.operations.domains.screen_pictures import KeptPicture, find_picture, keep_picture, keep_problem
from hypervisors.operations.engine.queues import OPERATIONS_QUEUE
from hypervisors.states import DomainState, HypervisorStatus

PNG = b"\x89PNG of a screen"


def picture(age_seconds: float = 0) -> KeptPicture:
    return KeptPicture(png=PNG, taken_at=time.time() - age_seconds, screen_width=720, screen_height=400)


@pytest.fixture
def machine(redis_client: redis.Redis, make_domain: Callable[..., Domain]) -> Domain:
    return make_domain(name="web1", state=DomainState.RUNNING)


def asked(redis_client: redis.Redis) -> int:
    """How many wait for a worker."""
    length = redis_client.llen(OPERATIONS_QUEUE)
    assert isinstance(length, int)
    return length


def test_asking_has_it_taken_once_however_many_ask(
    operator: Client, redis_client: redis.Redis, machine: Domain
) -> None:
    url = f"/vms/{machine.uuid}/screen-picture/"
    for _ in range(3):
        assert operator.post(url).json() == {"taken_at": 0, "problem": "", "is_coming": True}
    assert asked(redis_client) == 1


def test_a_fresh_one_is_not_taken_again_and_an_older_one_is(
    operator: Client, redis_client: redis.Redis, machine: Domain
) -> None:
    url = f"/vms/{machine.uuid}/screen-picture/"
    keep_picture(machine.uuid, picture())
    answer = operator.post(url).json()
    assert (answer["is_coming"], answer["width"], answer["height"]) == (False, 720, 400)
    assert asked(redis_client) == 0
    keep_picture(machine.uuid, picture(age_seconds=10))
    assert operator.post(url).json()["is_coming"]
    assert asked(redis_client) == 1


def test_nothing_is_asked_of_what_is_off_or_hangs_or_has_no_screen_or_a_host_that_is_away(
    operator: Client, redis_client: redis.Redis, machine: Domain, make_domain: Callable[..., Domain]
) -> None:
    off = make_domain(name="off1", state=DomainState.SHUTOFF)
    hangs = make_domain(name="hangs1", state=DomainState.RUNNING, answering=False)
    blind = make_domain(name="blind1", state=DomainState.RUNNING)
    keep_problem(blind.uuid, "no_screen")
    for domain in (off, hangs, blind):
        assert not operator.post(f"/vms/{domain.uuid}/screen-picture/").json()["is_coming"], domain
    Hypervisor.objects.filter(pk=machine.hypervisor_id).update(status=HypervisorStatus.OFFLINE)
    assert not operator.post(f"/vms/{machine.uuid}/screen-picture/").json()["is_coming"]
    assert asked(redis_client) == 0


def test_who_may_see_the_machine_sees_its_screen_and_nobody_keeps_it(
    client: Client, bob: User, charlie: User, domain: Domain, redis_client: redis.Redis
) -> None:
    url = f"/vms/{domain.uuid}/screen-picture/"
    client.force_login(bob)
    assert client.get(url).status_code == 204
    keep_picture(domain.uuid, picture())
    answer = client.get(url)
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, PNG, "image/png")
    assert "no-store" in answer["Cache-Control"]
    client.force_login(charlie)
    assert client.get(url).status_code == 404
    assert client.post(url).status_code == 404


def test_the_overview_shows_the_last_one_of_a_machine_that_is_off(
    operator: Client, redis_client: redis.Redis, make_domain: Callable[..., Domain]
) -> None:
    off = make_domain(name="off1", state=DomainState.SHUTOFF)
    url = f"/vms/{off.uuid}/"
    assert 'taken-at="0" off hidden' in operator.get(url).content.decode()
    keep_picture(off.uuid, picture(age_seconds=60))
    kept = find_picture(off.uuid)
    assert kept is not None
    text = operator.get(url).content.decode()
    assert f'taken-at="{int(kept.taken_at)}" off data-as-of' in text
    assert f'src="{url}screen-picture/?at={int(kept.taken_at)}"' in text
