"""Sizes as OVF writes them: a number, and a unit like "byte * 2^30" (DSP0004) or an older name."""

import re

_PROGRAMMATIC = re.compile(r"byte(?:s)?(?:\*(\d{1,5})(?:\^(\d{1,3}))?)?", re.ASCII)
_NAMES = {
    "": 1,
    "kilobyte": 2**10,
    "kilobytes": 2**10,
    "kb": 2**10,
    "kibibyte": 2**10,
    "megabyte": 2**20,
    "megabytes": 2**20,
    "mb": 2**20,
    "mebibyte": 2**20,
    "gigabyte": 2**30,
    "gigabytes": 2**30,
    "gb": 2**30,
    "terabyte": 2**40,
    "terabytes": 2**40,
}
_MOST_BYTES = 2**60


def unit_bytes(unit: str) -> int | None:
    """The bytes of one; None for a unit that is not known or beyond reason."""
    plain = "".join(unit.lower().split())
    if plain in _NAMES:
        return _NAMES[plain]
    match = _PROGRAMMATIC.fullmatch(plain)
    if match is None:
        return None
    base, exponent = int(match[1] or 1), int(match[2] or 1)
    if base > 1 and exponent * base.bit_length() > 80:
        return None
    value = int(base**exponent)
    return value if 0 < value <= _MOST_BYTES else None
