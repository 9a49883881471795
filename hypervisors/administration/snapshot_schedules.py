"""When vmportal takes snapshots of a machine by itself: a wish of people, which no host knows."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisors.access import audit, require
from hypervisors.broadcast import Change, publish
from hypervisors.errors import NotPossible
from hypervisors.models import Domain, SnapshotSchedule
from hypervisors.privileges import Privilege

# More are seldom meant, and each takes room.
MOST_SCHEDULES = 10
_FIELDS = ("prefix", "frequency", "every_hours", "at_time", "weekday", "keep", "mode", "quiesce", "enabled")


def add_schedule(actor: User, domain: Domain, values: Mapping[str, Any]) -> SnapshotSchedule:
    """`values`: checked values of its fields. Raises: errors.NotPermitted, NotPossible."""
    require(actor, Privilege.DOMAIN_SNAPSHOT, domain, what="add snapshot schedule")
    if domain.is_template:
        raise NotPossible(_("It is a template, which does not change."))
    if domain.snapshot_schedules.count() >= MOST_SCHEDULES:
        raise NotPossible(_("It has %(count)d schedules already.") % {"count": MOST_SCHEDULES})
    schedule = SnapshotSchedule(domain=domain, next_run_at=timezone.now())
    _own(schedule, actor)
    _save(actor, schedule, values, what="add snapshot schedule")
    return schedule


def change_schedule(actor: User, schedule: SnapshotSchedule, values: Mapping[str, Any]) -> None:
    """It is due anew from now on, and what was wrong is forgotten. Raises: errors.NotPermitted, NotPossible.

    One whose owner may not any more is theirs then.
    """
    require(actor, Privilege.DOMAIN_SNAPSHOT, schedule.domain, what="change snapshot schedule")
    if schedule.without_right_since is not None:
        _own(schedule, actor)
    _save(actor, schedule, values, what="change snapshot schedule")


def take_over_schedule(actor: User, schedule: SnapshotSchedule) -> None:
    """From now on it runs by their right; what was missed is not made up for. Raises: errors.NotPermitted."""
    what = "take over snapshot schedule"
    require(actor, Privilege.DOMAIN_SNAPSHOT, schedule.domain, what=what)
    before = _as_json(schedule)
    _own(schedule, actor)
    schedule.next_run_at = schedule.next_after(timezone.now())
    with transaction.atomic():
        schedule.save(update_fields=["created_by", "owner_name", "without_right_since", "next_run_at"])
        _record(actor, schedule, what, before=before, after=_as_json(schedule))


def remove_schedule(actor: User, schedule: SnapshotSchedule) -> None:
    """Its snapshots stay. Raises: errors.NotPermitted."""
    what = "remove snapshot schedule"
    require(actor, Privilege.DOMAIN_SNAPSHOT, schedule.domain, what=what)
    with transaction.atomic():
        _record(actor, schedule, what, before=_as_json(schedule), after=None)
        schedule.delete()


def _own(schedule: SnapshotSchedule, actor: User) -> None:
    schedule.created_by, schedule.owner_name = actor, actor.get_username()
    schedule.without_right_since = None


def _save(actor: User, schedule: SnapshotSchedule, values: Mapping[str, Any], *, what: str) -> None:
    before = _as_json(schedule) if schedule.pk else None
    for name in _FIELDS:
        setattr(schedule, name, values[name])
    schedule.next_run_at = schedule.next_after(timezone.now())
    schedule.problem = ""
    try:
        with transaction.atomic():
            schedule.save()
            _record(actor, schedule, what, before=before, after=_as_json(schedule))
    except IntegrityError as error:
        raise NotPossible(
            _("It has a schedule whose names begin with “%(prefix)s” already.") % {"prefix": schedule.prefix}
        ) from error


def _record(
    actor: User, schedule: SnapshotSchedule, what: str, *, before: dict[str, str] | None, after: dict[str, str] | None
) -> None:
    domain = schedule.domain
    audit.record(
        actor,
        what,
        subject_type="domain",
        subject_key=str(domain.uuid),
        subject_name=domain.name,
        before=before,
        after=after,
    )
    change = Change(what="domain", id=str(domain.uuid), fields={"snapshot_schedules": True})
    transaction.on_commit(lambda: publish([change]))


def _as_json(schedule: SnapshotSchedule) -> dict[str, str]:
    return {name: str(getattr(schedule, name)) for name in (*_FIELDS, "owner_name")}
