"""What a field takes, made of what was given; anything else is refused in words for people."""

import re

from hypervisors.libvirtxml.hardware.fields import NODES, Field, MissingValueError, Value
from hypervisors.libvirtxml.spec_checks import (
    check_between,
    check_line,
    check_mac,
    check_one_of,
    check_path,
    check_text,
)

# libvirt's numbers are unsigned and 64 bits wide; those that are kept in KiB are multiplied by 1024 in there.
_MOST = 2**53
_MOST_CHARACTERS = 4096
_MOST_LINES = 512


def checked_value(field: Field, given: Value) -> Value:
    """The value in the form that reading gives it. Raises: ValueError."""
    value = _CHECKS[field.kind](field, given)
    if field.required and value == "":
        raise MissingValueError(field)
    return value


def check_token(field: Field, token: str) -> None:
    """One column of a line. Raises: ValueError."""
    checked_value(field, token)


def _choice(field: Field, given: Value) -> Value:
    text = _line(field, given)
    if text != "":
        check_one_of(text, field.choices, field.words)
    return text or field.default


def _text(field: Field, given: Value) -> Value:
    text = _line(field, given)
    if text and field.pattern and not re.fullmatch(field.pattern, text):
        raise ValueError(f"“{_shown(text)}” is no {field.words}.")
    if text and field.pattern == NODES:
        _check_ranges(text, field)
    return text or field.default


def _check_ranges(text: str, field: Field) -> None:
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if dash and int(first) > int(last):
            raise ValueError(f"“{part}” is no range of the {field.words}: it counts backwards.")


def _number(field: Field, given: Value) -> Value:
    text = _line(field, given)
    if text == "":
        return field.default
    if not re.fullmatch(r"-?[0-9]{1,20}", text):
        raise ValueError(f"The {field.words} is a whole number, not “{_shown(text)}”.")
    number = int(text)
    if number == 0 and field.minimum == 1 and not field.required:
        # "0" is how people write that there is none.
        return field.default
    least = 0 if field.minimum is None else field.minimum
    check_between(number, least, _MOST if field.maximum is None else field.maximum, field.words)
    return number


def _flag(field: Field, given: Value) -> Value:
    if isinstance(given, bool):
        return given
    text = str(given).strip()
    if text == "":
        return field.absent_value
    check_one_of(text, field.flag_words, field.words)
    return text == field.flag_words[0]


def _presence(field: Field, given: Value) -> Value:
    if given == "":
        return False
    if not isinstance(given, bool):
        raise ValueError(f"The {field.words} is there, or it is not.")
    return given


def _mac(field: Field, given: Value) -> Value:
    text = _line(field, given).lower()
    if text:
        check_mac(text)
    return text


def _path(field: Field, given: Value) -> Value:
    text = _text(field, given)
    if text:
        check_path(str(text), field.words)
    return text


def _password(field: Field, given: Value) -> Value:
    if given is False:
        return given
    text = str(given)
    check_line(text, field.words)
    check_between(len(text.encode()), 0, field.maximum or 255, f"length of the {field.words}")
    return text


def _lines(field: Field, given: Value) -> Value:
    text = str(given).replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    check_text(text, field.words)
    if not field.columns:
        check_between(len(text), 0, 16 * _MOST_CHARACTERS, f"length of the {field.words}")
        return text.strip()
    check_between(text.count("\n"), 0, _MOST_LINES, f"number of lines in the {field.words}")
    check_between(len(text), 0, 16 * _MOST_CHARACTERS, f"length of the {field.words}")
    return text


def _line(field: Field, given: Value) -> str:
    text = str(given).strip()
    check_line(text, field.words)
    check_between(len(text), 0, _MOST_CHARACTERS, f"length of the {field.words}")
    return text


def _shown(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text[:60])


_CHECKS = {
    "choice": _choice,
    "text": _text,
    "number": _number,
    "size_kib": _number,
    "size_bytes": _number,
    "flag": _flag,
    "presence": _presence,
    "mac": _mac,
    "path": _path,
    "password": _password,
    "lines": _lines,
}
