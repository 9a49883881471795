"""Schedules: what is due is asked for once, failures are said and not repeated, and only their own snapshots go."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from hypervisors.administration.snapshot_schedules import take_over_schedule
from hypervisors.errors import NotPermitted
from hypervisors.models import (
    Domain,
    DomainSnapshot,
    Operation,
    OperationLock,
    RoleBinding,
    SnapshotNote,
    SnapshotSchedule,
)
from hypervisors.operations.domains.snapshotting.schedule_owners import look_at_owners
from hypervisors.operations.domains.snapshotting.scheduling import look_after_schedules
from hypervisors.states import DomainState, OperationState
from tests.roles import bind
from tests.rows import define, domain_xml, make_operation

pytestmark = pytest.mark.usefixtures("redis_client", "transactional_db")


@pytest.fixture
def schedule(alice: User, domain: Domain) -> SnapshotSchedule:
    """Due since an hour, by alice's right."""
    Domain.objects.filter(pk=domain.pk).update(has_snapshots=True)
    define(domain, inactive_xml=domain_xml("/images/a.qcow2"))
    return SnapshotSchedule.objects.create(
        domain=domain,
        created_by=alice,
        owner_name="alice",
        prefix="auto",
        frequency="hours",
        every_hours=1,
        keep=2,
        mode="internal",
        next_run_at=timezone.now() - timedelta(hours=1),
    )


def _ends(state: str, outcome: str = "") -> None:
    """What is under way."""
    Operation.objects.unfinished().update(state=state, outcome=outcome, ended_at=timezone.now())
    OperationLock.objects.all().delete()


def _own(schedule: SnapshotSchedule, name: str, minutes: int, **fields: Any) -> DomainSnapshot:
    at = timezone.now() - timedelta(minutes=minutes)
    SnapshotNote.objects.create(domain=schedule.domain, name=name, created_at=at, schedule=schedule)
    values = {"kind": "internal", "created_at": at} | fields
    return DomainSnapshot.objects.create(domain=schedule.domain, name=name, **values)


def test_what_was_missed_is_taken_once(schedule: SnapshotSchedule) -> None:
    look_after_schedules()
    look_after_schedules()
    operation = Operation.objects.get()
    assert (operation.kind, operation.requested_by) == ("create_snapshot", None)
    assert operation.parameters["name"].startswith("auto-2")
    assert operation.parameters["schedule_id"] == schedule.pk
    schedule.refresh_from_db()
    assert timezone.now() < schedule.next_run_at <= timezone.now() + timedelta(hours=1)
    assert schedule.operation == operation


def test_what_is_switched_off_or_gone_takes_none(schedule: SnapshotSchedule) -> None:
    SnapshotSchedule.objects.update(enabled=False)
    look_after_schedules()
    SnapshotSchedule.objects.update(enabled=True)
    Domain.objects.update(vanished_at=timezone.now())
    look_after_schedules()
    assert not Operation.objects.exists()


def test_a_failure_is_said_and_not_repeated_before_the_next_time(schedule: SnapshotSchedule) -> None:
    look_after_schedules()
    _ends(OperationState.FAILED, "The disk is full.")
    look_after_schedules()
    look_after_schedules()
    schedule.refresh_from_db()
    assert (schedule.problem, schedule.operation) == ("The disk is full.", None)
    assert Operation.objects.count() == 1
    look_after_schedules(schedule.next_run_at + timedelta(seconds=1))
    assert Operation.objects.count() == 2
    _ends(OperationState.SUCCEEDED)
    look_after_schedules()
    schedule.refresh_from_db()
    assert schedule.problem == ""


def test_what_cannot_be_taken_is_said(schedule: SnapshotSchedule) -> None:
    Domain.objects.update(has_managed_save=True)
    look_after_schedules()
    schedule.refresh_from_db()
    assert "saved state" in schedule.problem
    assert schedule.next_run_at > timezone.now()
    assert not Operation.objects.exists()


def test_a_machine_that_is_busy_is_tried_again_soon(schedule: SnapshotSchedule) -> None:
    make_operation(domain=schedule.domain, hypervisor=schedule.domain.hypervisor, kind="migrate", state="running")
    now = timezone.now()
    look_after_schedules(now)
    schedule.refresh_from_db()
    assert "Not yet" in schedule.problem
    assert schedule.next_run_at <= now + timedelta(minutes=5)
    OperationLock.objects.all().delete()
    Operation.objects.all().delete()
    look_after_schedules(schedule.next_run_at)
    assert Operation.objects.get().kind == "create_snapshot"


