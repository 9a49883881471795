"""The controls of a form: each field of the hardware's tables as what a browser shows, and back."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from hypervisors.libvirtxml.hardware.fields import Field, Value, Values
from hypervisors.web.domains.creation.fields import UNITS, Option, size_text
from hypervisors.web.domains.hardware.words import choice_word, field_help, field_label

# Of the form's own fields: those that tell what is meant stand beside them without it.
PREFIX = "v-"
_SIZES = {"size_kib": 1024, "size_bytes": 1}
_KINDS = {
    "choice": "select",
    "number": "number",
    "size_kib": "size",
    "size_bytes": "size",
    "flag": "check",
    "presence": "check",
    "password": "password",
    "lines": "area",
}
# Of these not all are known: what is known is proposed, and others can be typed.
_OPEN = frozenset({"source_bridge", "source_dev"})
# Longer choices are cut in half a line.
_LONG = 36
_CODE = frozenset({"mac", "path", "lines"})
# A size that is none of its units is shown in the smallest that says it whole.
_SMALL_UNITS = {"B": 1, "KiB": 1024, **UNITS}


@dataclass(frozen=True, kw_only=True)
class Control:
    """One field. `text` is what stands in it, `was` what stood in it when the form was made."""

    name: str
    label: str
    kind: str = "text"
    text: str = ""
    was: str = ""
    unit: str = ""
    options: tuple[Option, ...] = ()
    # Names beside what can be typed.
    proposals: tuple[Option, ...] = ()
    hint: str = ""
    error: str = ""
    only_if: str = ""
    is_code: bool = False
    is_required: bool = False
    has_secret: bool = False

    @property
    def id(self) -> str:
        return f"id_{self.name}"

    @property
    def input_name(self) -> str:
        return f"{PREFIX}{self.name}"

    @property
    def is_wide(self) -> bool:
        """Whether it takes a whole line: a choice is read, or several lines are written."""
        return self.kind == "area" or any(len(option.text) > _LONG for option in self.options)

    @property
    def is_checked(self) -> bool:
        return self.text == "on"

    @property
    def units(self) -> tuple[str, ...]:
        return tuple(UNITS) if self.unit in UNITS else tuple(_SMALL_UNITS)

    @property
    def described_by(self) -> str:
        parts = [f"hint-{self.name}" if self.hint else "", f"error-{self.name}" if self.error else ""]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a form sent. `values`: of its fields; `changed`: names of those that are not what they were."""

    values: dict[str, Value] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    was: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> frozenset[str]:
        return frozenset(name for name in self.values if self.texts.get(name, "") != self.was.get(name, ""))

    def onto(self, values: Values) -> dict[str, Value]:
        """These values with what the person has changed; the rest stays as it is by now."""
        return {**values, **{name: self.values[name] for name in self.changed}}


def controls(
    key: str,
    fields: Iterable[Field],
    values: Values,
    *,
    draft: Draft | None = None,
    options: Mapping[str, tuple[Option, ...]] | None = None,
) -> dict[str, Control]:
    """By name. `key`: of the device type or section; `options`: what can be chosen from rows, by field."""
    return {one.name: _control(key, one, values, draft or Draft(), (options or {}).get(one.name)) for one in fields}


def draft_of(fields: Iterable[Field], posted: Mapping[str, str]) -> Draft:
    """What was typed, with what is wrong with it."""
    values: dict[str, Value] = {}
    errors: dict[str, str] = {}
    texts, was = {}, {}
    for one in fields:
        name = f"{PREFIX}{one.name}"
        if name not in posted and f"was-{one.name}" not in posted:
            # It does not show where other fields have the values that they have.
            continue
        texts[one.name] = _posted_text(one, posted)
        # Browsers send line ends as CR LF.
        was[one.name] = posted.get(f"was-{one.name}", "").replace("\r\n", "\n")
        if one.kind == "password" and posted.get(f"clear-{one.name}"):
            values[one.name], was[one.name] = False, "•"
            continue
        try:
            values[one.name] = _value(one, posted, name)
        except ValueError as error:
            errors[one.name] = str(error)
            values[one.name] = ""
    return Draft(values=values, texts=texts, was=was, errors=errors)


