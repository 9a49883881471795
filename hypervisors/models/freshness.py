"""How old what is shown of a host may be: one signal for lists, tree, pages and sockets.

A host's rows are true while the watcher that leads its pool speaks, and the host is enabled and answers.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.db.models import BooleanField, Case, Q, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from hypervisors.models.hypervisors import Hypervisor
from hypervisors.states import AdminState, HypervisorStatus

# A lease is renewed every two seconds and lasts eight: after as many more nobody leads the pool.
_GRACE = timedelta(seconds=2)
# A pool that was made just now has no watcher yet.
_NEW = timedelta(seconds=15)

Why = Literal["watcher", "disabled", "away"]


@dataclass(frozen=True, kw_only=True)
class StaleHost:
    """A host whose rows may be old. `since_epoch`: seconds since 1970 of the last word of it; 0 when there was none."""

    hypervisor_id: int
    since_epoch: int
    why: Why


def stale_hosts() -> list[StaleHost]:
    """Those of which the truth is not known now. One query.

    The watcher that is away comes first: what it last said of a host's status is as old as the rest.
    """
    is_watched = Q(hypervisor_pool__watcher_lease__expires_at__gt=Now() - _GRACE)
    is_new = Q(hypervisor_pool__created_at__gt=timezone.now() - _NEW)
    flag = Case(When(is_watched | is_new, then=Value(True)), default=Value(False), output_field=BooleanField())
    rows = Hypervisor.objects.order_by("pk").annotate(watched=flag)
    found = rows.values_list("pk", "watched", "admin_state", "status", "seen_at", "admin_state_since")
    return [
        StaleHost(hypervisor_id=pk, since_epoch=_epoch(since if why == "disabled" and since else seen_at), why=why)
        for pk, watched, admin_state, status, seen_at, since in found
        if (why := _why(watched=watched, admin_state=admin_state, status=status))
    ]


def _why(*, watched: bool, admin_state: str, status: str) -> Why | None:
    if admin_state == AdminState.DISABLED:
        return "disabled"
    if not watched:
        return "watcher"
    return None if status == HypervisorStatus.ONLINE else "away"


def _epoch(moment: datetime | None) -> int:
    return int(moment.timestamp()) if moment else 0
