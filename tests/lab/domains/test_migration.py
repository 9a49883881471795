"""Live migration with a real worker between two real hosts: what the guest counts, and what virsh says on both."""

import pytest

from deploy.lab import fault
from hypervisors.errors import NotPossible
from hypervisors.models import Domain, Operation
from hypervisors.operations.domains.migration_targets import migration_targets
from hypervisors.operations.engine.requests import request_cancel
from hypervisors.states import DomainState, OperationState
from tests.lab.portals import Portal, PortalGuest, ended, wait_for_operation
from tests.watching import wait_until
from tests.workers import Worker

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("migrations",)


def test_the_guest_counts_on_while_it_moves(portal: Portal) -> None:
    source, target = portal.hosts
    with portal.guest("move-counter") as guest:
        wait_until(lambda: _possible(guest) == [portal.rows[1].name])
        operation = guest.do("migrate", target=portal.rows[1])
        assert operation.state == OperationState.SUCCEEDED, operation.outcome
        assert f"It runs on {target.name}. It stood still for" in operation.outcome
        assert (guest.state_on(source), guest.state_on(target)) == ("", "running")
        assert target.virsh("dominfo", guest.uuid).split("Persistent:")[1].split()[0] == "yes"
        guest.becomes(hypervisor=portal.rows[1], state=DomainState.RUNNING)
        guest.wait_until_it_counts()
        counts = guest.lab_guest.counts()
        assert counts == list(range(1, len(counts) + 1))
        assert guest.lab_guest.boots() == 1


def test_a_cancelled_move_is_really_aborted(portal: Portal) -> None:
    source, target = portal.hosts
    with portal.guest("move-cancel") as guest:
        operation = _begin_slowly(portal, guest)
        assert 0 <= operation.progress["percent"] < 100
        request_cancel(operation, user=portal.alice)
        cancelled = ended(operation, seconds=60)
        assert (cancelled.state, cancelled.outcome) == (
            OperationState.CANCELLED,
            f"Cancelled. It still runs on {source.name}.",
        )
        assert (guest.state_on(source), guest.state_on(target)) == ("running", "")
        assert "None" in source.virsh("domjobinfo", guest.uuid)
        guest.wait_until_it_counts()
        assert guest.lab_guest.boots() == 1


def test_the_move_outlives_its_worker_and_is_adopted(portal: Portal, workers: dict[str, Worker]) -> None:
    source, target = portal.hosts
    with portal.guest("move-adopt") as guest:
        operation = _begin_slowly(portal, guest)
        workers["migrations"].kill()
        workers["migrations"].start()
        adopted = wait_for_operation(
            operation, lambda row: row.attempt > operation.attempt and "bytes_per_second" in row.progress, seconds=60
        )
        assert adopted.progress["percent"] >= operation.progress["percent"]
        source.virsh("migrate-setspeed", guest.uuid, "1000")
        moved = ended(operation)
        assert moved.state == OperationState.SUCCEEDED, moved.outcome
        assert (guest.state_on(source), guest.state_on(target)) == ("", "running")
        guest.wait_until_it_counts()
        assert guest.lab_guest.boots() == 1


def test_a_target_that_dies_leaves_the_guest_where_it_was(portal: Portal) -> None:
    source, target = portal.hosts
    with portal.guest("move-dead-end") as guest:
        operation = _begin_slowly(portal, guest)
        with fault.during(fault.kill_libvirtd, fault.start_libvirtd, target):
            failed = ended(operation, seconds=90)
        assert failed.state == OperationState.FAILED
        assert f"It still runs on {source.name}." in failed.outcome
        assert guest.state_on(source) == "running"
        guest.wait_until_it_counts()


def test_what_is_shut_off_moves_its_definition(portal: Portal) -> None:
    source, target = portal.hosts
    with portal.guest("move-off", start=False) as guest:
        wait_until(lambda: _possible(guest))
        operation = guest.do("migrate", target=portal.rows[1])
        assert (operation.state, operation.outcome) == (
            OperationState.SUCCEEDED,
            f"It is on {target.name} now, shut off.",
        )
        assert (guest.state_on(source), guest.state_on(target)) == ("", "shut off")


def test_a_target_without_the_network_is_no_target(portal: Portal) -> None:
    target = portal.hosts[1]
    with portal.guest("move-no-net", start=False) as guest:
        wait_until(lambda: _possible(guest))
        target.virsh("net-destroy", "default")
        try:
            wait_until(lambda: not _possible(guest), seconds=40)
            with pytest.raises(NotPossible, match="The network “default” is not active there"):
                guest.ask("migrate", target=portal.rows[1])
        finally:
            target.virsh("net-start", "default")
        assert not Operation.objects.exists()


def _begin_slowly(portal: Portal, guest: PortalGuest) -> Operation:
    """A move at 1 MiB/s, which takes a minute, and its row when bytes have begun to flow."""
    wait_until(lambda: _possible(guest))
    portal.hosts[0].virsh("migrate-setspeed", guest.uuid, "1")
    operation = guest.ask("migrate", target=portal.rows[1])
    return wait_for_operation(operation, lambda row: row.progress.get("transferred_bytes", 0) > 0)


def _possible(guest: PortalGuest) -> list[str]:
    row: Domain | None = guest.row
    assert row is not None
    return [target.hypervisor.name for target in migration_targets(row) if target.is_possible]
