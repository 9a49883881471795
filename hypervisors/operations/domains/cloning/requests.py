"""Asking for several copies at once: one parent, with a copy for each name."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import models, transaction

from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import Domain, Operation
from hypervisors.operations.engine.parents import open_parent, settle_parent
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.engine.requests import request_operation


def request_clones(
    *, user: User, domain: Domain, names: Sequence[str], parameters: Mapping[str, Any]
) -> list[Operation]:
    """A copy for each of the names; one alone needs no parent. All or none is asked for.

    Raises: errors.NotPermitted, errors.Conflict, errors.NotPossible.
    """
    kind = "clone_domain"
    if len(names) == 1:
        given = {**parameters, "name": names[0]}
        return [request_operation(user=user, kind=kind, subject=domain, parameters=given)]
    with transaction.atomic():
        parent = open_parent(operation_type(kind), user, [domain] * len(names))
        accepted = []
        refusals: list[tuple[models.Model, str]] = []
        for name in names:
            try:
                given = {**parameters, "name": name}
                accepted.append(
                    request_operation(user=user, kind=kind, subject=domain, parameters=given, parent=parent)
                )
            except (Conflict, NotPossible) as error:
                raise type(error)(f"{name}: {error}") from error
        settle_parent(parent, accepted, refusals)
    return accepted
