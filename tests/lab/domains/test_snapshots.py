"""Snapshots taken, gone back to and deleted by real workers; asserted by virsh, qemu-img and the guests themselves."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from hypervisors.administration.snapshot_schedules import add_schedule
from hypervisors.errors import NotPossible
from hypervisors.models import (
    DomainSnapshot,
    Operation,
    OperationLock,
    SnapshotNote,
    SnapshotSchedule,
    Volume,
    XmlVersion,
)
from hypervisors.models.xml_versions import digest
from hypervisors.operations.domains.snapshotting.plan import snapshot_plan
from hypervisors.operations.domains.snapshotting.scheduling import look_after_schedules
from hypervisors.operations.engine.requests import request_cancel
from hypervisors.states import OperationState
from tests.lab.domains.snapped import (
    chain_of,
    disk_of,
    does,
    files_of,
    has_snapshots,
    holds,
    parents_of,
    row_of,
    snapped_guest,
    storage_as_before,
    takes,
    writes,
)
from tests.lab.portals import Portal, PortalGuest, ended, wait_for_operation
from tests.watching import wait_until
from tests.workers import Worker

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("storage", "operations")


@pytest.fixture(autouse=True)
def clean(portal: Portal) -> Iterator[None]:
    with storage_as_before(portal):
        yield


def test_a_tree_of_five_is_gone_back_into_and_grows_a_branch(portal: Portal) -> None:
    """Each has another pattern on the disk; going back to the second brings that of the second back."""
    with snapped_guest(portal, start=False) as guest:
        path = guest.lab_guest.disk_path
        for number in range(1, 5):
            writes(guest, number, path)
            taken = takes(guest, f"s{number}", "internal", description=f"pattern {number}")
        assert (taken.kind, taken.has_memory, taken.description) == ("internal", False, "pattern 4")
        assert does(guest, "revert_snapshot", name="s2") == "It is back at “s2”."
        assert holds(guest, 2, path)
        assert not holds(guest, 4, path)
        wait_until(lambda: row_of(guest).snapshots.filter(name="s2", is_current=True).exists(), seconds=60)
        takes(guest, "s5", "internal")
        assert parents_of(guest) == {"s1": "", "s2": "s1", "s3": "s2", "s4": "s3", "s5": "s2"}
        does(guest, "describe_snapshot", name="s5", description="two\nlines & <more>")
        assert "two\nlines &amp; &lt;more&gt;" in portal.hosts[0].virsh("snapshot-dumpxml", guest.uuid, "s5")
        assert portal.hosts[0].virsh("snapshot-current", guest.uuid, "--name") == "s5"
        _edits_xml(guest)
        assert parents_of(guest) == {"s1": "", "s2": "s1", "s3": "s2", "s4": "s3", "s5": "s2"}
        does(guest, "delete_snapshot", name="s3", children=True)
        has_snapshots(guest, "s1", "s2", "s5")
        assert holds(guest, 2, path)
        portal.hosts[0].run("qemu-img", "check", path)
        assert not OperationLock.objects.exists()


def _edits_xml(guest: PortalGuest) -> None:
    """Of the present one: it stays that; what libvirt does not know is told, and nothing of others is overwritten."""

    def edited(old: str, new: str) -> dict[str, Any]:
        seen = row_of(guest).snapshots.get(name="s5").xml
        assert old in seen
        return {"name": "s5", "xml": seen.replace(old, new, 1), "base_sha256": digest(seen)}

    host = guest.portal.hosts[0]
    wait_until(lambda: "two\nlines" in row_of(guest).snapshots.get(name="s5").xml, seconds=60)
    given = edited("<devices>", "<title>came back</title><odd/><devices>")
    refused = ended(guest.ask("edit_snapshot", **given))
    assert refused.state == OperationState.FAILED
    assert "without the schema" in refused.outcome
    assert "left out what it does not know: domain/odd" in does(guest, "edit_snapshot", **given, by_schema=False)
    assert "<title>came back</title>" in host.virsh("snapshot-dumpxml", guest.uuid, "s5")
    assert host.virsh("snapshot-current", guest.uuid, "--name") == "s5"
    wait_until(lambda: "came back" in row_of(guest).snapshots.get(name="s5").xml, seconds=60)
    newest = XmlVersion.objects.of(row_of(guest).snapshots.get(name="s5")).first()
    assert newest is not None
    assert (newest.operation_kind, newest.changed_by) == ("edit_snapshot", "alice")
    # Our row is older than what the host has.
    present, old = row_of(guest).snapshots.get(name="s5").xml, given["xml"].replace("<odd/>", "")
    DomainSnapshot.objects.filter(name="s5").update(xml=old)
    typed = old.replace("came back", "came again")
    operation = ended(guest.ask("edit_snapshot", name="s5", xml=typed, base_sha256=digest(old)))
    DomainSnapshot.objects.filter(name="s5").update(xml=present)
    assert operation.state == OperationState.FAILED
    assert "changed since you opened it" in operation.outcome


def test_one_with_memory_goes_on_where_it_was(portal: Portal) -> None:
    with snapped_guest(portal, start=True) as guest:
        taken = takes(guest, "running", "internal")
        assert (taken.has_memory, taken.state) == (True, "running")
        note = SnapshotNote.objects.get(name="running")
        assert (note.taken_by, note.created_at) == (portal.alice, taken.created_at)
        assert bytes(note.picture).startswith(b"\x89PNG")
        counted = guest.wait_until_it_counts()
        assert "with a new QEMU" not in does(guest, "revert_snapshot", name="running", state="paused")
        guest.becomes(state="paused")
        portal.hosts[0].virsh("resume", guest.uuid)
        assert guest.wait_until_it_counts() <= counted + 1
        assert guest.lab_guest.boots() == 1
        does(guest, "delete_snapshot", name="running")
        has_snapshots(guest)
        assert not SnapshotNote.objects.exists()


def test_external_ones_are_taken_and_deleted_under_a_running_guest_whose_data_stays(portal: Portal) -> None:
    with snapped_guest(portal, start=False) as guest:
        base = guest.lab_guest.disk_path
        writes(guest, 7, base)
        before = set(files_of(portal))
        guest.portal.hosts[0].virsh("start", guest.uuid)
        guest.becomes(state="running")
        guest.wait_until_it_counts()
        with pytest.raises(NotPossible, match=r"cannot be frozen\. It has no channel to a guest agent"):
            guest.ask("create_snapshot", name="still", mode="external", quiesce=True)
        first = takes(guest, "before upgrade", "external")
        assert (first.kind, first.has_memory) == ("external", False)
        takes(guest, "e2", "external_memory")
        overlay = "snapped-vda.before-upgrade.qcow2"
        assert chain_of(guest) == ["snapped-vda.e2.qcow2", overlay, "snapped.qcow2"]
        assert set(files_of(portal)) - before == {overlay, "snapped-vda.e2.qcow2", "snapped-memory.e2.save"}
        assert first.overlays == {"vda": str(Path(base).with_name(overlay))}
        wait_until(lambda: Volume.objects.present().filter(name=overlay, quarantine="").count() == 2, seconds=60)

        # The other kind would orphan all of that; and this libvirt cannot go back.
        with pytest.raises(NotPossible, match="outside of its disks"):
            guest.ask("create_snapshot", name="inside", mode="internal")
        with pytest.raises(NotPossible, match=r"libvirt 9\.10"):
            guest.ask("revert_snapshot", name="e2")
        assert "outside of its disks" in snapshot_plan(row_of(guest)).why_not["internal"]

        does(guest, "delete_snapshot", name="before upgrade")
        has_snapshots(guest, "e2")
        assert chain_of(guest) == ["snapped-vda.e2.qcow2", "snapped.qcow2"]
        does(guest, "delete_snapshot", name="e2")
        has_snapshots(guest)
        assert chain_of(guest) == ["snapped.qcow2"]
        assert set(files_of(portal)) == before
        guest.wait_until_it_counts()
        assert guest.lab_guest.boots() == 1
        assert holds(guest, 7, base)
        wait_until(lambda: not Volume.objects.present().filter(name__startswith="snapped-").exists(), seconds=60)
        assert not Volume.objects.present().exclude(quarantine="").exists()


def test_kinds_that_others_have_mixed_are_left_alone_with_the_reason(portal: Portal) -> None:
    host = portal.hosts[0]
    with snapped_guest(portal, start=False) as guest:
        host.virsh("snapshot-create-as", guest.uuid, "inside")
        overlay = Path(guest.lab_guest.disk_path).with_name("snapped-mixed.qcow2")
        host.virsh("snapshot-create-as", guest.uuid, "outside", "--disk-only", "--diskspec", f"vda,file={overlay}")
        wait_until(lambda: row_of(guest).snapshots.count() == 2, seconds=60)
        with pytest.raises(NotPossible, match="without their base"):
            guest.ask("revert_snapshot", name="inside")
        with pytest.raises(NotPossible, match="inside the disk"):
            guest.ask("delete_snapshot", name="outside")
        with pytest.raises(NotPossible, match="moved on"):
            guest.ask("delete_snapshot", name="inside")
        # The rows may be older than what the host has: it is asked again.
        row_of(guest).snapshots.filter(name="outside").delete()
        operation = ended(guest.ask("revert_snapshot", name="inside"))
        assert operation.state == OperationState.FAILED
        assert "without their base" in operation.outcome
        assert disk_of(guest) == str(overlay)


def test_one_that_is_cancelled_leaves_nothing_and_one_whose_worker_dies_is_taken_all_the_same(
    portal: Portal, workers: dict[str, Worker]
) -> None:
    with snapped_guest(portal, start=True) as guest:
        before = set(files_of(portal))
        operation = guest.ask("create_snapshot", name="never", mode="external_memory")
        wait_for_operation(operation, _has_begun_to_take)
        # It may be over by then: all that can be asked is that nothing is left half-way.
        with suppress(NotPossible):
            request_cancel(Operation.objects.get(pk=operation.pk), user=portal.alice)
        operation = ended(operation)
        if operation.state == OperationState.SUCCEEDED:
            wait_until(lambda: row_of(guest).snapshots.filter(name="never").exists(), seconds=60)
            does(guest, "delete_snapshot", name="never")
        else:
            assert operation.state == OperationState.CANCELLED, operation.outcome
        has_snapshots(guest)
        assert set(files_of(portal)) == before
        guest.wait_until_it_counts()

        operation = guest.ask("create_snapshot", name="kept", mode="external_memory")
        wait_for_operation(operation, _has_begun_to_take)
        workers["storage"].kill()
        workers["storage"].start()
        operation = ended(operation, seconds=150)
        assert operation.state == OperationState.SUCCEEDED, operation.outcome
        has_snapshots(guest, "kept")
        assert set(files_of(portal)) - before == {"snapped-vda.kept.qcow2", "snapped-memory.kept.save"}
        assert SnapshotNote.objects.filter(name="kept").exists()
        guest.wait_until_it_counts()
        does(guest, "delete_snapshot", name="kept")
        has_snapshots(guest)
        assert chain_of(guest) == ["snapped.qcow2"]
        assert set(files_of(portal)) == before


def _has_begun_to_take(operation: Operation) -> bool:
    return any(step["name"] == "take" for step in operation.steps)


def test_a_schedule_takes_what_is_due_once_and_keeps_the_newest_of_its_own(portal: Portal) -> None:
    """The clock is set: two days were missed, and then each day one is due."""
    with snapped_guest(portal, start=False) as guest:
        takes(guest, "by hand", "internal")
        now = timezone.now()
        values = {"prefix": "auto", "frequency": "daily", "every_hours": 1, "at_time": time(3), "weekday": 0}
        more = {"keep": 2, "mode": "internal", "quiesce": True, "enabled": True}
        schedule = add_schedule(portal.alice, row_of(guest), values | more)
        for day in range(2, 6):
            _look_until_quiet(schedule, now + timedelta(days=day))
            _look_until_quiet(schedule, now + timedelta(days=day))
        wait_until(lambda: row_of(guest).snapshots.count() == 3, seconds=60)
        left = sorted(portal.hosts[0].virsh("snapshot-list", guest.uuid, "--name").splitlines())
        days = [f"auto-{timezone.localtime(now + timedelta(days=day)):%Y%m%d-%H%M}" for day in (4, 5)]
        assert left == [*days, "by hand"]
        schedule.refresh_from_db()
        assert (schedule.problem, schedule.tidies) == ("", False)


def _look_until_quiet(schedule: SnapshotSchedule, now: datetime) -> None:
    """Look after the schedules until nothing that they asked for is under way, nor left to do."""

    def is_quiet() -> bool:
        look_after_schedules(now)
        row = SnapshotSchedule.objects.get(pk=schedule.pk)
        rows = set(DomainSnapshot.objects.filter(domain=row.domain_id).values_list("name", flat=True))
        notes = set(row.notes.values_list("name", flat=True))
        return row.operation_id is None and not row.tidies and row.next_run_at > now and notes <= rows

    wait_until(is_quiet, seconds=60)
