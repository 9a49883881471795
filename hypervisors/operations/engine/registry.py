"""All kinds of operations: the modules below `operations/<noun>/` are imported, and each class in them is a kind."""

import importlib
import pkgutil
from functools import lru_cache
from typing import Any

from hypervisors import operations
from hypervisors.operations.engine.types import REGISTERED, OperationType

_ENGINE = "engine"


@lru_cache(maxsize=1)
def operation_types() -> dict[str, OperationType[Any]]:
    """By kind, in the order of their names."""
    for package in pkgutil.iter_modules(operations.__path__):
        if package.ispkg and package.name != _ENGINE:
            _import_all(f"{operations.__name__}.{package.name}")
    return dict(sorted(REGISTERED.items()))


def operation_type(kind: str) -> OperationType[Any]:
    """Raises: KeyError for a kind that this version does not have."""
    return operation_types()[kind]


def find_operation_type(kind: str) -> OperationType[Any] | None:
    return operation_types().get(kind)


def types_for(subject_type: str) -> list[OperationType[Any]]:
    """All kinds on subjects of this type."""
    return [found for found in operation_types().values() if found.subject_type == subject_type]


def kinds_of_queue(queue: str) -> list[str]:
    return [kind for kind, found in operation_types().items() if found.queue == queue]


def kind_label(kind: str) -> str:
    """ "Start"; for a kind that another version wrote, the kind itself."""
    found = find_operation_type(kind)
    return str(found.label) if found else kind


def _import_all(package_name: str) -> None:
    package = importlib.import_module(package_name)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package_name}.{module.name}")
