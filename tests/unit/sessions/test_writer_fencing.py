"""The writer writes for no pool whose lease another watcher has by now, whatever it still believes."""

import threading
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from hypervisors.gateway.domains.reading import DomainFacts
from hypervisors.inventory.leases import LeaseKeeper
from hypervisors.inventory.observations import DomainsListed
from hypervisors.inventory.writer import Writer
from hypervisors.models import Domain, Hypervisor, HypervisorPool
from hypervisors.states import DomainState
from tests.watching import wait_until

pytestmark = pytest.mark.django_db

SHORT_SECONDS = 0.3
ONE, TWO = UUID(int=1), UUID(int=2)


@pytest.fixture
def watched(make_hypervisor: Callable[..., Hypervisor]) -> Hypervisor:
    """A hypervisor with which no session can be begun."""
    return make_hypervisor(uri="nonsense")


@pytest.fixture
def make_writer(redis_client: object) -> Iterator[Callable[[LeaseKeeper], Writer]]:
    writers: list[Writer] = []

    def make(leases: LeaseKeeper) -> Writer:
        writers.append(Writer(threading.Event(), leases))
        return writers[-1]

    yield make
    for writer in writers:
        writer.supervisor.stop()


def tell(writer: Writer, hypervisor: Hypervisor, *uuids: UUID) -> None:
    facts = tuple(
        DomainFacts(
            uuid=uuid,
            name=f"vm{uuid.int}",
            state=DomainState.RUNNING,
            state_reason="booted",
            persistent=True,
            autostart=False,
            has_managed_save=False,
            live_xml=f"<domain><name>vm{uuid.int}</name><uuid>{uuid}</uuid></domain>",
            inactive_xml="",
        )
        for uuid in uuids
    )
    writer._post(DomainsListed(hypervisor_id=hypervisor.pk, domains=facts, started_at=time.monotonic()))
    writer._turn()


def taken_by(keeper: LeaseKeeper, pool: HypervisorPool) -> Callable[[], bool]:
    return lambda: keeper.turn() or pool.pk in keeper.pools  # type: ignore[func-returns-value]


@pytest.mark.parametrize("is_sure", [True, False])
def test_what_is_told_after_the_lease_was_lost_is_not_written(
    watched: Hypervisor, make_writer: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch, is_sure: bool
) -> None:
    frozen, heir = LeaseKeeper("frozen", lease_seconds=SHORT_SECONDS), LeaseKeeper("heir")
    writer = make_writer(frozen)
    writer._turn()
    tell(writer, watched, ONE)
    assert Domain.objects.get().uuid == ONE
    wait_until(taken_by(heir, watched.hypervisor_pool), seconds=10)
    if is_sure:
        # Only the token in the row can tell: neither its clock nor a look at the leases.
        monkeypatch.setattr(frozen, "is_sure", lambda: True)
        monkeypatch.setattr(writer, "_rows_due", float("inf"))
    tell(writer, watched, ONE, TWO)
    assert Domain.objects.get().uuid == ONE
    assert frozen.pools == {}


def test_a_pool_that_comes_back_is_read_from_its_rows_again(
    watched: Hypervisor, make_writer: Callable[..., Writer]
) -> None:
    first, second = LeaseKeeper("first", lease_seconds=SHORT_SECONDS), LeaseKeeper("second")
    writer = make_writer(first)
    writer._turn()
    tell(writer, watched, ONE)
    wait_until(taken_by(second, watched.hypervisor_pool), seconds=10)
    # What the other watcher saw meanwhile.
    Domain.objects.update(state=DomainState.SHUTOFF, title="stopped elsewhere")
    second.release()
    writer.look_at_rows()
    wait_until(lambda: writer._turn() or first.pools, seconds=10)  # type: ignore[func-returns-value]
    tell(writer, watched, ONE)
    assert Domain.objects.get().state == DomainState.RUNNING


def test_a_hypervisor_that_moves_to_a_pool_of_another_watcher_keeps_its_rows(
    watched: Hypervisor, make_writer: Callable[..., Writer]
) -> None:
    elsewhere = HypervisorPool.objects.create(name="elsewhere")
    first, second = LeaseKeeper("first", count_watchers=lambda: 2), LeaseKeeper("second", count_watchers=lambda: 2)
    writer = make_writer(first)
    writer._turn()
    second.turn()
    tell(writer, watched, ONE)
    assert second.pools.keys() == {elsewhere.pk}
    Hypervisor.objects.update(hypervisor_pool=elsewhere)
    writer.look_at_rows()
    writer._turn()
    row = Domain.objects.get()
    assert (row.hypervisor, row.vanished_at) == (watched, None)
    tell(writer, watched)
    assert Domain.objects.get().vanished_at is None