def text_of_value(one: Field, value: Value) -> str:
    """As the form shows it; a size with its unit."""
    if one.kind in ("flag", "presence"):
        return "on" if value is True else ""
    if one.kind == "password" or value == "" or value is False:
        return ""
    if one.kind in _SIZES and isinstance(value, int):
        return _size_text(value * _SIZES[one.kind])
    return str(value)


def _control(key: str, one: Field, values: Values, draft: Draft, options: tuple[Option, ...] | None) -> Control:
    now = text_of_value(one, values.get(one.name, one.absent_value))
    # A password is not sent back.
    text = draft.texts[one.name] if one.name in draft.changed and one.kind != "password" else now
    kind = _KINDS.get(one.kind, "text")
    amount, _blank, unit = text.rpartition(" ") if kind == "size" else (text, "", "")
    if kind == "text" and options and one.name not in _OPEN:
        kind = "select"
    return Control(
        name=one.name,
        label=str(field_label(key, one.name)),
        kind=kind,
        text=amount,
        was=now,
        unit=unit or "GiB",
        options=_options(key, one, text, options) if kind == "select" else (),
        proposals=(options or ()) if kind == "text" else (),
        hint=str(field_help(key, one.name)),
        error=draft.errors.get(one.name, ""),
        only_if=_condition(one),
        is_code=one.kind in _CODE,
        is_required=one.required,
        has_secret=one.is_secret,
    )


def _options(key: str, one: Field, text: str, options: tuple[Option, ...] | None) -> tuple[Option, ...]:
    """What can be chosen; what stands there now can stay, whatever it is."""
    known = options or tuple(Option(value=word, text=choice_word(key, one.name, word)) for word in one.choices)
    made = list(known)
    if not one.required and all(option.value != "" for option in made):
        made.insert(0, Option(value="", text=choice_word(key, one.name, "")))
    if all(option.value != text for option in made):
        made.append(Option(value=text, text=text or _("Choose…")))
    return tuple(made)


def _condition(one: Field) -> str:
    """For the browser: [["type", ["network", "bridge"]]]; a check's values are "on" and ""."""
    if not one.only_if:
        return ""
    return json.dumps([[name, [_condition_text(value) for value in wanted]] for name, wanted in one.only_if])


def _condition_text(value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else ""
    return str(value)


def _posted_text(one: Field, posted: Mapping[str, str]) -> str:
    name = f"{PREFIX}{one.name}"
    text = posted.get(name, "").replace("\r\n", "\n")
    text = text.rstrip("\n") if one.kind == "lines" else text if one.kind == "password" else text.strip()
    if one.kind in _SIZES and text:
        return f"{text} {posted.get(f'{name}-unit', 'GiB')}"
    return text


def _value(one: Field, posted: Mapping[str, str], name: str) -> Value:
    """Raises: ValueError, fit for people."""
    text = _posted_text(one, posted)
    if one.kind in ("flag", "presence"):
        return text == "on"
    if one.kind == "number" and text:
        try:
            return int(text)
        except ValueError as error:
            raise ValueError(_("A whole number is meant here.")) from error
    if one.kind in _SIZES and text:
        return _size_value(text) // _SIZES[one.kind]
    return text


def _size_value(text: str) -> int:
    """Bytes. Raises: ValueError, fit for people."""
    amount, _blank, unit = text.rpartition(" ")
    try:
        number = float(amount.replace(",", "."))
    except ValueError:
        number = -1
    # A number that is not a number is not between these either.
    if unit not in _SMALL_UNITS or not 0 <= number < 2**60:
        raise ValueError(_("A number is meant here, with its unit beside it."))
    return int(number * _SMALL_UNITS[unit])


def _size_text(count_bytes: int) -> str:
    if count_bytes % UNITS["MiB"] == 0:
        return size_text(count_bytes)
    return f"{count_bytes // 1024} KiB" if count_bytes % 1024 == 0 else f"{count_bytes} B"
