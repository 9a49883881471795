"""Two watcher processes on one database: each pool has one of them, and the other takes over when it dies."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from deploy.services import private_redis
from hypervisors.models import Domain, Hypervisor, HypervisorPool, WatcherLease
from hypervisors.states import DomainState, HypervisorStatus
from tests.fakehost.conftest import domain_xml
from tests.watchers import watcher_process
from tests.watching import wait_for_status, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

TAKE_OVER_SECONDS = 15
VANISHING = "00000000-0000-4000-8000-00000000000a"
STAYING = "00000000-0000-4000-8000-00000000000b"


@pytest.fixture
def make_host(redis_client: Any, tmp_path: Path) -> Callable[..., Hypervisor]:
    """A hypervisor of the test driver in a pool of its own; each process that opens it has its own world of it."""

    def make(name: str, *domains: str) -> Hypervisor:
        write_world(tmp_path, name, *domains)
        pool = HypervisorPool.objects.create(name=f"pool of {name}")
        return Hypervisor.objects.create(hypervisor_pool=pool, name=name, uri=f"test://{tmp_path / name}.xml")

    return make


def write_world(directory: Path, name: str, *domains: str) -> None:
    (directory / f"{name}.xml").write_text(f"<node>{''.join(domains)}</node>")


def present() -> set[str]:
    return {str(uuid) for uuid in Domain.objects.present().values_list("uuid", flat=True)}


def test_after_the_kill_of_its_watcher_a_pool_has_another_soon(
    make_host: Callable[..., Hypervisor], tmp_path: Path
) -> None:
    host = make_host("h1", domain_xml("gone", VANISHING), domain_xml("stays", STAYING))
    with watcher_process(tmp_path / "first.log") as first:
        wait_until(lambda: present() == {VANISHING, STAYING})
        before = Domain.objects.get(uuid=STAYING)
        with watcher_process(tmp_path / "second.log") as second:
            wait_until(lambda: "Watching" in second.log)
            assert second.pools == set()
            # What changes while nobody looks.
            write_world(tmp_path, "h1", domain_xml("stays", STAYING))
            first.signal(signal.SIGKILL)
            killed_at = time.monotonic()
            first.wait()
            wait_until(lambda: present() == {STAYING}, seconds=TAKE_OVER_SECONDS)
            assert time.monotonic() - killed_at < TAKE_OVER_SECONDS
            second.wait_until_it_leads(host.hypervisor_pool)
            wait_for_status(host, HypervisorStatus.ONLINE)
            after = Domain.objects.get(uuid=STAYING)
            assert (after.pk, after.state_since) == (before.pk, before.state_since)
            assert Domain.objects.get(uuid=VANISHING).vanished_at is not None


def test_a_watcher_that_is_stopped_hands_over_at_once(make_host: Callable[..., Hypervisor], tmp_path: Path) -> None:
    host = make_host("h1", domain_xml("stays", STAYING))
    with watcher_process(tmp_path / "first.log") as first:
        wait_until(lambda: present() == {STAYING})
        with watcher_process(tmp_path / "second.log") as second:
            wait_until(lambda: "Watching" in second.log)
            first.signal(signal.SIGTERM)
            second.wait_until_it_leads(host.hypervisor_pool, seconds=5)


def test_pools_are_shared_and_a_new_one_is_picked_up(make_host: Callable[..., Hypervisor], tmp_path: Path) -> None:
    for name in ("h1", "h2"):
        make_host(name)
    with watcher_process(tmp_path / "first.log") as first:
        wait_until(lambda: len(first.pools) == 2)
        with watcher_process(tmp_path / "second.log") as second:
            wait_until(lambda: len(first.pools) == len(second.pools) == 1)
            new = make_host("h3", domain_xml("stays", STAYING))
            wait_for_status(new, HypervisorStatus.ONLINE, seconds=5)
            wait_until(lambda: present() == {STAYING})


def test_without_redis_pools_have_a_watcher_and_keep_it(make_host: Callable[..., Hypervisor], tmp_path: Path) -> None:
    host = make_host("h1", domain_xml("stays", STAYING))
    with private_redis() as url:
        gone = url
    with watcher_process(tmp_path / "first.log", REDIS_URL=gone) as first:
        first.wait_until_it_leads(host.hypervisor_pool)
        wait_until(lambda: present() == {STAYING})
        lease = WatcherLease.objects.get(hypervisor_pool=host.hypervisor_pool)
        with watcher_process(tmp_path / "second.log", REDIS_URL=gone):
            # It is renewed over and over while the other looks on.
            wait_until(lambda: WatcherLease.objects.get(pk=lease.pk).renewed_at > lease.expires_at)
            assert WatcherLease.objects.get(pk=lease.pk).token == lease.token
            first.signal(signal.SIGKILL)
            wait_until(
                lambda: WatcherLease.objects.get(pk=lease.pk).token == lease.token + 1, seconds=TAKE_OVER_SECONDS
            )


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="frozen in a transaction, it would hold all of SQLite")
def test_a_watcher_that_was_frozen_writes_nothing_for_a_pool_it_lost(
    make_host: Callable[..., Hypervisor], tmp_path: Path
) -> None:
    assert connection.vendor == "postgresql"
    host = make_host("h1", domain_xml("stays", STAYING))
    with watcher_process(tmp_path / "frozen.log") as frozen:
        wait_until(lambda: present() == {STAYING})
        with watcher_process(tmp_path / "heir.log") as heir:
            wait_until(lambda: "Watching" in heir.log)
            frozen.signal(signal.SIGSTOP)
            heir.wait_until_it_leads(host.hypervisor_pool, seconds=TAKE_OVER_SECONDS)
            wait_for_status(host, HypervisorStatus.ONLINE)
            # The frozen one's own world still says that it runs: were it to write, this would come undone.
            Domain.objects.filter(uuid=STAYING).update(state=DomainState.CRASHED, title="kept")
            frozen.signal(signal.SIGCONT)
            wait_until(lambda: "was lost" in frozen.log or "has 1 pools" in frozen.log)
            assert frozen.pools == set()
            assert Domain.objects.get(uuid=STAYING).title == "kept"
            heir.wait_until_it_leads(host.hypervisor_pool)
