"""Parents: one request that many operations are part of, with one bar and one outcome.

A parent does nothing itself. Its row follows its children: each that ends brings it up to date in its own transaction.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hypervisors import broadcast
from hypervisors.models import Operation
from hypervisors.operations.engine.messages import operation_change
from hypervisors.operations.engine.types import OperationType
from hypervisors.states import UNFINISHED_OPERATION_STATES, OperationState

# The kind of parents, and what stands for the subject of one: see operations/bulk/bulk.py.
BULK = "bulk"
SEVERAL = "several"

_FAILED_STATES = (OperationState.FAILED, OperationState.INTERRUPTED)


def open_parent(
    found: OperationType[Any], user: User | AnonymousUser, subjects: Sequence[models.Model], *, name: str = ""
) -> Operation:
    """A parent that runs from now on; its children are filed next, in the same transaction.

    `name`: what history calls them together, where counting the subjects does not say it.
    """
    now = timezone.now()
    parent = Operation.objects.create(
        kind=BULK,
        subject_type=SEVERAL,
        subject_name=name or _count_of(subjects),
        parameters={"kind": found.kind},
        requested_by=user if isinstance(user, User) else None,
        state=OperationState.RUNNING,
        requested_at=now,
        started_at=now,
        heartbeat_at=now,
        progress=_progress(Counter({OperationState.QUEUED: len(subjects)})),
    )
    _publish(parent, op="add")
    return parent


def settle_parent(
    parent: Operation | None, accepted: Sequence[Operation], refusals: Sequence[tuple[models.Model | str, str]]
) -> Operation | None:
    """The parent once all of its children are filed; None where there is none, or nothing was accepted after all.

    `refusals`: what was refused, or what it is called, and why.
    """
    if parent is None:
        return None
    if not accepted:
        parent.delete()
        return None
    if refusals:
        parent.parameters |= {"refused": [{"name": str(subject), "reason": reason} for subject, reason in refusals]}
        parent.save(update_fields=["parameters"])
    child_ended(parent.pk)
    return parent


def child_ended(parent_id: Any) -> None:
    """Bring the parent up to date; it ends with its last child. Call in the transaction that ends the child."""
    with transaction.atomic():
        # Two children that end at the same moment must not each take the other for unfinished.
        parent = Operation.objects.select_for_update().filter(pk=parent_id, kind=BULK).first()
        if parent is None or parent.is_finished:
            return
        counts = Counter(parent.children.values_list("state", flat=True))
        parent.progress, parent.heartbeat_at = _progress(counts), timezone.now()
        if not any(counts[state] for state in UNFINISHED_OPERATION_STATES):
            parent.state, parent.outcome = _outcome(parent, counts)
            parent.ended_at = timezone.now()
        parent.save(update_fields=["progress", "heartbeat_at", "state", "outcome", "ended_at"])
        _publish(parent)


def end_parents_left_open() -> int:
    """Parents whose last child ended without telling them (its process died in between); how many there were."""
    open_parents = Operation.objects.filter(kind=BULK).unfinished()
    busy = Operation.objects.unfinished().exclude(parent=None).values("parent")
    left = list(open_parents.exclude(pk__in=busy).values_list("pk", flat=True)[:100])
    for pk in left:
        child_ended(pk)
    return len(left)


def _progress(counts: Counter[str]) -> dict[str, Any]:
    total = sum(counts.values())
    failed = sum(counts[state] for state in _FAILED_STATES)
    over = total - sum(counts[state] for state in UNFINISHED_OPERATION_STATES)
    return {
        "percent": round(100 * over / total) if total else 100,
        "children": {"total": total, "done": over - failed - counts[OperationState.CANCELLED], "failed": failed},
    }


def _outcome(parent: Operation, counts: Counter[str]) -> tuple[OperationState, str]:
    done, cancelled = counts[OperationState.SUCCEEDED], counts[OperationState.CANCELLED]
    failed = sum(counts[state] for state in _FAILED_STATES)
    refused = len(parent.parameters.get("refused", ()))
    parts = {
        _("%(count)d done"): done,
        _("%(count)d failed"): failed,
        _("%(count)d cancelled"): cancelled,
        _("%(count)d refused"): refused,
    }
    text = ", ".join(words % {"count": count} for words, count in parts.items() if count)
    if failed:
        return OperationState.FAILED, f"{text}."
    return (OperationState.CANCELLED if cancelled and not done else OperationState.SUCCEEDED), f"{text}."


def _count_of(subjects: Sequence[models.Model]) -> str:
    """ "12 virtual machines"."""
    meta = subjects[0]._meta
    words = {
        "domain": ngettext("%d virtual machine", "%d virtual machines", len(subjects)),
        "hypervisor": ngettext("%d host", "%d hosts", len(subjects)),
    }
    fallback = ngettext("%d object", "%d objects", len(subjects))
    return words.get(str(meta.model_name), fallback) % len(subjects)


def _publish(parent: Operation, op: Any = "update") -> None:
    transaction.on_commit(lambda: broadcast.publish([operation_change(parent, op=op)]))
