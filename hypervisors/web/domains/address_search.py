"""Machines by an address, or its beginning: of their cards, as guests and hosts say, as DHCP servers gave it."""

from collections.abc import Mapping, Sequence

from django.db.models import Exists, OuterRef, Q, QuerySet

from hypervisors.models import DomainAddress, LeasedAddress
from hypervisors.models.address_keys import KeyRange, ip_key, ip_ranges, mac_key, mac_ranges


def is_address(text: str) -> bool:
    """Whether it can be one, or the beginning of one."""
    return bool(mac_ranges(text) or ip_ranges(text))


def matches_address(text: str) -> Q:
    """Of domains; matches none for what is no address. Who may see which is the caller's to say."""
    macs, addresses = mac_ranges(text), ip_ranges(text)
    found = Q(pk__in=())
    if macs or addresses:
        found |= Q(pk__in=DomainAddress.objects.filter(_within([*macs, *addresses])).values("domain"))
    if addresses:
        found |= Q(pk__in=_leased_to(_within(addresses)).values("domain"))
    return found


def matching_addresses(text: str, cards: Mapping[str, Sequence[str]]) -> list[str]:
    """Those of a machine's cards (addresses by MAC) that the text means."""
    ranges = [*mac_ranges(text), *ip_ranges(text)]
    keys = [(mac, mac_key(mac)) for mac in cards]
    keys += [(address, ip_key(address)) for addresses in cards.values() for address in addresses]
    return [shown for shown, key in keys if any(first <= key <= last for first, last in ranges)]


def _leased_to(is_meant: Q) -> QuerySet[DomainAddress]:
    """Cards of machines on the very host whose network gave the address: elsewhere others may have their MACs."""
    leases = LeasedAddress.objects.filter(is_meant)
    here = leases.filter(mac_key=OuterRef("key"), network__hypervisor=OuterRef("domain__hypervisor"))
    return DomainAddress.objects.filter(source="card", key__in=leases.values("mac_key")).filter(Exists(here))


def _within(ranges: Sequence[KeyRange]) -> Q:
    found = Q(pk__in=())
    for first, last in ranges:
        found |= Q(key__gte=first, key__lte=last)
    return found
