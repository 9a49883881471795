"""The names of disks in their domain, <target dev="vdb">: a prefix that goes with the bus, and letters."""

from collections.abc import Collection
from string import ascii_lowercase

_PREFIXES = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd", "fdc": "fd"}
# libvirt reads up to three letters; more disks than that have no domain.
_MOST = 700


def fits_bus(target: str, bus: str) -> bool:
    """Whether a disk on this bus is called so by custom."""
    return target.startswith(_PREFIXES.get(bus, ""))


def free_target(bus: str, taken: Collection[str]) -> str:
    """The first name of the bus that no disk has. Raises: ValueError when there is none left."""
    prefix = _PREFIXES.get(bus, "sd")
    for number in range(2 if bus == "fdc" else 4 if bus == "ide" else _MOST):
        if prefix + letters(number) not in taken:
            return prefix + letters(number)
    raise ValueError("There is no place for another disk on this bus.")


def letters(number: int) -> str:
    """a … z, aa, ab …"""
    rest, last = divmod(number, len(ascii_lowercase))
    return (letters(rest - 1) if rest else "") + ascii_lowercase[last]
