"""Rows as the product would have written them."""

from typing import Any

from hypervisors.models import Operation, OperationLock


def make_operation(**fields: Any) -> Operation:
    """An operation on `domain`, with the lock that it holds while it is unfinished."""
    domain = fields.get("domain")
    if domain is not None:
        fields = {"subject_type": "domain", "subject_key": str(domain.uuid), "subject_name": domain.name} | fields
    operation = Operation.objects.create(**fields)
    if not operation.is_finished and domain is not None:
        OperationLock.objects.create(key=f"domain:{domain.uuid}", operation=operation)
    return operation
