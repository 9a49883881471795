"""The watchers' leases: two keepers in one process, each under a name of its own."""

from collections.abc import Callable

import pytest
from django.db import transaction

from hypervisors.inventory import leases as leases_module
from hypervisors.inventory.leases import LeaseKeeper
from hypervisors.models import HypervisorPool, WatcherLease
from tests.watching import wait_until

pytestmark = pytest.mark.django_db

SHORT_SECONDS = 0.3


def make_pools(count: int) -> set[int]:
    return {HypervisorPool.objects.create(name=f"rack {n}").pk for n in range(count)}


def holders() -> dict[int, str]:
    return dict(WatcherLease.objects.exclude(hypervisor_pool=None).values_list("hypervisor_pool", "holder"))


def lost(keeper: LeaseKeeper, pools: set[int]) -> set[int]:
    with transaction.atomic():
        return keeper.lost(pools)


def takes_over(keeper: LeaseKeeper, pools: set[int]) -> Callable[[], bool]:
    def look() -> bool:
        keeper.turn()
        return keeper.pools.keys() == pools

    return look


def test_each_pool_has_exactly_one_watcher() -> None:
    pools = make_pools(3)
    first, second = LeaseKeeper("first"), LeaseKeeper("second")
    first.turn()
    second.turn()
    assert first.pools.keys() == pools
    assert second.pools == {}
    assert holders() == dict.fromkeys(pools, "first")
    assert lost(first, pools) == set()
    assert lost(second, pools) == pools


def test_one_alone_keeps_house() -> None:
    first, second = LeaseKeeper("first"), LeaseKeeper("second")
    first.turn()
    second.turn()
    assert first.keeps_house()
    assert not second.keeps_house()
    first.release()
    second.turn()
    assert second.keeps_house()
    assert not first.keeps_house()


def test_what_is_not_renewed_is_taken_over_and_the_former_holder_may_not_write() -> None:
    pools = make_pools(2)
    frozen, heir = LeaseKeeper("frozen", lease_seconds=SHORT_SECONDS), LeaseKeeper("heir")
    frozen.turn()
    tokens = frozen.pools
    wait_until(takes_over(heir, pools), seconds=10)
    # It does not know yet.
    assert frozen.pools == tokens
    assert not frozen.is_sure()
    assert not frozen.keeps_house()
    assert lost(frozen, pools) == pools
    assert frozen.pools == {}
    assert lost(heir, pools) == set()
    assert all(heir.pools[pool] == tokens[pool] + 1 for pool in pools)


def test_a_lease_that_came_back_has_another_token() -> None:
    pools = make_pools(1)
    first, second = LeaseKeeper("first", lease_seconds=SHORT_SECONDS), LeaseKeeper("second")
    first.turn()
    before = first.pools
    wait_until(takes_over(second, pools), seconds=10)
    second.release()
    first.turn()
    assert first.pools.keys() == pools
    assert first.pools != before


def test_what_is_renewed_is_never_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "_RENEW_SECONDS", 0)
    pools = make_pools(1)
    first, second = LeaseKeeper("first", lease_seconds=1), LeaseKeeper("second")
    first.turn()
    expiry = WatcherLease.objects.get(hypervisor_pool__in=pools).expires_at

    def outlived() -> bool:
        first.turn()
        second.turn()
        return WatcherLease.objects.get(hypervisor_pool__in=pools).renewed_at > expiry

    wait_until(outlived, seconds=10)
    assert holders() == dict.fromkeys(pools, "first")


def test_an_expired_lease_that_nobody_took_is_renewed_and_stays_the_same() -> None:
    pools = make_pools(1)
    first = LeaseKeeper("first", lease_seconds=SHORT_SECONDS)
    first.turn()
    before = first.pools
    wait_until(lambda: not first.is_sure(), seconds=10)
    first._renewed_at = float("-inf")
    first.turn()
    assert first.is_sure()
    assert first.pools == before
    assert lost(first, pools) == set()


def test_what_is_given_up_is_taken_at_once() -> None:
    pools = make_pools(2)
    first, second = LeaseKeeper("first"), LeaseKeeper("second")
    first.turn()
    first.release()
    assert first.pools == {}
    second.turn()
    assert second.pools.keys() == pools


def test_a_new_pool_is_taken_at_the_next_turn_and_a_removed_one_let_go() -> None:
    pools = make_pools(1)
    keeper = LeaseKeeper("first")
    keeper.turn()
    new = HypervisorPool.objects.create(name="new")
    keeper.turn()
    assert keeper.pools.keys() == pools | {new.pk}
    new.delete()
    keeper.turn()
    assert keeper.pools.keys() == pools


def test_pools_spread_over_the_watchers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "_GIVE_UP_SECONDS", 0)
    pools = make_pools(5)
    alive = ["first"]
    keepers = [LeaseKeeper(name, count_watchers=lambda: len(alive)) for name in ("first", "second")]
    keepers[0].turn()
    assert keepers[0].pools.keys() == pools
    alive.append("second")

    def spread() -> bool:
        for keeper in keepers:
            keeper.turn()
            # Slowly: one at a time.
            assert len(pools - {pool for one in keepers for pool in one.pools}) <= 1
        return sorted(len(keeper.pools) for keeper in keepers) == [2, 3]

    wait_until(spread, seconds=10)
    before = holders()
    for keeper in keepers:
        keeper.turn()
    assert holders() == before


def test_a_pool_that_nobody_else_takes_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "_GIVE_UP_SECONDS", 0)
    monkeypatch.setattr(leases_module, "_YIELD_SECONDS", 0)
    pools = make_pools(2)
    # The other one is counted, but does not work.
    keeper = LeaseKeeper("first", count_watchers=lambda: 2)
    wait_until(lambda: takes_over(keeper, pools)() and max(keeper.pools.values()) == 2, seconds=10)
    settled = keeper.pools
    keeper.turn()
    assert keeper.pools == settled
