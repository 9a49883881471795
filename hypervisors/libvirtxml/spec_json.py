"""Frozen specs as plain JSON values and back, checked field by field: rows and forms are not trusted."""

from dataclasses import MISSING, asdict, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

Spec = TypeVar("Spec")


def spec_to_json(spec: Any) -> dict[str, Any]:
    """Plain values: dictionaries, lists, texts, numbers."""
    return {name: _plain(value) for name, value in asdict(spec).items()}


def spec_from_json(kind: type[Spec], stored: object) -> Spec:
    """The value that `spec_to_json` gave; fields that are missing take their defaults.

    Raises: ValueError, fit for an operator, for fields that there are not and for values that do not fit.
    """
    if not isinstance(stored, dict):
        raise ValueError(f"A {kind.__name__} is given as fields with values.")
    types = get_type_hints(kind)
    if unknown := stored.keys() - types.keys():
        raise ValueError(f"{kind.__name__} has no “{min(map(str, unknown))[:60]}”.")
    required = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}  # type: ignore[arg-type]
    if missing := required - stored.keys():
        raise ValueError(f"{kind.__name__} needs “{min(missing)}”.")
    return kind(**{name: _value(types[name], value, f"{kind.__name__}'s {name}") for name, value in stored.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _value(expected: Any, value: Any, what: str) -> Any:
    origin = get_origin(expected)
    if origin is tuple:
        return _items(get_args(expected), value, what)
    if origin in (UnionType,) or expected is NoneType:
        return _optional(expected, value, what)
    if origin is Literal:
        if value not in get_args(expected) or isinstance(value, bool):
            raise ValueError(f"{what} is one of {', '.join(map(str, get_args(expected)))}.")
        return value
    if is_dataclass(expected):
        return spec_from_json(expected, value)  # type: ignore[arg-type]
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise ValueError(f"{what} is a {_NAMES[expected]}.")
    return value


_NAMES = {int: "whole number", str: "text", bool: "yes or no (true or false)"}


def _items(kinds: tuple[Any, ...], value: Any, what: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{what} is a list.")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_value(kinds[0], item, what) for item in value)
    if len(kinds) != len(value):
        raise ValueError(f"{what} has {len(kinds)} items.")
    return tuple(_value(kind, item, what) for kind, item in zip(kinds, value, strict=True))


def _optional(expected: Any, value: Any, what: str) -> Any:
    if value is None:
        return None
    (kind,) = (kind for kind in get_args(expected) if kind is not NoneType)
    return _value(kind, value, what)
