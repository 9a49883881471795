"""The machine type of a new guest: a versioned name that every host of the pool has, so that it can move.

"q35" means another machine on each version of QEMU; "pc-q35-7.2" is the same everywhere, and stays it.
"""

import re
from collections.abc import Sequence

from hypervisors.libvirtxml.host_capabilities import GuestArchitecture, HostCapabilities

_FAMILIES = {"q35": "pc-q35-", "pc": "pc-i440fx-", "virt": "virt-"}


def common_machine(hosts: Sequence[HostCapabilities], *, arch: str, alias: str) -> str:
    """The newest that all have, which is that of the oldest host; the alias itself where nothing is known."""
    guests = [guest for host in hosts if (guest := host.guest(arch)) is not None]
    if not guests:
        return alias
    own = [name for guest in guests if (name := _resolved(guest, alias))]
    shared = set.intersection(*(set(guest.machines) for guest in guests))
    family = _FAMILIES.get(alias, f"{alias}-")
    candidates = {name for name in shared if name.startswith(family)}
    # What some host itself takes the alias for comes first: distributions have names of their own.
    best = [name for name in own if name in candidates] or list(candidates)
    if best:
        return min(best, key=_version) if best[0] in own else max(best, key=_version)
    return own[0] if own else alias


def has_machine(host: HostCapabilities, *, arch: str, machine: str) -> bool:
    guest = host.guest(arch)
    return guest is not None and (machine in guest.machines or machine in dict(guest.aliases))


def _resolved(guest: GuestArchitecture, alias: str) -> str:
    return dict(guest.aliases).get(alias) or (alias if alias in guest.machines else "")


def _version(name: str) -> tuple[int, tuple[int, ...], str]:
    """pc-q35-7.2 before pc-q35-10.0; names without a number come first."""
    found = re.search(r"(\d+(?:\.\d+)*)$", name)
    return (1, tuple(map(int, found[1].split("."))), name) if found else (0, (), name)
