"""Locks of operations: taken in the request's transaction, let go of with the end of the row."""

from collections.abc import Iterable
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from hypervisors.errors import Conflict
from hypervisors.models import Operation, OperationLock
from hypervisors.operations.engine.registry import find_operation_type, kind_label
from hypervisors.states import OperationState


def take_locks(operation: Operation, keys: Iterable[str]) -> None:
    """For a saved operation, in its transaction. Raises: errors.Conflict, which says who holds one of them."""
    # In order, so that two requests that want the same ones cannot wait for each other.
    keys = sorted(set(keys))
    try:
        with transaction.atomic():
            for key in keys:
                OperationLock.objects.create(key=key, operation=operation)
    except IntegrityError as error:
        holder = find_holder(keys)
        if holder is None:
            raise Conflict(_("Somebody else just did something to it; try again.")) from error
        raise Conflict(why_busy(holder)) from error


def release_locks(operation: Operation) -> None:
    """In the transaction that ends the row."""
    OperationLock.objects.filter(operation=operation).delete()


def find_holder(keys: Iterable[str]) -> Operation | None:
    """The operation that holds one of the keys."""
    locks = OperationLock.objects.filter(key__in=list(keys)).select_related("operation__requested_by")
    lock = locks.order_by("taken_at").first()
    return lock.operation if lock else None


def why_busy(operation: Operation) -> str:
    """Who holds the subject, with what and since when, and what to do about it."""
    texts = {
        OperationState.QUEUED: _("“%(kind)s”, asked for by %(user)s at %(time)s, is waiting to be done on %(name)s."),
        OperationState.RUNNING: _("“%(kind)s”, asked for by %(user)s at %(time)s, is still running on %(name)s."),
    }
    text = texts.get(OperationState(operation.state), texts[OperationState.RUNNING]) % {
        "kind": kind_label(operation.kind),
        "user": operation.requested_by.get_username() if operation.requested_by else _("somebody"),
        "time": clock(operation.requested_at),
        "name": operation.subject_name,
    }
    found = find_operation_type(operation.kind)
    can_be_cancelled = operation.state == OperationState.QUEUED or (found is not None and found.can_be_cancelled)
    advice = _("Wait for it, or cancel it in the task list.") if can_be_cancelled else _("Wait for it to end.")
    return f"{text} {advice}"


def clock(moment: datetime) -> str:
    """ "14:03", with the date when that was not today."""
    local = timezone.localtime(moment)
    time = date_format(local, "H:i")
    return time if local.date() == timezone.localdate() else f"{date_format(local, 'Y-m-d')} {time}"
