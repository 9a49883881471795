"""Which hosts' rows may be old, and who is told: the watcher is away, the host is, or people disabled it."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from hypervisors.live import freshness
from hypervisors.models import Domain, Hypervisor, HypervisorPool
from hypervisors.models.freshness import StaleHost, stale_hosts
from hypervisors.models.watcher_leases import WatcherLease, pool_lease_name
from hypervisors.states import AdminState, HypervisorStatus
from tests.unit.test_live_consumer import hears, in_thread, logged_in, opened

SEEN_AT = timezone.now() - timedelta(minutes=3)


@pytest.fixture
def lease(hypervisor_pool: HypervisorPool) -> WatcherLease:
    HypervisorPool.objects.update(created_at=timezone.now() - timedelta(hours=1))
    return WatcherLease.objects.create(
        name=pool_lease_name(hypervisor_pool.pk),
        hypervisor_pool=hypervisor_pool,
        expires_at=timezone.now() + timedelta(hours=1),
    )


def expire(lease: WatcherLease) -> None:
    lease.expires_at = timezone.now() - timedelta(seconds=10)
    lease.save()


def test_of_hosts_that_are_watched_and_answer_all_is_known(lease: WatcherLease, hypervisor: Hypervisor) -> None:
    assert stale_hosts() == []


def test_a_host_is_stale_when_its_watcher_is_away_when_it_is_away_and_when_it_is_disabled(
    lease: WatcherLease, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    away = make_hypervisor(status=HypervisorStatus.OFFLINE, seen_at=SEEN_AT)
    disabled = make_hypervisor(admin_state=AdminState.DISABLED, admin_state_since=SEEN_AT)
    online = make_hypervisor(seen_at=SEEN_AT)
    epoch = int(SEEN_AT.timestamp())
    assert stale_hosts() == [
        StaleHost(hypervisor_id=away.pk, since_epoch=epoch, why="away"),
        StaleHost(hypervisor_id=disabled.pk, since_epoch=epoch, why="disabled"),
    ]
    expire(lease)
    assert {host.hypervisor_id: host.why for host in stale_hosts()} == {
        away.pk: "watcher",
        disabled.pk: "disabled",
        online.pk: "watcher",
    }


def test_a_pool_that_was_made_just_now_is_not_missed_yet(make_hypervisor: Callable[..., Hypervisor]) -> None:
    host = make_hypervisor()
    assert stale_hosts() == []
    HypervisorPool.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    assert [stale.hypervisor_id for stale in stale_hosts()] == [host.pk]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis_client")
def test_an_open_page_is_told_when_a_watcher_goes_and_comes_back(
    monkeypatch: pytest.MonkeyPatch, alice: User, hypervisor: Hypervisor, lease: WatcherLease
) -> None:
    monkeypatch.setattr(freshness, "LOOK_SECONDS", 0.1)
    client = logged_in(alice)

    async def follow() -> None:
        async with opened(client) as socket:
            await in_thread(expire)(lease)
            told = await hears(socket, "freshness")
            assert told["stale"] == {str(hypervisor.pk): [int(hypervisor.seen_at.timestamp()), "watcher"]}
            await in_thread(WatcherLease.objects.update)(expires_at=timezone.now() + timedelta(hours=1))
            assert (await hears(socket, "freshness"))["stale"] == {}

    async_to_sync(follow)()


def test_rows_and_pages_say_which_host_they_are_of(client: Client, alice: User, domain: Domain) -> None:
    client.force_login(alice)
    host = f'data-host="{domain.hypervisor_id}"'
    for path in ("/vms/", f"/vms/{domain.uuid}/", "/hypervisors/", f"/hypervisors/{domain.hypervisor_id}/"):
        page = client.get(path).content.decode()
        assert host in page, path
        assert "<vp-freshness" in page


def test_a_saved_machine_is_called_saved(client: Client, alice: User, domain: Domain) -> None:
    client.force_login(alice)
    Domain.objects.update(has_managed_save=True)
    for path in ("/vms/", f"/vms/{domain.uuid}/"):
        assert 'state="saved"' in client.get(path).content.decode()
    words = json.loads(
        client.get("/vms/").content.decode().partition('id="words"')[2].partition(">")[2].partition("<")[0]
    )
    assert words["state.saved"] == "Saved"