def _loses_it(how: str, owner: User) -> None:
    if how == "deleted":
        owner.delete()
    elif how == "disabled":
        User.objects.filter(pk=owner.pk).update(is_active=False)
    else:
        RoleBinding.objects.filter(user=owner).delete()


@pytest.mark.parametrize("how", ["deleted", "disabled", "not bound any more"])
def test_whose_owner_may_not_any_more_takes_and_deletes_none(
    schedule: SnapshotSchedule, alice: User, bob: User, domain: Domain, how: str
) -> None:
    owner = User.objects.create_user("erin", password="erin-has-one-machine")
    bind(owner, "operator", domain, granted_by=alice)
    SnapshotSchedule.objects.update(created_by=owner, owner_name="erin", keep=1, tidies=True)
    look_at_owners()
    schedule.refresh_from_db()
    assert schedule.without_right_since is None
    for minutes in (50, 40):
        _own(schedule, f"auto-{minutes}", minutes)
    _loses_it(how, owner)
    look_after_schedules()
    assert not Operation.objects.exists()
    schedule.refresh_from_db()
    assert schedule.without_right_since is not None
    assert schedule.next_run_at > timezone.now()
    with pytest.raises(NotPermitted):
        take_over_schedule(bob, schedule)
    take_over_schedule(alice, schedule)
    look_after_schedules(schedule.next_run_at + timedelta(seconds=1))
    assert {one.kind for one in Operation.objects.all()} & {"create_snapshot", "delete_snapshot"}
    schedule.refresh_from_db()
    assert (schedule.owner_name, schedule.created_by, schedule.without_right_since) == ("alice", alice, None)


def test_that_a_right_is_gone_is_noted_with_its_time_and_forgotten_when_it_is_back(
    schedule: SnapshotSchedule, alice: User
) -> None:
    SnapshotSchedule.objects.update(next_run_at=timezone.now() + timedelta(days=1))
    User.objects.filter(pk=alice.pk).update(is_active=False)
    look_at_owners()
    schedule.refresh_from_db()
    since = schedule.without_right_since
    look_at_owners()
    schedule.refresh_from_db()
    assert schedule.without_right_since == since is not None
    User.objects.filter(pk=alice.pk).update(is_active=True)
    look_at_owners()
    schedule.refresh_from_db()
    assert schedule.without_right_since is None


def _tidies(schedule: SnapshotSchedule) -> list[str]:
    """The names that are deleted one after the other, until it is content."""
    SnapshotSchedule.objects.update(tidies=True, next_run_at=timezone.now() + timedelta(hours=1))
    deleted: list[str] = []
    for _ in range(9):
        look_after_schedules()
        schedule.refresh_from_db()
        if schedule.operation is None:
            break
        name = schedule.operation.parameters["name"]
        assert schedule.operation.kind == "delete_snapshot"
        deleted.append(name)
        DomainSnapshot.objects.filter(name=name).delete()
        SnapshotNote.objects.filter(name=name).delete()
        _ends(OperationState.SUCCEEDED)
    assert not schedule.tidies
    return deleted


def test_the_oldest_of_its_own_go_and_nothing_else(schedule: SnapshotSchedule) -> None:
    for minutes in (50, 40, 30, 20):
        _own(schedule, f"auto-{minutes}", minutes)
    DomainSnapshot.objects.create(domain=schedule.domain, name="auto-by-hand", kind="internal", created_at=_ago(99))
    # Of this name the schedule took one once; this is another.
    _own(schedule, "auto-60", 60)
    SnapshotNote.objects.filter(name="auto-60").update(created_at=_ago(600), noted_at=_ago(600))
    assert _tidies(schedule) == ["auto-50", "auto-40"]
    schedule.refresh_from_db()
    assert schedule.problem == ""


def test_one_that_others_need_stays_with_the_reason(schedule: SnapshotSchedule) -> None:
    """Off, and outside of the disks: only the newest can be deleted."""
    _own(schedule, "e1", 50, kind="external")
    _own(schedule, "e2", 40, kind="external", parent_name="e1")
    _own(schedule, "e3", 30, kind="external", parent_name="e2")
    assert _tidies(schedule) == []
    assert "“e1” is too old, and stays." in schedule.problem
    Domain.objects.update(state=DomainState.RUNNING)
    assert _tidies(schedule) == ["e1"]


def test_what_was_just_taken_counts_before_it_is_read(schedule: SnapshotSchedule) -> None:
    _own(schedule, "old", 50)
    _own(schedule, "newer", 40)
    SnapshotNote.objects.create(domain=schedule.domain, name="new", created_at=timezone.now(), schedule=schedule)
    assert _tidies(schedule) == ["old"]


def _ago(minutes: int) -> datetime:
    return timezone.now() - timedelta(minutes=minutes)
