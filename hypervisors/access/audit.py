"""The audit: one row, and one line in the log `vmportal.audit`, for what a person did or was refused.

The row is written in the transaction of the change, so that both happen or neither. That of a refusal, which ends
the transaction it comes from, waits for the end of the request.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any, Literal

from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error as DatabaseError
from django.db import connection, transaction

from hypervisors.access.origin import current_origin
from hypervisors.models.access import AuditRecord
from hypervisors.models.hypervisor_pools import HypervisorPool
from hypervisors.models.hypervisors import Hypervisor
from hypervisors.models.rights import Requester

logger = logging.getLogger("vmportal.audit")


def record(
    actor: Requester | None,
    action: str,
    *,
    subject_type: str = "",
    subject_key: str = "",
    subject_name: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    outcome: Literal["done", "refused", "failed"] = "done",
    detail: str = "",
) -> None:
    """Note it. Never raises, and never pass a secret: what cannot be stored stands in the log all the same.

    `actor` is None for what nobody signed in for: the command line, a failed sign-in.
    """
    origin = current_origin()
    row = AuditRecord(
        actor=actor if isinstance(actor, User) and actor.pk else None,
        actor_name=_text(actor.get_username(), 150) if isinstance(actor, User) else "",
        address=_text(origin.address, 100),
        action=_text(action, 100),
        subject_type=_text(subject_type, 30),
        subject_key=_text(subject_key, 255),
        subject_name=_text(subject_name, 255),
        before=_jsonable(before),
        after=_jsonable(after),
        outcome=outcome,
        detail=_text(detail, 10_000),
    )
    if outcome == "done" or not origin.is_request or not connection.in_atomic_block:
        _store(row)
    else:
        origin.waiting.append(row)


def record_change(
    actor: Requester,
    action: str,
    subject: Hypervisor | HypervisorPool,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Note what differs. `before` and `after` are whole; None for what was not, or is no more."""
    record(
        actor,
        action,
        subject_type="hypervisor" if isinstance(subject, Hypervisor) else "hypervisor_pool",
        subject_key=str(subject.pk),
        subject_name=subject.name,
        before=_differing(before, after),
        after=_differing(after, before),
    )


def store_waiting() -> None:
    """Write what waited for the end of the request."""
    waiting = current_origin().waiting
    while waiting:
        _store(waiting.pop(0))


def _differing(values: Mapping[str, Any] | None, others: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Those of the values that the others do not have alike; empty ones are left out where the others have none."""
    if values is None:
        return None
    if others is None:
        return {name: value for name, value in values.items() if value not in ("", None)}
    return {name: value for name, value in values.items() if value != others.get(name)}


def _store(row: AuditRecord) -> None:
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except (DatabaseError, ValueError):
        logger.exception("An audit record could not be stored.")
        _log(row)
        return
    transaction.on_commit(lambda: _log(row))


def _log(row: AuditRecord) -> None:
    """As `alice: remove a host {"subject": "host1"}`; JSON, so that a line feed in a name cannot forge a line."""
    details = {
        "subject_type": row.subject_type,
        "subject": row.subject_name,
        "key": row.subject_key,
        "address": row.address,
        "before": row.before,
        "after": row.after,
        "outcome": row.outcome,
        "detail": row.detail,
    }
    text = json.dumps({name: value for name, value in details.items() if value}, sort_keys=True)
    logger.info("%s: %s %s", json.dumps(row.actor_name)[1:-1] or "nobody", row.action, text)


def _text(text: str, most: int) -> str:
    # PostgreSQL stores no NUL.
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:most]


def _jsonable(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    text = json.dumps(dict(values), cls=_Encoder).replace("\\u0000", "\\ufffd")
    jsonable: dict[str, Any] = json.loads(text)
    return jsonable


class _Encoder(DjangoJSONEncoder):
    """What JSON does not know is written as text."""

    def default(self, o: Any) -> Any:
        try:
            return super().default(o)
        except TypeError:
            return str(o)
