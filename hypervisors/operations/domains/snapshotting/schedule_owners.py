"""By whose right a schedule takes snapshots: it takes none when that is gone, until somebody who may takes it over."""

from collections import defaultdict
from datetime import datetime

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone

from hypervisors.access import can, permitted
from hypervisors.broadcast import Change, publish
from hypervisors.models import Domain, SnapshotSchedule
from hypervisors.privileges import Privilege


def look_at_owners() -> None:
    """Note of each schedule whether its owner may, and since when not."""
    by_owner: dict[int | None, list[SnapshotSchedule]] = defaultdict(list)
    present = SnapshotSchedule.objects.filter(domain__vanished_at=None)
    for schedule in present.select_related("created_by", "domain"):
        by_owner[schedule.created_by_id].append(schedule)
    for schedules in by_owner.values():
        domains = Domain.objects.filter(pk__in={one.domain_id for one in schedules})
        owner = schedules[0].created_by or AnonymousUser()
        allowed = set(permitted(owner, Privilege.DOMAIN_SNAPSHOT, domains).values_list("pk", flat=True))
        for schedule in schedules:
            _note(schedule, may=schedule.domain_id in allowed)


def owner_may(schedule: SnapshotSchedule) -> bool:
    """Whether they may now; noted where that is new."""
    may = can(schedule.created_by or AnonymousUser(), Privilege.DOMAIN_SNAPSHOT, schedule.domain)
    _note(schedule, may=may)
    return may


def _note(schedule: SnapshotSchedule, *, may: bool) -> None:
    if may == (schedule.without_right_since is None):
        return
    since: datetime | None = None if may else timezone.now()
    rows = SnapshotSchedule.objects.filter(pk=schedule.pk, created_by=schedule.created_by_id)
    if rows.update(without_right_since=since):
        schedule.without_right_since = since
        change = Change(what="domain", id=str(schedule.domain.uuid), fields={"snapshot_schedules": True})
        transaction.on_commit(lambda: publish([change]))
