"""The controls of the page: each with what is in it, what was suggested, and what is wrong with it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hypervisors.web.domains.creation.drafts import text_of, unit_of

UNITS = {"MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}


@dataclass(frozen=True, kw_only=True)
class Option:
    value: str
    text: str
    note: str = ""
    is_disabled: bool = False


@dataclass(frozen=True, kw_only=True)
class Field:
    """One control. `kind`: "text", "number", "select", "area", "check", "password"; `unit`: the field beside it."""

    name: str
    label: str
    kind: str = "text"
    value: str = ""
    options: tuple[Option, ...] = ()
    unit: "Field | None" = None
    hint: str = ""
    error: str = ""
    placeholder: str = ""
    is_optional: bool = False
    is_code: bool = False
    # What is suggested: sent along, so that the next answer knows whether somebody has changed it. None: nothing is.
    suggested: str | None = None
    suggested_text: str = ""
    rows: int = 3
    list_id: str = ""
    autocomplete: str = "off"

    @property
    def id(self) -> str:
        return f"id_{self.name}"

    @property
    def is_changed(self) -> bool:
        mine = f"{self.value} {self.unit.value}" if self.unit else self.value
        return self.suggested is not None and mine != self.suggested

    @property
    def described_by(self) -> str:
        parts = [f"hint-{self.name}" if self.hint else "", f"error-{self.name}" if self.error else ""]
        return " ".join(part for part in parts if part)


class Fields:
    """Makes fields of the values: what stands in them, their suggestions and errors, found by name."""

    def __init__(self, values: Mapping[str, str], errors: Mapping[str, str]) -> None:
        self._values = values
        self._errors = errors

    def error(self, name: str) -> str:
        return self._errors.get(name, "")

    def text(self, name: str, label: str, **given: object) -> Field:
        return self._made(name, label, given)

    def number(self, name: str, label: str, **given: object) -> Field:
        return self._made(name, label, {"kind": "number", **given})

    def area(self, name: str, label: str, **given: object) -> Field:
        return self._made(name, label, {"kind": "area", **given})

    def check(self, name: str, label: str, **given: object) -> Field:
        return self._made(name, label, {"kind": "check", **given})

    def select(self, name: str, label: str, options: Iterable[Option], **given: object) -> Field:
        options = tuple(options)
        chosen = given.get("suggested_text") or next(
            (one.text for one in options if one.value == self._values.get(f"was-{name}")), ""
        )
        return self._made(name, label, {"kind": "select", "options": options, **given, "suggested_text": chosen})

    def size(self, name: str, label: str, **given: object) -> Field:
        """A number with its unit."""
        unit = self.select(unit_of(name), label, [Option(value=one, text=one) for one in UNITS])
        return self._made(name, label, {"kind": "number", "unit": unit, **given})

    def _made(self, name: str, label: str, given: Mapping[str, object]) -> Field:
        suggested = self._values.get(f"was-{name}")
        values: dict[str, object] = {
            "value": self._values.get(name, ""),
            "error": self._errors.get(name, ""),
            "suggested": suggested,
            "suggested_text": suggested or "",
        }
        return Field(name=name, label=label, **{**values, **{k: v for k, v in given.items() if v != ""}})  # type: ignore[arg-type]


def bytes_of(values: Mapping[str, str], name: str) -> int | None:
    """Of a number with its unit; None for what is none."""
    number, _blank, unit = text_of(values, name).rpartition(" ")
    try:
        amount = float(number.strip().replace(",", "."))
    except ValueError:
        return None
    # A number that is not a number is not between these either.
    return int(amount * UNITS[unit]) if unit in UNITS and 0 <= amount < 10**9 else None


def size_text(count_bytes: int) -> str:
    """ "20 GiB": as a field and its unit take it."""
    for unit in ("TiB", "GiB"):
        if count_bytes >= UNITS[unit] and count_bytes % (UNITS[unit] // 4) == 0:
            return f"{_plain(count_bytes / UNITS[unit])} {unit}"
    return f"{-(-count_bytes // UNITS['MiB'])} MiB"


def _plain(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
