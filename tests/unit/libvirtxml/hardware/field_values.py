"""Values that a table of fields takes, for hypothesis."""

import shlex
from collections.abc import Callable, Iterable
from typing import Protocol

from hypothesis import assume
from hypothesis import strategies as st

from hypervisors.libvirtxml.hardware.fields import NODES, Field, Value, Values, existing_fields

# Names as people give them: quotes, markup, other scripts.
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)
# What libvirt's schema lets stand in a name, which is less than libvirt takes.
PLAIN_NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,15}", fullmatch=True)
_MACS = st.binary(min_size=5, max_size=5).map(lambda rest: ":".join(f"{byte:02x}" for byte in (0x52, *rest)))
_RANGES = st.lists(st.integers(0, 4095), min_size=1, max_size=4).map(lambda drawn: ",".join(map(str, sorted(drawn))))

# Without one of several of these a device says nothing: drawing them saves many draws.
_USUAL = ("source_dir", "vendor", "product", "cid")


class Checked(Protocol):
    """A type of device, or a section."""

    @property
    def fields(self) -> tuple[Field, ...]: ...

    @property
    def check(self) -> Callable[[Values], None] | None: ...


def drawn_values(kind: Checked, data: st.DataObject, *, names: st.SearchStrategy[str] = NAMES) -> dict[str, Value]:
    """Values that do not contradict each other: as many of those that were drawn as can be together."""
    values = data.draw(field_values(kind.fields, names))
    droppable = [field.name for field in kind.fields if field.name in values and not field.required]
    while not _can_be(kind, values):
        assume(droppable)
        del values[droppable.pop()]
    existing = existing_fields(kind.fields, _with_defaults(kind.fields, values))
    return {field.name: values[field.name] for field in existing if field.name in values}


def _can_be(kind: Checked, values: dict[str, Value]) -> bool:
    whole = _with_defaults(kind.fields, values)
    existing = existing_fields(kind.fields, whole)
    if not all(field.name in values or whole[field.name] != "" for field in existing if field.required):
        return False
    try:
        if kind.check is not None:
            kind.check({field.name: whole[field.name] for field in existing})
    except ValueError:
        return False
    return True


@st.composite
def field_values(draw: st.DrawFn, fields: tuple[Field, ...], names: st.SearchStrategy[str]) -> dict[str, Value]:
    """All required fields that exist, and some of the others; passwords are left out."""
    wanted = draw(st.sets(st.sampled_from([field.name for field in fields]), max_size=8))
    values: dict[str, Value] = {}
    for field in fields:
        exists = field in existing_fields(fields, _with_defaults(fields, values))
        if exists and field.kind != "password" and (field.required or field.name in wanted or field.name in _USUAL):
            values[field.name] = draw(value_of(field, names))
    return values


def value_of(field: Field, names: st.SearchStrategy[str]) -> st.SearchStrategy[Value]:
    match field.kind:
        case "choice":
            return st.sampled_from(field.choices)
        case "number" | "size_kib" | "size_bytes":
            return st.integers(field.minimum or 0, 2**40 if field.maximum is None else field.maximum)
        case "flag" | "presence":
            return st.booleans()
        case "mac":
            return _MACS
        case "path":
            return names.map(lambda text: "/" + text)
        case "lines" if field.columns:
            return _columns(field, names)
        case "lines":
            return st.lists(names, min_size=1, max_size=3).map("\n".join)
        case "text" if field.pattern == NODES:
            return _RANGES
    return st.from_regex(field.pattern, fullmatch=True).filter(_is_plain) if field.pattern else names


def _columns(field: Field, names: st.SearchStrategy[str]) -> st.SearchStrategy[Value]:
    rows = st.tuples(*(_token(column, names) for column in field.columns))
    return st.lists(rows, min_size=1, max_size=3, unique_by=lambda row: row[0]).map(
        lambda drawn: "\n".join(shlex.join(_trimmed(row)) for row in drawn)
    )


def _token(column: Field, names: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    tokens = value_of(column, names).map(lambda value: _spelled(column, value))
    return tokens if column.required else st.one_of(tokens, st.just(""))


def _spelled(column: Field, value: Value) -> str:
    return column.flag_words[0 if value else 1] if isinstance(value, bool) else str(value)


def _trimmed(row: Iterable[str]) -> list[str]:
    tokens = list(row)
    while tokens and not tokens[-1]:
        tokens.pop()
    return tokens


def _is_plain(text: str) -> bool:
    return text == text.strip() and text.isprintable()


def _with_defaults(fields: tuple[Field, ...], values: dict[str, Value]) -> dict[str, Value]:
    return {field.name: values.get(field.name, field.absent_value) for field in fields}
