"""Names: in the order in which people count (vm9 before vm10, case aside), and with what is invisible in them shown."""

import re

_NUMBERS = re.compile(r"(\d+)")
# Controls, overrides of the writing direction, characters of no width; not line feeds and tabs. As in words.js.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\uffff\U000e0000-\U000e0fff]"
)


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A key for sorting; equal but for case or leading zeros are told apart by the name itself."""
    parts = _NUMBERS.split(name.casefold())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts if part], name


def visible(text: str) -> str:
    """With "⟨U+202E⟩" in place of what nobody sees, so that a name inside a sentence does not turn it around."""
    return _INVISIBLE.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)
