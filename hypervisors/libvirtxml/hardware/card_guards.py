"""What keeps a network card apart from others: its filter, its isolation, its port's type.

https://libvirt.org/formatnwfilter.html. Whoever assigned them to a machine's cards meant the machine: a card that is
taken away, and one that is added beside it, must not be a way around them.
"""

from collections.abc import Sequence

from hypervisors.libvirtxml.hardware.devices import Device, list_devices

GUARD_FIELDS = ("filter", "filter_parameters", "isolated", "trusts_guest_filters", "virtualport")
# The first so many are the filter's, which a card has of its own and never of its network.
FILTER_FIELDS = 2
_NONE = ("",) * len(GUARD_FIELDS)

Guards = tuple[str, ...]
# The device's identity, which is its address: a filter holds the card to that.
Card = tuple[str, Guards]


def guards_of(device: Device) -> Guards:
    """One text for each of GUARD_FIELDS; "" where it has none."""
    return tuple(str(device.values.get(name) or "") for name in GUARD_FIELDS)


def guarded_cards(xml: str) -> list[Card]:
    """All network cards of a definition ("" has none), each with its guards. Raises: ValueError."""
    devices = list_devices(xml) if xml else ()
    return [(one.id, guards_of(one)) for one in devices if one.type_key == "interface"]


def is_guarded(guards: Guards) -> bool:
    """Whether it is held back by them: a port's type, or trust in the guest, holds nobody back."""
    return bool(guards[GUARD_FIELDS.index("filter")] or guards[GUARD_FIELDS.index("isolated")])


def are_guards_kept(before: Sequence[Card], after: Sequence[Card]) -> bool:
    """Whether nobody's guards are lost or changed by it.

    A guarded card stays, with its address, as it is guarded; a new card beside it is guarded as one of those.
    """
    if any(is_guarded(guards) and (name, guards) not in after for name, guards in before):
        return False
    known = {name for name, _guards in before}
    allowed = _allowed_for_new(before)
    return all((name, guards) in before if name in known else guards in allowed for name, guards in after)


def _allowed_for_new(before: Sequence[Card]) -> set[Guards]:
    guarded = {guards for _name, guards in before if is_guarded(guards)}
    return guarded or {_NONE, *(guards for _name, guards in before)}
