"""Snapshots taken, gone back to and deleted by real workers; asserted by virsh, qemu-img and the guests themselves."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from deploy.lab.process import LabError
from hypervisors.administration.snapshot_schedules import add_schedule
from hypervisors.errors import NotPossible
from hypervisors.inventory.refresh_requests import request_storage_pool_refresh
from hypervisors.models import (
    Domain,
    DomainSnapshot,
    Operation,
    OperationLock,
    SnapshotNote,
    SnapshotSchedule,
    StoragePool,
    Volume,
)
from hypervisors.operations.domains.snapshotting.plan import snapshot_plan
from hypervisors.operations.domains.snapshotting.scheduling import look_after_schedules
from hypervisors.operations.engine.requests import request_cancel
from hypervisors.states import OperationState
from tests.lab.portals import Portal, PortalGuest, ended, wait_for_operation
from tests.watching import wait_until
from tests.workers import Worker

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("storage", "operations")
POOL = "shared"


@pytest.fixture(autouse=True)
def clean(portal: Portal) -> Iterator[None]:
    """What a test left in the storage goes afterwards."""
    before = set(_files(portal))
    wait_until(lambda: StoragePool.objects.filter(name=POOL, active=True).exclude(shared_storage=None).count() == 2)
    yield
    for name in set(_files(portal)) - before:
        portal.hosts[0].virsh("vol-delete", name, "--pool", POOL)


def _files(portal: Portal) -> list[str]:
    portal.hosts[0].virsh("pool-refresh", POOL)
    return [line.split()[0] for line in portal.hosts[0].virsh("vol-list", POOL).splitlines() if line.strip()]


@contextmanager
def _guest(portal: Portal, *, start: bool) -> Iterator[PortalGuest]:
    """One whose disk is known as a volume."""
    with portal.guest("snapped", start=start) as guest:
        for pool in StoragePool.objects.filter(name=POOL):
            request_storage_pool_refresh(pool.hypervisor_id, pool.uuid)
        known = Volume.objects.present().filter(path=guest.lab_guest.disk_path, format="qcow2")
        wait_until(lambda: known.filter(storage_pool__hypervisor=_row(guest).hypervisor).exists(), seconds=60)
        yield guest


def _row(guest: PortalGuest) -> Domain:
    row = guest.row
    assert row is not None
    return row


def _does(guest: PortalGuest, kind: str, **given: Any) -> str:
    # While its memory is written QEMU answers nobody, which is known to be over a moment after it is.
    wait_until(lambda: _row(guest).answering, seconds=60)
    operation = ended(guest.ask(kind, **given))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    return operation.outcome


def _takes(guest: PortalGuest, name: str, mode: str, **given: Any) -> DomainSnapshot:
    """The snapshot's row, once the inventory has seen it."""
    _does(guest, "create_snapshot", name=name, mode=mode, **given)
    row: DomainSnapshot = wait_until(
        lambda: _row(guest).snapshots.filter(name=name, is_current=True).first(), seconds=60
    )
    return row


def _has(guest: PortalGuest, *names: str) -> None:
    """libvirt and our rows have these and no others."""
    listed = guest.portal.hosts[0].virsh("snapshot-list", guest.uuid, "--name").split()
    assert sorted(listed) == sorted(names)
    wait_until(lambda: set(_row(guest).snapshots.values_list("name", flat=True)) == set(names), seconds=60)


def _parents(guest: PortalGuest) -> dict[str, str]:
    lines = guest.portal.hosts[0].virsh("snapshot-list", guest.uuid, "--parent").splitlines()
    # Name, date, time, zone, state, parent.
    return {words[0]: (words[5] if len(words) > 5 else "") for words in map(str.split, lines) if words}


def _writes(guest: PortalGuest, pattern: int, path: str) -> None:
    guest.portal.hosts[0].run("qemu-io", "-f", "qcow2", "-c", f"write -P {pattern} 0 64k", path)


def _holds(guest: PortalGuest, pattern: int, path: str) -> bool:
    try:
        said = guest.portal.hosts[0].run("qemu-io", "-r", "-U", "-f", "qcow2", "-c", f"read -P {pattern} 0 64k", path)
    except LabError:
        return False
    return "Pattern verification failed" not in said and "read 65536/65536" in said


def _disk(guest: PortalGuest) -> str:
    return guest.portal.hosts[0].virsh("domblklist", guest.uuid).split()[1]


