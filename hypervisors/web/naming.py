"""Names in the order in which people count: vm9 before vm10, case aside."""

import re

_NUMBERS = re.compile(r"(\d+)")


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A key for sorting; equal but for case or leading zeros are told apart by the name itself."""
    parts = _NUMBERS.split(name.casefold())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts if part], name
