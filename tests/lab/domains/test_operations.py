"""Lifecycle operations with a real worker on real QEMU, asserted by what virsh and the guest itself say."""

from pathlib import Path

import pytest

from deploy.lab import fault
from hypervisors.errors import Conflict
from hypervisors.models import Operation
from hypervisors.states import DomainState, OperationState
from tests.lab.portals import Portal, ended, wait_for_operation
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("operations",)


def test_a_life_from_start_to_shut_down(portal: Portal) -> None:
    host = portal.hosts[0]
    with portal.guest("ops-life", start=False) as guest:

        def do(kind: str, state: str, row_state: DomainState) -> None:
            operation = guest.do(kind)
            assert operation.state == OperationState.SUCCEEDED, (kind, operation.outcome)
            assert guest.state_on(host) == state, kind
            guest.becomes(state=row_state)

        do("start", "running", DomainState.RUNNING)
        guest.wait_until_it_counts()
        do("pause", "paused", DomainState.PAUSED)
        do("resume", "running", DomainState.RUNNING)
        do("save", "shut off", DomainState.SHUTOFF)
        guest.becomes(has_managed_save=True)
        counted = guest.lab_guest.counts()[-1]
        do("start", "running", DomainState.RUNNING)
        # It goes on counting where it was: restored, not booted.
        assert guest.wait_until_it_counts() > counted
        assert guest.lab_guest.boots() == 1
        do("reset", "running", DomainState.RUNNING)
        wait_until(lambda: guest.lab_guest.boots() == 2, seconds=150)
        guest.wait_until_it_counts()
        do("shut_down", "shut off", DomainState.SHUTOFF)
        assert host.virsh("domstate", guest.uuid, "--reason") == "shut off (shutdown)"


def test_a_reboot_ends_when_the_guest_was_reset(portal: Portal) -> None:
    with portal.guest("ops-reboot") as guest:
        operation = guest.do("reboot")
        assert (operation.state, operation.outcome) == (OperationState.SUCCEEDED, "The guest rebooted.")
        wait_until(lambda: guest.lab_guest.boots() == 2, seconds=150)


def test_force_off_goes_ahead_of_a_shut_down_that_waits(portal: Portal, tmp_path: Path) -> None:
    with portal.deaf_guest("ops-deaf", tmp_path) as guest:
        ignored = guest.do("shut_down", timeout_seconds=2)
        assert ignored.state == OperationState.FAILED
        assert "did not react to the power button within 2 s" in ignored.outcome
        assert guest.state_on(portal.hosts[0]) == "running"
        waiting = guest.ask("shut_down")
        wait_for_operation(waiting, lambda row: "asked_at" in row.progress)
        with pytest.raises(Conflict, match="Shut down"):
            guest.ask("save")
        forced = guest.do("force_off")
        assert forced.state == OperationState.SUCCEEDED, forced.outcome
        assert guest.state_on(portal.hosts[0]) == "shut off"
        superseded = ended(waiting)
        assert superseded.state == OperationState.CANCELLED
        assert "Superseded by “Force off”" in superseded.outcome


@pytest.mark.parametrize("name", ['o\'brien "quoted"', "100% <b>bold & co", "münchen 😀", "a" * 200, "é" * 120])
def test_a_machine_can_be_called_anything(portal: Portal, name: str) -> None:
    with portal.guest("ops-name", start=False) as guest:
        operation = guest.do("rename", name=name)
        assert operation.state == OperationState.SUCCEEDED, operation.outcome
        assert portal.hosts[0].virsh("domname", guest.uuid) == name
        guest.becomes(name=name)
        started = guest.do("start")
        assert started.state == OperationState.SUCCEEDED, started.outcome
        assert guest.state_on(portal.hosts[0]) == "running"


def test_autostart_title_and_description_reach_libvirt(portal: Portal) -> None:
    host = portal.hosts[0]
    with portal.guest("ops-titles") as guest:
        assert guest.do("set_autostart", enabled=True).state == OperationState.SUCCEEDED
        assert "enable" in host.virsh("dominfo", guest.uuid).split("Autostart:")[1].splitlines()[0]
        guest.becomes(autostart=True)
        described = guest.do("describe", title='Web <1> & "co"', description="first\nsecond")
        assert described.state == OperationState.SUCCEEDED, described.outcome
        for which in ("--live", "--config"):
            assert host.virsh("desc", guest.uuid, "--title", which) == 'Web <1> & "co"'
            assert host.virsh("desc", guest.uuid, which) == "first\nsecond"
        guest.becomes(title='Web <1> & "co"', description="first\nsecond")


def test_a_frozen_host_ends_its_operation_and_holds_up_nobody_else(portal: Portal) -> None:
    frozen, sound = portal.hosts
    with (
        portal.guest("ops-frozen", start=False) as guest,
        portal.guest("ops-beside", start=False, on=sound) as beside,
        fault.during(fault.freeze, fault.thaw, frozen),
    ):
        stuck = guest.ask("start")
        wait_for_operation(stuck, lambda row: row.state == OperationState.RUNNING)
        for kind, state in (("start", "running"), ("force_off", "shut off")):
            # Neither the workers nor the watcher wait for the frozen one.
            done = ended(beside.ask(kind), seconds=15)
            assert done.state == OperationState.SUCCEEDED, done.outcome
            assert beside.state_on(sound) == state
            beside.becomes(state=DomainState.RUNNING if state == "running" else DomainState.SHUTOFF, seconds=10)
        assert not Operation.objects.get(pk=stuck.pk).is_finished, "it was no longer stuck"
        operation = ended(stuck, seconds=60)
        assert operation.state in (OperationState.FAILED, OperationState.INTERRUPTED)
        assert operation.outcome


def test_a_hung_qemu_is_reported_as_not_answering(portal: Portal) -> None:
    host = portal.hosts[0]
    with portal.guest("ops-hung") as guest, fault.during(fault.freeze_qemu, fault.thaw_qemu, host, "ops-hung"):
        operation = ended(guest.ask("pause"), seconds=60)
        assert operation.state == OperationState.INTERRUPTED
        assert f"{host.name} did not answer within 40 s" in operation.outcome
