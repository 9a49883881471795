"""Asking for operations: who may is checked here, and row, locks and audit are written in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisors import broadcast
from hypervisors.access import audit, can, require
from hypervisors.access.subjects import subject_of
from hypervisors.errors import Conflict, NotPossible, VmportalError
from hypervisors.models import Domain, Hypervisor, Operation
from hypervisors.operations.engine.delivery import deliver_soon
from hypervisors.operations.engine.locks import find_holder, release_locks, take_locks, why_busy
from hypervisors.operations.engine.messages import operation_change
from hypervisors.operations.engine.parents import BULK, child_ended, open_parent, settle_parent
from hypervisors.operations.engine.records import without_secrets
from hypervisors.operations.engine.registry import find_operation_type, kind_label, operation_type, types_for
from hypervisors.operations.engine.subjects import find_subject, lock_key, subject_key, subject_type_of
from hypervisors.operations.engine.types import OperationType
from hypervisors.states import OperationState

Requester = User | AnonymousUser


def request_operation(
    *,
    user: Requester,
    kind: str,
    subject: models.Model,
    parameters: Mapping[str, Any] | None = None,
    target_hypervisor: Hypervisor | None = None,
    parent: Operation | None = None,
) -> Operation:
    """File it and have it done.

    `parameters` are the fields of the kind's Parameters. Raises: errors.NotPermitted when the user may not,
    errors.Conflict when another operation holds the subject, errors.NotPossible when it cannot be done now.
    """
    found = operation_type(kind)
    require(user, found.privilege, subject, what=kind)
    return _filed(found, user, subject, dict(parameters or {}), target_hypervisor, parent)


def request_by_vmportal(*, kind: str, subject: models.Model, parameters: Mapping[str, Any] | None = None) -> Operation:
    """The same for what vmportal does of itself, as the second half of what somebody was allowed to ask for.

    Raises: errors.Conflict, errors.NotPossible.
    """
    return _filed(operation_type(kind), AnonymousUser(), subject, dict(parameters or {}), None, None)


def _filed(
    found: OperationType[Any],
    user: Requester,
    subject: models.Model,
    given: dict[str, Any],
    target_hypervisor: Hypervisor | None,
    parent: Operation | None,
) -> Operation:
    operation, keys = _prepared(found, user, subject, given, target_hypervisor)
    operation.parent = parent
    return _file(found, user, subject, operation, keys)


def request_by_system(*, kind: str, subject: models.Model, parameters: Mapping[str, Any] | None = None) -> Operation:
    """What vmportal does by itself, whoever may: asked for by nobody. Never call it for a person.

    Raises: errors.Conflict, errors.NotPossible.
    """
    found = operation_type(kind)
    nobody = AnonymousUser()
    operation, keys = _prepared(found, nobody, subject, dict(parameters or {}), None)
    return _file(found, nobody, subject, operation, keys)


def _file(
    found: OperationType[Any], user: Requester, subject: models.Model, operation: Operation, keys: tuple[str, ...]
) -> Operation:
    """Raises: errors.Conflict."""
    with transaction.atomic():
        superseded = _supersede(found, subject, user)
        _insert(operation, keys)
        _audit(user, operation)
        changes = [operation_change(gone) for gone in superseded] + [operation_change(operation, op="add")]
        transaction.on_commit(lambda: deliver_soon(operation.pk, operation.kind))
        transaction.on_commit(lambda: broadcast.publish(changes))
    return operation


@dataclass(frozen=True, kw_only=True)
class BulkRequest:
    """What came of asking many at once: the parent (None when all refused), and who was refused and why."""

    parent: Operation | None
    accepted: list[Operation] = field(default_factory=list)
    refusals: list[tuple[models.Model, str]] = field(default_factory=list)


def request_of_many(
    *, user: Requester, kind: str, subjects: Sequence[models.Model], parameters: Mapping[str, Any] | None = None
) -> BulkRequest:
    """One parent with a child for each that can be asked; the others are named with the reason.

    One child alone needs no parent.
    """
    found = operation_type(kind)
    if not found.in_bulk:
        raise NotPossible(_("“%(kind)s” can be asked of one at a time only.") % {"kind": found.label})
    possible: list[models.Model] = []
    refusals: list[tuple[models.Model, str]] = []
    for subject, reason in preflight(kind=kind, subjects=subjects, user=user).items():
        if reason:
            refusals.append((subject, reason))
            _audit_refusal(user, found, subject)
        else:
            possible.append(subject)
    if not possible:
        return BulkRequest(parent=None, refusals=refusals)
    with transaction.atomic():
        parent = open_parent(found, user, possible) if len(possible) > 1 else None
        accepted = []
        for subject in possible:
            try:
                accepted.append(
                    request_operation(user=user, kind=kind, subject=subject, parameters=parameters, parent=parent)
                )
            except (Conflict, NotPossible) as error:
                refusals.append((subject, str(error)))
        parent = settle_parent(parent, accepted, refusals)
    return BulkRequest(parent=parent, accepted=accepted, refusals=refusals)


def preflight(*, kind: str, subjects: Sequence[models.Model], user: Requester) -> dict[models.Model, str]:
    """For each subject why the user cannot ask it of it now; "" where they can.

    Three queries, however many there are.
    """
    found = operation_type(kind)
    holders = _holders(subjects)
    reasons = {}
    for subject in subjects:
        may = can(user, found.privilege, subject)
        reasons[subject] = _why_not(found, subject, holders.get(lock_key(subject))) if may else why_not_permitted()
    return reasons


def why_not_permitted() -> str:
    """Beside the actions on a virtual machine that somebody may see and not operate."""
    return _("You may look at this machine, but not operate it.")


def why_not(subject: models.Model, kind: str) -> str:
    """The reason why it cannot be done now; "" when it can. One query, and one for the hypervisor's row."""
    return _why_not(operation_type(kind), subject, find_holder([lock_key(subject)]))


