"""Fields of several lines: one element a line, its attributes between spaces, quoted as in a shell where need be."""

import shlex
from collections.abc import Callable

from lxml import etree

from hypervisors.libvirtxml.hardware.fields import Field, Value
from hypervisors.libvirtxml.hardware.paths import (
    append_child,
    elements_at,
    make_at,
    read_at,
    remove_child,
    remove_if_empty,
    split_path,
)

_Read = Callable[[etree._Element, Field], Value]
_Write = Callable[[etree._Element, Field, Value], None]


def read_lines(element: etree._Element, field: Field, read: _Read) -> str:
    """A line for each element at the field's path."""
    return "\n".join(_line(found, field, read) for found in elements_at(element, field.path))


def write_lines(element: etree._Element, field: Field, text: str, write: _Write) -> None:
    """Make the elements what the lines say. What else an element of the same key carries stays."""
    lines = split_lines(field, text)
    kept = {read_at(found, field.columns[0].path): found for found in elements_at(element, field.path)}
    for found in elements_at(element, field.path):
        remove_child(found)
    if not lines:
        remove_if_empty(element, _parent(field.path))
        return
    parent = make_at(element, _parent(field.path))
    tag = split_path(field.path)[0][-1].tag
    for tokens in lines:
        one = kept.pop(tokens[0], None)
        one = append_child(parent, etree.Element(tag) if one is None else one)
        for column, token in zip(field.columns, tokens, strict=True):
            write(one, column, token)


def normal_lines(field: Field, text: str) -> str:
    """The text as `read_lines` gives it. Raises: ValueError when it is not lines of this field."""
    return "\n".join(_joined(tokens) for tokens in split_lines(field, text))


def split_lines(field: Field, text: str) -> list[list[str]]:
    """The tokens of each line that is not empty, as many as there are columns. Raises: ValueError."""
    return [_tokens(field, line) for line in text.splitlines() if line.strip()]


def _tokens(field: Field, line: str) -> list[str]:
    try:
        tokens = shlex.split(line)
    except ValueError:
        raise ValueError(f"A quotation mark is not closed in the {field.words}: {line[:60]}") from None
    if len(tokens) > len(field.columns):
        raise ValueError(f"Each line of the {field.words} has at most {len(field.columns)} parts: {line[:60]}")
    return tokens + [""] * (len(field.columns) - len(tokens))


def _line(found: etree._Element, field: Field, read: _Read) -> str:
    return _joined([_token(read(found, column), column) for column in field.columns])


def _token(value: Value, column: Field) -> str:
    if isinstance(value, bool):
        return column.flag_words[0 if value else 1]
    return str(value)


def _joined(tokens: list[str]) -> str:
    while len(tokens) > 1 and not tokens[-1]:
        tokens = tokens[:-1]
    return shlex.join(tokens)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
