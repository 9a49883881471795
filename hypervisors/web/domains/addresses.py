"""A machine's addresses, as far as its host's networks gave them by DHCP."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from hypervisors.models import DomainDefinition, Network


class OnHost(Protocol):
    """A Domain or a ListedDomain."""

    pk: int
    hypervisor_id: int | None


def leased_addresses(hypervisor_id: int | None) -> dict[str, list[str]]:
    """By MAC, of all networks of a host. One query."""
    return _by_host([hypervisor_id])[hypervisor_id]


def addresses_of(domains: Sequence[OnHost]) -> dict[int, list[str]]:
    """By the domains' keys. Two queries."""
    leases = _by_host(domain.hypervisor_id for domain in domains)
    definitions = DomainDefinition.objects.filter(domain__in=[domain.pk for domain in domains])
    parses = {row.pk: row.parsed for row in definitions.only("live_parsed", "inactive_parsed")}
    return {domain.pk: _of(parses.get(domain.pk, {}), leases[domain.hypervisor_id]) for domain in domains}


def _of(parsed: Mapping[str, Any], leases: Mapping[str, list[str]]) -> list[str]:
    macs = [str(interface.get("mac", "")).lower() for interface in parsed.get("interfaces", [])]
    return [address for mac in macs for address in leases.get(mac, [])]


def _by_host(hypervisor_ids: Iterable[int | None]) -> dict[int | None, dict[str, list[str]]]:
    found: dict[int | None, dict[str, list[str]]] = defaultdict(dict)
    networks = Network.objects.present().filter(hypervisor__in={pk for pk in hypervisor_ids if pk is not None})
    for hypervisor_id, leases in networks.exclude(leases={}).values_list("hypervisor", "leases"):
        for mac, addresses in leases.items():
            found[hypervisor_id].setdefault(mac, []).extend(addresses)
    return found
