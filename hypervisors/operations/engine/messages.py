"""Operations as messages to browsers."""

from datetime import datetime
from typing import Any, Literal

from hypervisors.broadcast import Change
from hypervisors.models import Operation


def operation_change(operation: Operation, *, op: Literal["add", "update"] = "update") -> Change:
    """The whole operation, so that a browser that missed the beginning can show it. Needs its related rows."""
    fields: dict[str, Any] = {
        "kind": str(operation.kind),
        "domain": str(operation.domain.uuid),
        "domain_name": operation.domain_name,
        "state": str(operation.state),
        "progress": operation.progress,
        "outcome": operation.outcome,
        "requested_by": operation.requested_by.get_username() if operation.requested_by else "",
        "requested_at": _epoch(operation.requested_at),
        "started_at": _epoch(operation.started_at),
        "ended_at": _epoch(operation.ended_at),
        "cancel_requested_at": _epoch(operation.cancel_requested_at),
        "hypervisor_name": operation.hypervisor.name if operation.hypervisor else "",
        "target_hypervisor_name": operation.target_hypervisor.name if operation.target_hypervisor else "",
    }
    return Change(what="operation", id=str(operation.pk), op=op, fields=fields, domain_uuid=str(operation.domain.uuid))


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