def _chain(guest: PortalGuest) -> list[str]:
    host = guest.portal.hosts[0]
    said = host.run("qemu-img", "info", "-U", "--backing-chain", "--output=json", _disk(guest))
    return [Path(image["filename"]).name for image in json.loads(said)]


def test_a_tree_of_five_is_gone_back_into_and_grows_a_branch(portal: Portal) -> None:
    """Each has another pattern on the disk; going back to the second brings that of the second back."""
    with _guest(portal, start=False) as guest:
        path = guest.lab_guest.disk_path
        for number in range(1, 5):
            _writes(guest, number, path)
            taken = _takes(guest, f"s{number}", "internal", description=f"pattern {number}")
        assert (taken.kind, taken.has_memory, taken.description) == ("internal", False, "pattern 4")
        assert _does(guest, "revert_snapshot", name="s2") == "It is back at “s2”."
        assert _holds(guest, 2, path)
        assert not _holds(guest, 4, path)
        wait_until(lambda: _row(guest).snapshots.filter(name="s2", is_current=True).exists(), seconds=60)
        _takes(guest, "s5", "internal")
        assert _parents(guest) == {"s1": "", "s2": "s1", "s3": "s2", "s4": "s3", "s5": "s2"}
        _does(guest, "describe_snapshot", name="s5", description="two\nlines & <more>")
        assert "two\nlines &amp; &lt;more&gt;" in portal.hosts[0].virsh("snapshot-dumpxml", guest.uuid, "s5")
        assert portal.hosts[0].virsh("snapshot-current", guest.uuid, "--name") == "s5"
        _does(guest, "delete_snapshot", name="s3", children=True)
        _has(guest, "s1", "s2", "s5")
        assert _holds(guest, 2, path)
        portal.hosts[0].run("qemu-img", "check", path)
        assert not OperationLock.objects.exists()


def test_one_with_memory_goes_on_where_it_was(portal: Portal) -> None:
    with _guest(portal, start=True) as guest:
        taken = _takes(guest, "running", "internal")
        assert (taken.has_memory, taken.state) == (True, "running")
        note = SnapshotNote.objects.get(name="running")
        assert (note.taken_by, note.created_at) == (portal.alice, taken.created_at)
        assert bytes(note.picture).startswith(b"\x89PNG")
        counted = guest.wait_until_it_counts()
        assert "with a new QEMU" not in _does(guest, "revert_snapshot", name="running", state="paused")
        guest.becomes(state="paused")
        portal.hosts[0].virsh("resume", guest.uuid)
        assert guest.wait_until_it_counts() <= counted + 1
        assert guest.lab_guest.boots() == 1
        _does(guest, "delete_snapshot", name="running")
        _has(guest)
        assert not SnapshotNote.objects.exists()


def test_external_ones_are_taken_and_deleted_under_a_running_guest_whose_data_stays(portal: Portal) -> None:
    with _guest(portal, start=False) as guest:
        base = guest.lab_guest.disk_path
        _writes(guest, 7, base)
        before = set(_files(portal))
        guest.portal.hosts[0].virsh("start", guest.uuid)
        guest.becomes(state="running")
        guest.wait_until_it_counts()
        first = _takes(guest, "before upgrade", "external")
        assert (first.kind, first.has_memory) == ("external", False)
        _takes(guest, "e2", "external_memory")
        overlay = "snapped-vda.before-upgrade.qcow2"
        assert _chain(guest) == ["snapped-vda.e2.qcow2", overlay, "snapped.qcow2"]
        assert set(_files(portal)) - before == {overlay, "snapped-vda.e2.qcow2", "snapped-memory.e2.save"}
        assert first.overlays == {"vda": str(Path(base).with_name(overlay))}
        wait_until(lambda: Volume.objects.present().filter(name=overlay, quarantine="").count() == 2, seconds=60)

        # The other kind would orphan all of that; and this libvirt cannot go back.
        with pytest.raises(NotPossible, match="outside of its disks"):
            guest.ask("create_snapshot", name="inside", mode="internal")
        with pytest.raises(NotPossible, match=r"libvirt 9\.10"):
            guest.ask("revert_snapshot", name="e2")
        assert "outside of its disks" in snapshot_plan(_row(guest)).why_not["internal"]

        _does(guest, "delete_snapshot", name="before upgrade")
        _has(guest, "e2")
        assert _chain(guest) == ["snapped-vda.e2.qcow2", "snapped.qcow2"]
        _does(guest, "delete_snapshot", name="e2")
        _has(guest)
        assert _chain(guest) == ["snapped.qcow2"]
        assert set(_files(portal)) == before
        guest.wait_until_it_counts()
        assert guest.lab_guest.boots() == 1
        assert _holds(guest, 7, base)
        wait_until(lambda: not Volume.objects.present().filter(name__startswith="snapped-").exists(), seconds=60)
        assert not Volume.objects.present().exclude(quarantine="").exists()


