"""A machine's addresses: as its guest or its host says, and as its host's networks gave them by DHCP."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from hypervisors.models import DomainDefinition, GuestFacts, Network


class OnHost(Protocol):
    """A Domain or a ListedDomain."""

    pk: int
    hypervisor_id: int | None


def leased_addresses(hypervisor_id: int | None) -> dict[str, list[str]]:
    """By MAC, of all networks of a host. One query."""
    return _by_host([hypervisor_id])[hypervisor_id]


def merged_addresses(told: Mapping[str, Sequence[str]], leased: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """By MAC: what the guest or its host says, then what a DHCP server gave; each once."""
    macs = told.keys() | leased.keys()
    return {mac: list(dict.fromkeys([*told.get(mac, ()), *leased.get(mac, ())])) for mac in macs}


def addresses_of(domains: Sequence[OnHost]) -> dict[int, list[str]]:
    """By the domains' keys. Three queries."""
    return {pk: [one for told in cards.values() for one in told] for pk, cards in cards_of(domains).items()}


def cards_of(domains: Sequence[OnHost]) -> dict[int, dict[str, list[str]]]:
    """By the domains' keys: the addresses of each card by its MAC. Three queries."""
    leases = _by_host(domain.hypervisor_id for domain in domains)
    definitions = DomainDefinition.objects.filter(domain__in=[domain.pk for domain in domains])
    parses = {row.pk: row.parsed for row in definitions.only("live_parsed", "inactive_parsed")}
    guests = {row.pk: row.addresses for row in GuestFacts.objects.filter(domain__in=[one.pk for one in domains])}
    known = {one.pk: merged_addresses(guests.get(one.pk, {}), leases[one.hypervisor_id]) for one in domains}
    return {domain.pk: _of(parses.get(domain.pk, {}), known[domain.pk]) for domain in domains}


def _of(parsed: Mapping[str, Any], known: Mapping[str, list[str]]) -> dict[str, list[str]]:
    macs = [str(interface.get("mac", "")).lower() for interface in parsed.get("interfaces", [])]
    return {mac: known.get(mac, []) for mac in macs if mac}


def _by_host(hypervisor_ids: Iterable[int | None]) -> dict[int | None, dict[str, list[str]]]:
    found: dict[int | None, dict[str, list[str]]] = defaultdict(dict)
    networks = Network.objects.present().filter(hypervisor__in={pk for pk in hypervisor_ids if pk is not None})
    for hypervisor_id, leases in networks.exclude(leases={}).values_list("hypervisor", "leases"):
        for mac, addresses in leases.items():
            found[hypervisor_id].setdefault(mac, []).extend(addresses)
    return found
