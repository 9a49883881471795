"""Asking for operations: the row is written in the request's transaction and is the lock; then it is queued."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisors import broadcast
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import Domain, Hypervisor, Operation
from hypervisors.operations.domains.migration_targets import find_migration_target
from hypervisors.operations.domains.names import checked_name, checked_text
from hypervisors.operations.engine.delivery import deliver_soon
from hypervisors.operations.engine.kinds import KIND_FACTS, kind_label
from hypervisors.operations.engine.messages import operation_change
from hypervisors.operations.engine.possibilities import find_unfinished_operation, possible_kinds, why_busy, why_not
from hypervisors.states import OperationKind, OperationState

__all__ = ["possible_kinds", "request_cancel", "request_operation", "why_not"]

MAX_TITLE_LENGTH = 255
MAX_DESCRIPTION_LENGTH = 8000


def request_operation(
    *,
    user: User | AnonymousUser,
    domain: Domain,
    kind: OperationKind,
    parameters: Mapping[str, Any] | None = None,
    target_hypervisor: Hypervisor | None = None,
) -> Operation:
    """File it and have it done. Whether the user may is for the caller to check.

    Parameters: rename {"name"}, set_autostart {"enabled"}, describe {"title", "description"}, start {"paused"},
    shut_down and reboot {"timeout_seconds"}. Raises: errors.Conflict when another operation holds the domain,
    errors.NotPossible when it cannot be done now.
    """
    unfinished = find_unfinished_operation(domain)
    if unfinished is not None and OperationKind(unfinished.kind) not in KIND_FACTS[kind].supersedes:
        raise Conflict(why_busy(unfinished))
    reason = why_not(domain, kind)
    if reason:
        raise NotPossible(_("%(domain)s: %(reason)s") % {"domain": domain.name, "reason": reason})
    operation = Operation(
        kind=kind,
        domain=domain,
        domain_name=domain.name,
        hypervisor=domain.hypervisor,
        parameters=_checked_parameters(domain, kind, dict(parameters or {})),
        target_hypervisor=_checked_target(domain, kind, target_hypervisor),
        requested_by=user if isinstance(user, User) else None,
    )
    with transaction.atomic():
        superseded = _supersede(domain, kind, user)
        _insert(operation)
        changes = [operation_change(gone) for gone in superseded] + [operation_change(operation, op="add")]
        transaction.on_commit(lambda: deliver_soon(operation.pk, kind))
        transaction.on_commit(lambda: broadcast.publish(changes))
    return operation


def request_cancel(operation: Operation, *, user: User | AnonymousUser) -> None:
    """End it at once while it is queued; ask its runner to end it while it runs.

    Raises: errors.NotPossible when it is over, or of a kind that cannot be stopped once it runs.
    """
    if _cancel_queued(operation, user):
        return
    operation.refresh_from_db()
    if operation.is_finished:
        raise NotPossible(_("It is over already: %(outcome)s") % {"outcome": operation.outcome})
    if not KIND_FACTS[OperationKind(operation.kind)].can_be_cancelled:
        raise NotPossible(
            _("“%(kind)s” cannot be stopped once it has begun; it takes a moment only.")
            % {"kind": kind_label(operation.kind)}
        )
    operation.cancel_requested_at = operation.cancel_requested_at or timezone.now()
    wish = {"cancel_requested_at": operation.cancel_requested_at}
    Operation.objects.unfinished().filter(pk=operation.pk, cancel_requested_at=None).update(**wish)
    transaction.on_commit(lambda: broadcast.publish([operation_change(operation)]))
    # It may wait between two looks.
    transaction.on_commit(lambda: deliver_soon(operation.pk, operation.kind))


def _cancel_queued(operation: Operation, user: User | AnonymousUser) -> bool:
    outcome = _("Cancelled by %(user)s before it began.") % {"user": user.get_username()}
    if not _end(operation, OperationState.QUEUED, outcome):
        return False
    transaction.on_commit(lambda: broadcast.publish([operation_change(operation)]))
    return True


def _supersede(domain: Domain, kind: OperationKind, user: User | AnonymousUser) -> list[Operation]:
    """End what only waits for the guest and would keep this one waiting too."""
    waiting = Operation.objects.unfinished().filter(domain=domain, kind__in=KIND_FACTS[kind].supersedes)
    outcome = _("Superseded by “%(kind)s”, asked for by %(user)s.") % {
        "kind": kind_label(kind),
        "user": user.get_username(),
    }
    return [operation for operation in waiting if _end(operation, operation.state, outcome)]


def _end(operation: Operation, state: str, outcome: str) -> bool:
    """Cancel it unless its state changed meanwhile; its runner, if it has one, notices that it lost the row."""
    values = {"state": OperationState.CANCELLED, "outcome": outcome, "ended_at": timezone.now()}
    if not Operation.objects.filter(pk=operation.pk, state=state).update(**values):
        return False
    for name, value in values.items():
        setattr(operation, name, value)
    return True


def _insert(operation: Operation) -> None:
    try:
        with transaction.atomic():
            operation.save(force_insert=True)
    except IntegrityError as error:
        holder = find_unfinished_operation(operation.domain)
        if holder is None:
            raise Conflict(_("Somebody else just did something to it; try again.")) from error
        raise Conflict(why_busy(holder)) from error


def _checked_parameters(domain: Domain, kind: OperationKind, given: dict[str, Any]) -> dict[str, Any]:
    match kind:
        case OperationKind.RENAME:
            return {"name": checked_name(given.get("name"), domain)}
        case OperationKind.SET_AUTOSTART:
            return {"enabled": bool(given.get("enabled"))}
        case OperationKind.START:
            return {"paused": True} if given.get("paused") else {}
        case OperationKind.SHUT_DOWN | OperationKind.REBOOT:
            return {"timeout_seconds": _checked_timeout(given["timeout_seconds"])} if "timeout_seconds" in given else {}
        case OperationKind.DESCRIBE:
            return _checked_description(domain, given)
        case _:
            return {}


def _checked_timeout(seconds: object) -> float:
    if not isinstance(seconds, int | float) or not 1 <= seconds <= 3600:
        raise NotPossible(_("The time to wait for the guest must be between 1 second and an hour."))
    return seconds


def _checked_description(domain: Domain, given: dict[str, Any]) -> dict[str, str]:
    title, description = given.get("title", domain.title), given.get("description", domain.description)
    return {
        "title": checked_text(title, multiline=False, max_length=MAX_TITLE_LENGTH, what=_("title")),
        "description": checked_text(
            description, multiline=True, max_length=MAX_DESCRIPTION_LENGTH, what=_("description")
        ),
    }


def _checked_target(domain: Domain, kind: OperationKind, target: Hypervisor | None) -> Hypervisor | None:
    if kind != OperationKind.MIGRATE:
        return None
    if target is None:
        raise NotPossible(_("Choose the host that it is to move to."))
    found = find_migration_target(domain, target)
    if found is None:
        raise NotPossible(_("%(host)s does not belong to the same pool.") % {"host": target.name})
    if found.obstacles:
        raise NotPossible(
            _("%(domain)s cannot move to %(host)s: %(obstacles)s")
            % {"domain": domain.name, "host": target.name, "obstacles": " ".join(found.obstacles)}
        )
    return target