def test_kinds_that_others_have_mixed_are_left_alone_with_the_reason(portal: Portal) -> None:
    host = portal.hosts[0]
    with _guest(portal, start=False) as guest:
        host.virsh("snapshot-create-as", guest.uuid, "inside")
        overlay = Path(guest.lab_guest.disk_path).with_name("snapped-mixed.qcow2")
        host.virsh("snapshot-create-as", guest.uuid, "outside", "--disk-only", "--diskspec", f"vda,file={overlay}")
        wait_until(lambda: _row(guest).snapshots.count() == 2, seconds=60)
        with pytest.raises(NotPossible, match="without their base"):
            guest.ask("revert_snapshot", name="inside")
        with pytest.raises(NotPossible, match="inside the disk"):
            guest.ask("delete_snapshot", name="outside")
        with pytest.raises(NotPossible, match="moved on"):
            guest.ask("delete_snapshot", name="inside")
        # The rows may be older than what the host has: it is asked again.
        _row(guest).snapshots.filter(name="outside").delete()
        operation = ended(guest.ask("revert_snapshot", name="inside"))
        assert operation.state == OperationState.FAILED
        assert "without their base" in operation.outcome
        assert _disk(guest) == str(overlay)


def test_one_that_is_cancelled_leaves_nothing_and_one_whose_worker_dies_is_taken_all_the_same(
    portal: Portal, workers: dict[str, Worker]
) -> None:
    with _guest(portal, start=True) as guest:
        before = set(_files(portal))
        operation = guest.ask("create_snapshot", name="never", mode="external_memory")
        wait_for_operation(operation, _has_begun_to_take)
        # It may be over by then: all that can be asked is that nothing is left half-way.
        with suppress(NotPossible):
            request_cancel(Operation.objects.get(pk=operation.pk), user=portal.alice)
        operation = ended(operation)
        if operation.state == OperationState.SUCCEEDED:
            wait_until(lambda: _row(guest).snapshots.filter(name="never").exists(), seconds=60)
            _does(guest, "delete_snapshot", name="never")
        else:
            assert operation.state == OperationState.CANCELLED, operation.outcome
        _has(guest)
        assert set(_files(portal)) == before
        guest.wait_until_it_counts()

        operation = guest.ask("create_snapshot", name="kept", mode="external_memory")
        wait_for_operation(operation, _has_begun_to_take)
        workers["storage"].kill()
        workers["storage"].start()
        operation = ended(operation, seconds=150)
        assert operation.state == OperationState.SUCCEEDED, operation.outcome
        _has(guest, "kept")
        assert set(_files(portal)) - before == {"snapped-vda.kept.qcow2", "snapped-memory.kept.save"}
        assert SnapshotNote.objects.filter(name="kept").exists()
        guest.wait_until_it_counts()
        _does(guest, "delete_snapshot", name="kept")
        _has(guest)
        assert _chain(guest) == ["snapped.qcow2"]
        assert set(_files(portal)) == before


def _has_begun_to_take(operation: Operation) -> bool:
    return any(step["name"] == "take" for step in operation.steps)


def test_a_schedule_takes_what_is_due_once_and_keeps_the_newest_of_its_own(portal: Portal) -> None:
    """The clock is set: two days were missed, and then each day one is due."""
    with _guest(portal, start=False) as guest:
        _takes(guest, "by hand", "internal")
        now = timezone.now()
        values = {"prefix": "auto", "frequency": "daily", "every_hours": 1, "at_time": time(3), "weekday": 0}
        more = {"keep": 2, "mode": "internal", "quiesce": True, "enabled": True}
        schedule = add_schedule(portal.alice, _row(guest), values | more)
        for day in range(2, 6):
            _look_until_quiet(schedule, now + timedelta(days=day))
            _look_until_quiet(schedule, now + timedelta(days=day))
        wait_until(lambda: _row(guest).snapshots.count() == 3, seconds=60)
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
