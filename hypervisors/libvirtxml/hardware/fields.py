"""A field: one thing that a person may set on a device or a domain, and where it stands in the XML.

Labels and help are the pages' business; here is what libvirt understands.
"""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Literal

Value = str | int | bool
Values = Mapping[str, Value]

_NUMBER = r"(0|[1-9][0-9]{0,3})"
_RANGE = rf"{_NUMBER}(-{_NUMBER})?"
# CPUs or NUMA nodes: "0-3,^2,8"; what is left out comes after what it is left out of.
NODES = rf"{_RANGE}(,({_RANGE}|\^{_NUMBER})){{0,99}}"

FieldKind = Literal[
    "choice",  # one of `choices`, or nothing
    "text",  # one line
    "number",  # a whole number; "" when it is not stated
    "size_kib",  # a number in KiB; other units are understood, KiB is written
    "size_bytes",  # a number in bytes; as above
    "flag",  # a word for yes and one for no
    "presence",  # the element is there, or not
    "mac",
    "path",  # an absolute path on the host
    "password",  # is read as "" always; "" leaves it as it is, False takes it away
    "lines",  # several lines of text; with `columns`, one element a line
]


class MissingValueError(ValueError):
    """A field that has to have a value has none. `field_name` is for who knows its label."""

    def __init__(self, field: "Field") -> None:
        super().__init__(f"The {field.words} is missing.")
        self.field_name = field.name


@dataclass(frozen=True)
class Field:
    """`path` leads from the device's element: "driver/@cache", "model" (its text), "timer[@name='rtc']/@present".

    `default` is what holds where the XML says nothing. `only_if` names other fields of the same table, which stand
    before this one: where they have other values this field does not exist, and what it had written is taken out.
    """

    name: str
    path: str
    kind: FieldKind = "text"
    _: KW_ONLY
    choices: tuple[str, ...] = ()  # of a flag: the words for yes and no, ("yes", "no") when empty
    default: Value = ""
    only_if: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    required: bool = False
    is_secret: bool = False
    pattern: str = ""  # a text's whole form, as a regular expression
    columns: tuple["Field", ...] = ()  # of "lines": what stands in a line, between spaces; the first is its key

    @property
    def words(self) -> str:
        """Its name, for messages."""
        return self.name.replace("_", " ")

    @property
    def flag_words(self) -> tuple[str, str]:
        """What stands in the XML for yes and for no."""
        return (self.choices[0], self.choices[1]) if self.choices else ("yes", "no")

    @property
    def absent_value(self) -> Value:
        """What is read where the XML says nothing."""
        return bool(self.default) if self.kind in ("flag", "presence") else self.default


def existing_fields(fields: Iterable[Field], values: Values) -> tuple[Field, ...]:
    """The fields of the table that exist where these values hold."""
    existing: dict[str, Field] = {}
    for field in fields:
        if all(name in existing and values.get(name) in wanted for name, wanted in field.only_if):
            existing[field.name] = field
    return tuple(existing.values())


def when(**conditions: Value | tuple[Value, ...]) -> tuple[tuple[str, tuple[Value, ...]], ...]:
    """`only_if`, written short: when(type=("network", "bridge"), managed=True)."""
    return tuple((name, wanted if isinstance(wanted, tuple) else (wanted,)) for name, wanted in conditions.items())
