"""Rows by which a search finds addresses: written beside what says them, in the same transaction; only what differs."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypervisors.models import DomainAddress, DomainDefinition, LeasedAddress, Network
from hypervisors.models.address_keys import ip_key, mac_key
from hypervisors.models.addresses import Source

# Rows per statement: SQLite takes 32,766 variables.
_BATCH = 500


def save_card_addresses(parses: Iterable[tuple[int, Mapping[str, Any], Mapping[str, Any]]]) -> None:
    """Of these domains (primary key, what was parsed of the live and of the inactive XML)."""
    _save("card", {pk: _macs(live) | _macs(inactive) for pk, live, inactive in parses})


def save_guest_addresses(domain_id: int, told: Mapping[str, Sequence[str]]) -> None:
    """By MAC, as told. What a guest says of cards that it does not have (bridges of its own) is nobody's address."""
    row = DomainDefinition.objects.filter(domain=domain_id).only("live_parsed", "inactive_parsed").first()
    own = _macs(row.parsed) if row is not None else set()
    keys = {ip_key(address) for mac, addresses in told.items() if mac_key(mac) in own for address in addresses}
    _save("guest", {domain_id: keys - {""}})


def save_leased_addresses(row: Network) -> None:
    """What the network's row says; nothing of one that is gone."""
    wanted = set() if row.vanished_at is not None else _leases(row)
    known = {(one.mac_key, one.key): one.pk for one in LeasedAddress.objects.filter(network=row)}
    gone = [pk for pair, pk in known.items() if pair not in wanted]
    new = [LeasedAddress(network=row, mac_key=mac, key=key) for mac, key in sorted(wanted - known.keys())]
    for start in range(0, len(gone), _BATCH):
        LeasedAddress.objects.filter(pk__in=gone[start : start + _BATCH]).delete()
    LeasedAddress.objects.bulk_create(new, batch_size=_BATCH)


def _leases(row: Network) -> set[tuple[str, str]]:
    pairs = {(mac_key(mac), ip_key(one)) for mac, addresses in row.leases.items() for one in addresses}
    return {(mac, key) for mac, key in pairs if mac and key}


def _macs(parsed: Mapping[str, Any]) -> set[str]:
    return {mac_key(str(interface.get("mac", ""))) for interface in parsed.get("interfaces", ())} - {""}


def _save(source: Source, wanted: Mapping[int, set[str]]) -> None:
    domains = list(wanted)
    for start in range(0, len(domains), _BATCH):
        _save_batch(source, {pk: wanted[pk] for pk in domains[start : start + _BATCH]})


def _save_batch(source: Source, wanted: Mapping[int, set[str]]) -> None:
    known: dict[int, dict[str, int]] = defaultdict(dict)
    for pk, domain_id, key in DomainAddress.objects.filter(domain__in=wanted, source=source).values_list(
        "pk", "domain", "key"
    ):
        known[domain_id][key] = pk
    gone = [pk for domain_id, keys in known.items() for key, pk in keys.items() if key not in wanted[domain_id]]
    if gone:
        DomainAddress.objects.filter(pk__in=gone).delete()
    DomainAddress.objects.bulk_create(
        [
            DomainAddress(domain_id=domain_id, source=source, key=key)
            for domain_id, keys in wanted.items()
            for key in sorted(keys - known[domain_id].keys())
        ],
        batch_size=_BATCH,
    )
