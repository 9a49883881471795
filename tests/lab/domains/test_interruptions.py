"""Moves and reboots go on while what watches over them is cut off or killed; their lock is held, their end is true."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.lab.host import Host
from hypervisors.errors import Conflict
from hypervisors.models import Operation, OperationLock
from hypervisors.operations.domains.migration_targets import migration_targets
from hypervisors.states import DomainState, OperationState
from tests.lab.portals import Portal, PortalGuest, ended, wait_for_operation
from tests.watching import wait_until
from tests.workers import Worker

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = (
    "operations",
    "migrations",
)


def test_a_move_whose_source_cannot_be_reached_goes_on_and_keeps_its_lock(portal: Portal) -> None:
    source, target = portal.hosts
    with portal.guest("cut-move") as guest:
        wait_until(lambda: _possible(guest))
        source.virsh("migrate-setspeed", guest.uuid, "1")
        operation = guest.ask("migrate", target=portal.rows[1])
        wait_for_operation(operation, lambda row: row.progress.get("transferred_bytes", 0) > 0)
        with _our_connections_cut(source):
            parked = wait_for_operation(operation, lambda row: "undecided_since" in row.progress, seconds=60)
            assert parked.state == OperationState.RUNNING
            assert OperationLock.objects.filter(key=f"domain:{guest.uuid}", operation=operation).exists()
            with pytest.raises(Conflict, match="Migrate"):
                guest.ask("pause")
            assert "Unbounded" in _inside(source, "domjobinfo", guest.uuid), "libvirt moves it on without us"
            assert guest.state_on(target) == "paused", "it is coming in"
        source.virsh("migrate-setspeed", guest.uuid, "1000")
        moved = ended(operation, seconds=120)
        assert moved.state == OperationState.SUCCEEDED, moved.outcome
        assert not OperationLock.objects.filter(key=f"domain:{guest.uuid}").exists()
        assert (guest.state_on(source), guest.state_on(target)) == ("", "running")
        guest.wait_until_it_counts()
        assert guest.lab_guest.boots() == 1


def test_a_move_that_ends_while_nobody_can_look_is_found_to_have_moved(portal: Portal) -> None:
    source, target = portal.hosts
    with portal.guest("cut-end") as guest:
        source.virsh("autostart", guest.uuid)
        wait_until(lambda: _possible(guest))
        source.virsh("migrate-setspeed", guest.uuid, "1")
        operation = guest.ask("migrate", target=portal.rows[1])
        wait_for_operation(operation, lambda row: row.progress.get("transferred_bytes", 0) > 0)
        with _our_connections_cut(source):
            _inside(source, "migrate-setspeed", guest.uuid, "1000")
            wait_until(lambda: guest.state_on(target) == "running", seconds=60)
            assert not Operation.objects.get(pk=operation.pk).is_finished
        moved = ended(operation, seconds=120)
        assert moved.state == OperationState.SUCCEEDED, moved.outcome
        assert "enable" in target.virsh("dominfo", guest.uuid).split("Autostart:")[1].splitlines()[0]


def test_a_machine_that_is_not_to_start_again_is_off_at_once_after_a_reboot(portal: Portal) -> None:
    host = portal.hosts[0]
    with portal.guest("reboot-off", start=False) as guest:
        xml = host.virsh("dumpxml", "--inactive", guest.uuid)
        file = host.plan.directory / "define.xml"
        file.write_text(xml.replace("<on_reboot>restart</on_reboot>", "<on_reboot>destroy</on_reboot>"))
        host.virsh("define", str(file))
        host.virsh("start", guest.uuid)
        guest.becomes(state=DomainState.RUNNING)
        guest.wait_until_it_counts()
        operation = guest.ask("reboot")
        over = ended(operation, seconds=60)
        assert (over.state, over.outcome) == (
            OperationState.SUCCEEDED,
            "The guest shut down; its definition says that it is not to start again after a reboot.",
        )
        assert over.ended_at is not None
        assert (over.ended_at - over.requested_at).total_seconds() < 40
        assert guest.state_on(host) == "shut off"


def test_a_reboot_whose_worker_died_is_seen_by_the_watcher_and_asked_for_once(
    portal: Portal, workers: dict[str, Worker]
) -> None:
    with portal.guest("reboot-adopt") as guest:
        operation = guest.ask("reboot")
        wait_for_operation(operation, lambda row: "asked_at" in row.progress)
        workers["operations"].kill()
        wait_until(lambda: guest.lab_guest.boots() == 2, seconds=150)
        workers["operations"].start()
        over = ended(operation, seconds=90)
        assert (over.state, over.outcome) == (OperationState.SUCCEEDED, "The guest rebooted.")
        guest.wait_until_it_counts()
        assert guest.lab_guest.boots() == 2


def _possible(guest: PortalGuest) -> list[str]:
    row = guest.row
    assert row is not None
    return [target.hypervisor.name for target in migration_targets(row) if target.is_possible]


@contextmanager
def _our_connections_cut(host: Host) -> Iterator[None]:
    """The way from this machine to the host's libvirtd; the hosts reach one another."""
    rule = ["INPUT", "-s", host.lab.machine_address, "-p", "tcp", "--dport", "16509"]
    rule += ["-j", "REJECT", "--reject-with", "tcp-reset"]
    host.run("iptables", "-I", *rule)
    try:
        yield
    finally:
        host.run("iptables", "-D", *rule)


def _inside(host: Host, *arguments: str) -> str:
    """virsh on the host itself."""
    return host.run("virsh", "--quiet", "--connect", "qemu:///system", *arguments)
