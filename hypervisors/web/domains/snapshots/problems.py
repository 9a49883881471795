"""What every page of a machine needs to know of its snapshots."""

from django.db.models import Q
from django.utils.translation import gettext as _

from hypervisors.models import Domain, SnapshotSchedule

# Kinds with dialogs of their own.
SNAPSHOT_KINDS = ("create_snapshot", "revert_snapshot", "delete_snapshot", "describe_snapshot")


def schedule_problems(domain: Domain) -> list[dict[str, str]]:
    """`prefix` and `text` of its schedules that do not do what they should."""
    schedules = SnapshotSchedule.objects.filter(domain=domain, enabled=True).select_related("created_by")
    wrong = schedules.exclude(Q(problem="") & Q(without_right_since=None))
    return [{"prefix": one.prefix, "text": why_owner_may_not(one) or one.problem} for one in wrong]


def why_owner_may_not(schedule: SnapshotSchedule) -> str:
    """Why it takes none, as to whose right it runs by; "" while they may."""
    if schedule.without_right_since is None:
        return ""
    owner = schedule.created_by
    name = owner.get_username() if owner is not None else schedule.owner_name or "?"
    if owner is None:
        text = _("It takes none: “%(name)s”, by whose right it ran, has no account any more.")
    elif not owner.is_active:
        text = _("It takes none: the account of “%(name)s”, by whose right it ran, is disabled.")
    else:
        text = _("It takes none: “%(name)s”, by whose right it ran, may not take snapshots of this machine any more.")
    return text % {"name": name}
