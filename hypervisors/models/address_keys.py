"""MAC and IP addresses as texts that an index finds, by the address or by its beginning, in whatever spelling.

A key is a letter and digits of fixed number: "m" and 12 for a MAC, "4" and 8, "6" and 32. Being hexadecimal digits of
one length, they have the same order in every database and collation, so that all that begins alike is one range.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

# The first and the last key of what is meant, both included.
KeyRange = tuple[str, str]

_MOST_CHARACTERS = 60
_DIGITS = {"m": 12, "4": 8, "6": 32}
_MAC_GROUPS = re.compile(r"(?:[0-9a-f]{1,2}[:-]){1,5}(?:[0-9a-f]{1,2})?")
_MAC_WORDS = re.compile(r"[0-9a-f]{4}\.(?:[0-9a-f]{4}\.)?[0-9a-f]{0,4}")
_MAC_DIGITS = re.compile(r"[0-9a-f]{6,12}")
_IPV4 = re.compile(r"(?:[0-9]{1,3}\.){1,3}[0-9]{0,3}")
_IPV6 = re.compile(r"(?:[0-9a-f]{1,4}:){1,7}[0-9a-f]{0,4}")


def mac_key(text: str) -> str:
    """Of a whole MAC; "" for what is none."""
    found = _mac_ranges(text.strip().lower())
    return next((first for first, last in found if first == last), "")


def ip_key(text: str) -> str:
    """Of a whole IP address; "" for what is none. What stands for an IPv4 address in IPv6 is that."""
    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return _key(address)


def mac_ranges(text: str) -> list[KeyRange]:
    """Of what may be a MAC or its beginning; none for other texts."""
    return _mac_ranges(_typed(text))


def ip_ranges(text: str) -> list[KeyRange]:
    """Of what may be an IP address, its beginning or a range ("10.0.0.0/24"); none for other texts."""
    typed = _typed(text).removeprefix("[").removesuffix("]").partition("%")[0]
    if "/" in typed:
        return _network(typed)
    whole = ip_key(typed)
    found = [(whole, whole)] if whole else []
    if _IPV4.fullmatch(typed):
        found += _ipv4_ranges(typed)
    elif ":" in typed:
        found += _ipv6_ranges(typed)
    return list(dict.fromkeys(found))


def _typed(text: str) -> str:
    typed = text.strip().lower()
    return typed if len(typed) <= _MOST_CHARACTERS else ""


def _key(address: IPv4Address | IPv6Address) -> str:
    return f"{address.version}{address.packed.hex()}"


def _begins(kind: str, digits: str) -> KeyRange:
    """All keys of the kind that begin with these digits."""
    count = _DIGITS[kind]
    return kind + digits.ljust(count, "0"), kind + digits.ljust(count, "f")


def _between(kind: str, head: str, numbers: range, width: int) -> KeyRange:
    """Those whose next `width` digits are one of the numbers."""
    first, last = (f"{head}{number:0{width}x}" for number in (numbers[0], numbers[-1]))
    return _begins(kind, first)[0], _begins(kind, last)[1]


def _network(typed: str) -> list[KeyRange]:
    try:
        network = ip_network(typed, strict=False)
    except ValueError:
        return []
    return [(_key(network[0]), _key(network[-1]))]


def _mac_ranges(typed: str) -> list[KeyRange]:
    if _MAC_WORDS.fullmatch(typed):
        return [_begins("m", typed.replace(".", ""))]
    if _MAC_DIGITS.fullmatch(typed):
        return [_begins("m", typed)]
    if not _MAC_GROUPS.fullmatch(typed):
        return []
    *groups, last = re.split("[:-]", typed)
    head = "".join(group.zfill(2) for group in groups)
    found = [_begins("m", head + last)]
    return [*found, _begins("m", head + last.zfill(2))] if len(groups) == 5 and len(last) == 1 else found


def _ipv4_ranges(typed: str) -> list[KeyRange]:
    """The last number may be the beginning of a longer one: 10.1 is 10.1.…, 10.10.… and 10.100.… too."""
    *octets, last = typed.split(".")
    if any(int(octet) > 255 or octet != str(int(octet)) for octet in octets):
        return []
    head = "".join(f"{int(octet):02x}" for octet in octets)
    if not last:
        return [_begins("4", head)]
    if last != str(int(last)):
        return []
    return [_between("4", head, numbers, 2) for numbers in _longer(int(last), base=10, most=255)]


def _ipv6_ranges(typed: str) -> list[KeyRange]:
    """Up to a "::" at its end, or the last group, which may be the beginning of a longer one."""
    if typed.endswith("::"):
        groups = typed[:-2].split(":")
        return [_begins("6", _digits(groups))] if _are_groups(groups) else []
    if "::" in typed:
        whole = ip_key(typed)
        if not whole.startswith("6"):
            return []
        head, last = whole[1:-4], whole[-4:]
    elif _IPV6.fullmatch(typed):
        *groups, last = typed.split(":")
        head = _digits(groups)
    else:
        return []
    if not last:
        return [_begins("6", head)]
    return [_between("6", head, numbers, 4) for numbers in _longer(int(last, 16), base=16, most=0xFFFF)]


def _are_groups(groups: list[str]) -> bool:
    return len(groups) < 8 and all(re.fullmatch("[0-9a-f]{1,4}", group) for group in groups)


def _digits(groups: list[str]) -> str:
    return "".join(group.zfill(4) for group in groups)


def _longer(number: int, *, base: int, most: int) -> list[range]:
    """The number, and those that are written with its digits and more behind them."""
    found = [range(number, number + 1)] if number <= most else []
    size = base
    while number and number * size <= most:
        found.append(range(number * size, min(most, number * size + size - 1) + 1))
        size *= base
    return found