def possible_kinds(subject: models.Model) -> dict[str, str]:
    """`why_not` for every kind on such a subject, with one query in all."""
    holder = find_holder([lock_key(subject)])
    return {found.kind: _why_not(found, subject, holder) for found in types_for(subject_type_of(subject).name)}


def request_cancel(operation: Operation, *, user: Requester) -> None:
    """End it at once while it is queued; ask its runner to end it while it runs. A parent's children are cancelled.

    Raises: errors.NotPermitted when the user may not ask for such either; errors.NotPossible when it is over, or of a
    kind that cannot be stopped once it runs.
    """
    if operation.kind == BULK:
        _cancel_children(operation, user)
    else:
        _cancel_one(operation, user)


def _cancel_one(operation: Operation, user: Requester, *, tell_parent: bool = True) -> None:
    _require_cancel(operation, user)
    with transaction.atomic():
        if _cancel_queued(operation, user, tell_parent=tell_parent):
            _audit(user, operation, what=f"cancel {operation.kind}")
            return
    operation.refresh_from_db()
    if operation.is_finished:
        raise NotPossible(_("It is over already: %(outcome)s") % {"outcome": operation.outcome})
    found = find_operation_type(operation.kind)
    if found is None or not found.can_be_cancelled:
        raise NotPossible(
            _("“%(kind)s” cannot be stopped once it has begun; it takes a moment only.")
            % {"kind": kind_label(operation.kind)}
        )
    operation.cancel_requested_at = operation.cancel_requested_at or timezone.now()
    wish = {"cancel_requested_at": operation.cancel_requested_at}
    Operation.objects.unfinished().filter(pk=operation.pk, cancel_requested_at=None).update(**wish)
    _audit(user, operation, what=f"cancel {operation.kind}")
    transaction.on_commit(lambda: broadcast.publish([operation_change(operation)]))
    # It may wait between two looks.
    transaction.on_commit(lambda: deliver_soon(operation.pk, operation.kind))


def _require_cancel(operation: Operation, user: Requester) -> None:
    """Raises: errors.NotPermitted."""
    found = find_operation_type(operation.kind)
    if found is not None:
        subject = find_subject(operation)
        require(user, found.privilege, operation if subject is None else subject, what=f"cancel {operation.kind}")


def _audit_refusal(user: Requester, found: OperationType[Any], subject: models.Model) -> None:
    """As `require` does for one alone: the others of a bulk request go on."""
    if not can(user, found.privilege, subject):
        about = subject_of(subject)
        audit.record(
            user,
            found.kind,
            subject_type=about.type,
            subject_key=about.key,
            subject_name=about.name,
            outcome="refused",
            detail=f"needs {found.privilege}",
        )


def _audit(user: Requester, operation: Operation, *, what: str = "") -> None:
    target = operation.target_hypervisor
    found = find_operation_type(operation.kind)
    parameters = dict(operation.parameters) if found is None else found.kept(operation.parameters)
    after = parameters | ({"target": target.name} if target is not None else {})
    audit.record(
        user,
        what or operation.kind,
        subject_type=operation.subject_type,
        subject_key=operation.subject_key,
        subject_name=operation.subject_name,
        after=after or None,
        detail=f"operation {operation.pk}",
    )


