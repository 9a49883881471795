"""Operations as messages to browsers."""

from datetime import datetime
from typing import Any, Literal

from django.urls import reverse

from hypervisors.broadcast import Change
from hypervisors.models import Operation
from hypervisors.operations.engine.registry import find_operation_type
from hypervisors.operations.engine.subjects import subject_url


def operation_url(operation: Operation) -> str:
    """The page of what it is about, or that leads on to what it makes; "" where there is none."""
    found = find_operation_type(operation.kind)
    if found is not None and found.makes_machine:
        return reverse("operation", args=[operation.pk])
    return subject_url(operation)


def operation_change(operation: Operation, *, op: Literal["add", "update"] = "update") -> Change:
    """The whole operation, so that a browser that missed the beginning can show it. Needs its related rows."""
    found = find_operation_type(operation.kind)
    domain_uuid = operation.subject_key if operation.subject_type == "domain" else ""
    fields: dict[str, Any] = {
        "kind": operation.kind,
        "queue": found.queue if found else "",
        "label": found.title(operation) if found else operation.kind,
        "icon": found.icon if found else "activity",
        "subject_type": operation.subject_type,
        "subject_key": operation.subject_key,
        "subject_name": operation.subject_name,
        "url": operation_url(operation),
        "domain": domain_uuid,
        "parent": str(operation.parent_id or ""),
        "state": str(operation.state),
        "progress": operation.progress,
        "steps": [{"label": step["label"], "state": step["state"]} for step in operation.steps],
        "outcome": operation.outcome,
        "can_be_cancelled": bool(found and found.can_be_cancelled),
        "requested_by": operation.requested_by.get_username() if operation.requested_by else "",
        "requested_at": _epoch(operation.requested_at),
        "started_at": _epoch(operation.started_at),
        "ended_at": _epoch(operation.ended_at),
        "cancel_requested_at": _epoch(operation.cancel_requested_at),
        "hypervisor": operation.hypervisor_id,
        "hypervisor_name": operation.hypervisor.name if operation.hypervisor else "",
        "target_hypervisor_name": operation.target_hypervisor.name if operation.target_hypervisor else "",
    }
    return Change(
        what="operation",
        id=str(operation.pk),
        op=op,
        fields=fields,
        domain_uuid=domain_uuid,
        # Of a bulk request nothing else says who may see it.
        person_id=operation.requested_by_id if operation.subject_type == "several" else None,
    )


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
