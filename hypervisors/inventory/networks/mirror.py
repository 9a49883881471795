"""The mirror of virtual networks: a hypervisor's rows are made to match its latest listing.

A row outlives its network: what is not listed any more becomes a tombstone. What is listed is matched with a row by its
UUID, else by its name: defined again after it was undefined, it may have another UUID and is still the same.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.utils import timezone

from hypervisors.broadcast import Change
from hypervisors.gateway.networks.networks import NetworkFacts
from hypervisors.inventory.addresses import save_leased_addresses
from hypervisors.inventory.isolation import AT_ONCE, Isolation
from hypervisors.inventory.observations import NetworksListed
from hypervisors.inventory.rows import bring_up_to_date
from hypervisors.inventory.xml_versions import note_versions
from hypervisors.models import Network

_Listing = tuple[NetworkFacts, ...]


class NetworkMirror:
    """Used by the writer's thread alone."""

    def __init__(self) -> None:
        self._written: dict[int, _Listing] = {}
        self._unsaved: dict[int, _Listing] = {}

    def clear(self) -> None:
        """Forget what was written: everything is told again."""
        self.__init__()  # type: ignore[misc]

    def take_listing(self, listed: NetworksListed) -> None:
        if self._written.get(listed.hypervisor_id) != listed.networks:
            self._unsaved[listed.hypervisor_id] = listed.networks

    def forget_hypervisor(self, hypervisor_id: int) -> None:
        self._written.pop(hypervisor_id, None)
        self._unsaved.pop(hypervisor_id, None)

    def drop(self, hypervisor_ids: Collection[int]) -> None:
        """Forget these hypervisors without a trace in the rows: another watcher has them now."""
        for pk in hypervisor_ids:
            self.forget_hypervisor(pk)

    def unsaved_hypervisors(self) -> set[int]:
        return set(self._unsaved)

    def has_unsaved(self) -> bool:
        return bool(self._unsaved)

    def save(self, isolation: Isolation = AT_ONCE) -> list[Change]:
        """Write and say what to publish. Call in a transaction; then note_saved(), or after an error clear()."""
        changes: list[Change] = []
        for hypervisor_id, networks in self._unsaved.items():
            changes += _replace(hypervisor_id, [_columns(facts) for facts in networks], isolation)
        return changes

    def note_saved(self) -> None:
        self._written.update(self._unsaved)
        self._unsaved = {}


def _replace(hypervisor_id: int, listed: list[dict[str, Any]], isolation: Isolation) -> list[Change]:
    rows = list(Network.objects.filter(hypervisor=hypervisor_id))
    changes = []
    for values, row in _matched(listed, rows):
        if row is not None:
            rows.remove(row)
        with isolation.saving(f"Network “{values['name']}” of hypervisor {hypervisor_id}"):
            defined_before = "" if row is None else row.definition_xml
            if row is None:
                row = Network.objects.create(hypervisor_id=hypervisor_id, **values)
                changes.append(_change(row, is_new=True))
            elif bring_up_to_date(row, values | {"vanished_at": None}):
                changes.append(_change(row))
            if row.definition_xml != defined_before:
                note_versions("network_id", {row.pk: row.definition_xml})
            save_leased_addresses(row)
    for row in rows:
        if row.vanished_at is None:
            bring_up_to_date(row, {"vanished_at": timezone.now(), "active": False})
            save_leased_addresses(row)
            changes.append(_change(row))
    return changes


def _matched(listed: list[dict[str, Any]], rows: list[Network]) -> list[tuple[dict[str, Any], Network | None]]:
    """Each listed network with its row: the one of its UUID, else one of its name whose UUID is not listed."""
    by_uuid = {row.uuid: row for row in rows}
    uuids = {values["uuid"] for values in listed}
    left = sorted((row for row in rows if row.uuid not in uuids), key=_seen_until)
    by_name = {row.name: row for row in left}
    return [(values, by_uuid.get(values["uuid"]) or by_name.pop(values["name"], None)) for values in listed]


def _seen_until(row: Network) -> tuple[bool, datetime]:
    """One that was there a moment ago comes after one that is long gone."""
    return (row.vanished_at is None, row.vanished_at or row.first_seen_at)


def _columns(facts: NetworkFacts) -> dict[str, Any]:
    return {
        "uuid": facts.uuid,
        "name": facts.name[:255],
        "active": facts.active,
        "autostart": facts.autostart,
        "forward_mode": facts.forward_mode[:20],
        "bridge": facts.bridge[:50],
        "addresses": " ".join(facts.addresses)[:500],
        "leases": facts.leases,
        "persistent": facts.persistent,
        "kind": facts.kind[:20],
        "definition_xml": facts.definition_xml,
        "live_xml": facts.live_xml,
        "pending": list(facts.pending),
        "connection_count": facts.connection_count,
    }


def _change(row: Network, *, is_new: bool = False) -> Change:
    gone = row.vanished_at is not None
    fields = {"hypervisor": row.hypervisor_id, "name": row.name, "active": row.active, "vanished": gone}
    return Change(what="network", id=str(row.pk), op="add" if is_new else "update", fields=fields)