def _prepared(
    found: OperationType[Any],
    user: Requester,
    subject: models.Model,
    given: dict[str, Any],
    target_hypervisor: Hypervisor | None,
) -> tuple[Operation, tuple[str, ...]]:
    """The row, not saved, and the keys of its locks. Raises: errors.Conflict, errors.NotPossible."""
    subject_type = subject_type_of(subject)
    if subject_type.name != found.subject_type:
        raise NotPossible(_("“%(kind)s” cannot be asked of this.") % {"kind": found.label})
    holder = find_holder([lock_key(subject)])
    if holder is not None and holder.kind not in found.supersedes:
        raise Conflict(why_busy(holder))
    reason = found.why_not(subject)
    if reason:
        raise NotPossible(_("%(subject)s: %(reason)s") % {"subject": subject, "reason": reason})
    parameters = found.check(subject, given)
    for privilege, on in found.also_needs(subject, parameters):
        require(user, privilege, on, what=found.kind)
    operation = Operation(
        kind=found.kind,
        subject_type=subject_type.name,
        subject_key=subject_key(subject),
        subject_name=found.subject_name(subject, parameters)[:255],
        domain=subject if isinstance(subject, Domain) else None,
        hypervisor=subject_type.hypervisor(subject),
        target_hypervisor=found.check_target(subject, target_hypervisor),
        parameters=found.stored(parameters),
        requested_by=user if isinstance(user, User) else None,
    )
    return operation, found.locks(subject, parameters)


def _holders(subjects: Sequence[models.Model]) -> dict[str, Operation]:
    keys = {lock_key(subject) for subject in subjects}
    unfinished = Operation.objects.unfinished().filter(locks__key__in=keys).select_related("requested_by")
    return {lock.key: operation for operation in unfinished.prefetch_related("locks") for lock in operation.locks.all()}


def _why_not(found: OperationType[Any], subject: models.Model, holder: Operation | None) -> str:
    reason = found.why_not(subject)
    if holder is not None and holder.kind not in found.supersedes and not found.why_gone(subject):
        return why_busy(holder)
    return reason


def _insert(operation: Operation, keys: tuple[str, ...]) -> None:
    operation.save(force_insert=True)
    take_locks(operation, keys)


def _supersede(found: OperationType[Any], subject: models.Model, user: Requester) -> list[Operation]:
    """End what only waits for the guest and would keep this one waiting too."""
    if not found.supersedes:
        return []
    waiting = Operation.objects.unfinished().filter(locks__key=lock_key(subject), kind__in=found.supersedes)
    outcome = _("Superseded by “%(kind)s”, asked for by %(user)s.") % {
        "kind": found.label,
        "user": user.get_username(),
    }
    return [operation for operation in waiting if _end(operation, operation.state, outcome)]


def _cancel_queued(operation: Operation, user: Requester, *, tell_parent: bool) -> bool:
    outcome = _("Cancelled by %(user)s before it began.") % {"user": user.get_username()}
    if not _end(operation, OperationState.QUEUED, outcome, tell_parent=tell_parent):
        return False
    transaction.on_commit(lambda: broadcast.publish([operation_change(operation)]))
    return True


def _cancel_children(parent: Operation, user: Requester) -> None:
    """Whatever of it can still be stopped. Raises: errors.NotPossible when nothing can."""
    parent.refresh_from_db()
    if parent.is_finished:
        raise NotPossible(_("It is over already: %(outcome)s") % {"outcome": parent.outcome})
    refusals = []
    children = list(parent.children.unfinished())
    for child in children:
        try:
            _cancel_one(child, user, tell_parent=False)
        except VmportalError as error:
            refusals.append(str(error))
    # Once for all: it counts every child.
    child_ended(parent.pk)
    if children and len(refusals) == len(children):
        raise NotPossible(_("Nothing of it can be stopped any more: %(reason)s") % {"reason": refusals[0]})
    if refusals:
        # Shown while those that cannot be stopped run on.
        Operation.objects.filter(pk=parent.pk, cancel_requested_at=None).update(cancel_requested_at=timezone.now())


def _end(operation: Operation, state: str, outcome: str, *, tell_parent: bool = True) -> bool:
    """Cancel it unless its state changed meanwhile; its runner, if it has one, notices that it lost the row."""
    values = {"state": OperationState.CANCELLED, "outcome": outcome, "ended_at": timezone.now()}
    values |= without_secrets(operation)
    if not Operation.objects.filter(pk=operation.pk, state=state).update(**values):
        return False
    release_locks(operation)
    for name, value in values.items():
        setattr(operation, name, value)
    if operation.parent_id is not None and tell_parent:
        child_ended(operation.parent_id)
    return True
