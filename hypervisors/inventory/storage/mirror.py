"""The mirror of storage pools and their volumes: rows follow what the storage readers tell, and outlive what is gone.

A storage pool is known by its UUID, else by its name on its host: defined again after it was undefined, it may have
another UUID and is still the same row. A volume is known by its name in its storage pool. While a storage pool is
inactive or does not answer, its volumes stay as they were last seen.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from hypervisors.broadcast import Change
from hypervisors.gateway.storage.storage_pools import StoragePoolFacts
from hypervisors.gateway.storage.volumes import VolumeFacts
from hypervisors.inventory.isolation import AT_ONCE, Isolation
from hypervisors.inventory.observations import (
    StoragePoolRead,
    StoragePoolsListed,
    StoragePoolTroubled,
    VolumeHeadRead,
    VolumesListed,
)
from hypervisors.inventory.rows import bring_up_to_date
from hypervisors.inventory.storage.heads import ReadHead, save_head
from hypervisors.inventory.storage.quarantine import judge_changed
from hypervisors.inventory.storage.shared_storage import match_shared_storage
from hypervisors.inventory.storage.storage_pools import pool_columns, size_troubles, volume_columns
from hypervisors.inventory.xml_versions import note_versions
from hypervisors.models import StoragePool, Volume
from hypervisors.models.storage_pools import NO_PROOF

# A storage pool of a hypervisor.
Key = tuple[int, UUID]
# Rows per statement: SQLite takes 32,766 variables.
_BATCH = 500
_IDENTITY = {"name", "pool_type", "target_path", "source", "vanished_at"}


class StorageMirror:
    """Used by the writer's thread alone."""

    def __init__(self) -> None:
        # What was told last.
        self._listed: dict[int, frozenset[UUID]] = {}
        self._facts: dict[Key, StoragePoolFacts] = {}
        self._volumes: dict[Key, tuple[VolumeFacts, ...]] = {}
        self._troubles: dict[Key, str] = {}
        # What of the volumes is in the rows: a listing of thousands is compared in memory.
        self._saved_volumes: dict[Key, dict[str, VolumeFacts]] = {}
        self._pool_of: dict[int, int] = {}
        # What of it is not in the rows yet.
        self._unsaved_listings: set[int] = set()
        self._unsaved_pools: set[Key] = set()
        self._unsaved_volumes: dict[Key, datetime] = {}
        self._unsaved_heads: dict[Key, dict[str, ReadHead]] = {}
        # Hypervisor pools in which something may be shared now that was not, or no longer.
        self._unmatched: set[int] = set()

    def clear(self) -> None:
        """Forget what was written: everything is told again."""
        self.__init__()  # type: ignore[misc]

    def drop(self, hypervisor_ids: Collection[int]) -> None:
        """Forget these hypervisors without a trace in the rows: another watcher has them now."""
        for pk in hypervisor_ids:
            self.forget_hypervisor(pk)

    def forget_hypervisor(self, hypervisor_id: int) -> None:
        self._listed.pop(hypervisor_id, None)
        self._pool_of.pop(hypervisor_id, None)
        self._unsaved_listings.discard(hypervisor_id)
        unsaved = (self._unsaved_volumes, self._unsaved_heads)
        for known in (self._facts, self._volumes, self._troubles, self._saved_volumes, *unsaved):
            for key in [key for key in known if key[0] == hypervisor_id]:
                del known[key]
        self._unsaved_pools = {key for key in self._unsaved_pools if key[0] != hypervisor_id}

    def note_hypervisor_pools(self, pool_of: Mapping[int, int]) -> None:
        """The hypervisor pool of each hypervisor: what is shared is shared within one."""
        for hypervisor_id, pool in pool_of.items():
            if self._pool_of.get(hypervisor_id) != pool:
                self._unmatched.add(pool)
        self._pool_of = dict(pool_of)

    def take_listing(self, listed: StoragePoolsListed) -> None:
        uuids = frozenset(listed.uuids)
        if self._listed.get(listed.hypervisor_id) != uuids:
            self._listed[listed.hypervisor_id] = uuids
            self._unsaved_listings.add(listed.hypervisor_id)

    def take_reading(self, read: StoragePoolRead) -> None:
        key = (read.hypervisor_id, read.facts.uuid)
        if self._facts.get(key) != read.facts:
            self._facts[key] = read.facts
            self._unsaved_pools.add(key)

    def take_trouble(self, seen: StoragePoolTroubled) -> None:
        key = (seen.hypervisor_id, seen.uuid)
        if self._troubles.get(key, "") != seen.trouble:
            self._troubles[key] = seen.trouble
            self._unsaved_pools.add(key)

    def take_volumes(self, listed: VolumesListed) -> None:
        key = (listed.hypervisor_id, listed.pool_uuid)
        if any(v.implausible_bytes is not None for v in (*self._volumes.get(key, ()), *listed.volumes)):
            self._unsaved_pools.add(key)
        self._volumes[key] = listed.volumes
        self._unsaved_volumes[key] = timezone.now()

    def take_head(self, read: VolumeHeadRead) -> None:
        self._unsaved_heads.setdefault((read.hypervisor_id, read.pool_uuid), {})[read.name] = read.head

    def has_unsaved(self) -> bool:
        return bool(self._unsaved_listings or self._keys() or self._unmatched)

    def unsaved_hypervisors(self) -> set[int]:
        in_unmatched = {pk for pk, pool in self._pool_of.items() if pool in self._unmatched}
        return self._unsaved_listings | {key[0] for key in self._keys()} | in_unmatched

    def save(self, isolation: Isolation = AT_ONCE) -> list[Change]:
        """Write and say what to publish. Call in a transaction; then note_saved(), or after an error clear()."""
        changes: list[Change] = []
        for hypervisor_id in self._unsaved_listings | {key[0] for key in self._keys()}:
            changes += self._save_hypervisor(hypervisor_id, isolation)
        matched: set[int] = set()
        for pool in self._unmatched:
            with isolation.saving(f"What storage is shared in hypervisor pool {pool}"):
                matched |= match_shared_storage(pool)
        changes += [_pool_change(row) for row in StoragePool.objects.filter(pk__in=matched)] if matched else []
        return changes

    def note_saved(self) -> None:
        for key in self._unsaved_volumes:
            if key in self._volumes:
                self._saved_volumes[key] = {facts.name: facts for facts in self._volumes[key]}
        self._unsaved_listings, self._unsaved_pools, self._unsaved_volumes = set(), set(), {}
        self._unsaved_heads = {}
        self._unmatched = set()

    def _keys(self) -> set[Key]:
        return self._unsaved_pools | self._unsaved_volumes.keys() | self._unsaved_heads.keys()

    def _save_hypervisor(self, hypervisor_id: int, isolation: Isolation) -> list[Change]:
        rows = {row.uuid: row for row in StoragePool.objects.filter(hypervisor=hypervisor_id)}
        changed: dict[int, Change] = {}
        for key in sorted(self._unsaved_pools):
            if key[0] == hypervisor_id:
                with isolation.saving(f"Storage pool {self._name(key)}"):
                    self._save_pool(key, rows, changed)
        if hypervisor_id in self._unsaved_listings:
            self._make_tombstones(hypervisor_id, rows, changed)
        volumes_changed: dict[int, Change] = {}
        for key, read_at in self._unsaved_volumes.items():
            row = rows.get(key[1])
            if key[0] == hypervisor_id and row is not None:
                StoragePool.objects.filter(pk=row.pk).update(volumes_read_at=read_at)
                if save_volumes(row, self._volumes[key], self._saved_volumes.get(key), isolation):
                    volumes_changed[row.pk] = _volume_change(row)
        for key, heads in self._unsaved_heads.items():
            row = rows.get(key[1])
            if key[0] == hypervisor_id and row is not None and _save_heads(row, heads, isolation):
                volumes_changed[row.pk] = _volume_change(row)
        return [*changed.values(), *volumes_changed.values()]

    def _save_pool(self, key: Key, rows: dict[UUID, StoragePool], changed: dict[int, Change]) -> None:
        facts, row = self._facts.get(key), rows.get(key[1])
        values: dict[str, Any] = {}
        if facts is not None:
            values = pool_columns(facts) | {"vanished_at": None}
            row = row or self._former(key, facts.name, rows)
        elif row is None:
            # In trouble before it was ever read: there is nothing to show.
            return
        values |= self._trouble_columns(key, row)
        defined_before = "" if row is None else row.definition_xml
        if row is None:
            row = StoragePool.objects.create(hypervisor_id=key[0], **values)
            changed[row.pk] = _pool_change(row, is_new=True)
            self._unmatched.add(self._pool_of.get(key[0], 0))
        else:
            rows.pop(row.uuid, None)
            if row.active and not values.get("active", True):
                # When it is started again, something else may be mounted there.
                values |= NO_PROOF
            if any(getattr(row, name) != values[name] for name in _IDENTITY & values.keys()):
                self._unmatched.add(self._pool_of.get(key[0], 0))
            if bring_up_to_date(row, values):
                changed[row.pk] = _pool_change(row)
        rows[row.uuid] = row
        if row.definition_xml != defined_before:
            note_versions("storage_pool_id", {row.pk: row.definition_xml})

    def _former(self, key: Key, name: str, rows: Mapping[UUID, StoragePool]) -> StoragePool | None:
        """The row that had the name under another UUID: names are unique on a host."""
        listed = self._listed.get(key[0], frozenset())
        named = [row for row in rows.values() if row.name == name[:255] and row.uuid not in listed]
        return max(named, key=lambda row: (row.vanished_at is None, row.vanished_at or row.first_seen_at), default=None)

    def _trouble_columns(self, key: Key, row: StoragePool | None) -> dict[str, Any]:
        sizes = size_troubles(self._facts.get(key), self._volumes.get(key, ()))
        trouble = " ".join(filter(None, (self._troubles.get(key, ""), sizes)))
        since = None if row is None else row.trouble_since
        return {"trouble": trouble, "trouble_since": (since or timezone.now()) if trouble else None}

    def _make_tombstones(self, hypervisor_id: int, rows: dict[UUID, StoragePool], changed: dict[int, Change]) -> None:
        now, listed = timezone.now(), self._listed[hypervisor_id]
        for uuid, row in rows.items():
            if uuid in listed or row.vanished_at is not None:
                continue
            bring_up_to_date(
                row, {"vanished_at": now, "active": False, "trouble": "", "trouble_since": None} | NO_PROOF
            )
            row.volumes.filter(vanished_at=None).update(vanished_at=now)
            changed[row.pk] = _pool_change(row)
            self._unmatched.add(self._pool_of.get(hypervisor_id, 0))
            for known in (self._facts, self._volumes, self._troubles, self._saved_volumes):
                known.pop((hypervisor_id, uuid), None)

    def _name(self, key: Key) -> str:
        facts = self._facts.get(key)
        return f"“{facts.name}” of hypervisor {key[0]}" if facts else f"{key[1]} of hypervisor {key[0]}"


def save_volumes(
    row: StoragePool,
    listed: Iterable[VolumeFacts],
    before: Mapping[str, VolumeFacts] | None = None,
    isolation: Isolation = AT_ONCE,
) -> bool:
    """Make the storage pool's volumes match the listing; False when nothing differs.

    `before` is the listing that the rows are known to match; without one they are read.
    """
    values = {columns["name"]: columns for columns in map(volume_columns, listed)}
    known = _columns_of_rows(row) if before is None else {c["name"]: c for c in map(volume_columns, before.values())}
    different = [Volume(storage_pool=row, **columns) for name, columns in values.items() if known.get(name) != columns]
    for batch in _batches(different, 1 if isolation.each else _BATCH):
        with isolation.saving(f"Volume “{batch[0].name}” of storage pool “{row.name}”"):
            _upsert([one for one in batch if not _has_untold_secret(one)], _VOLUME_COLUMNS)
            _upsert([one for one in batch if _has_untold_secret(one)], _WITHOUT_SECRET)
    doubtful = {one.name for one in different if _is_changed(one, known.get(one.name))}
    if doubtful:
        with isolation.saving(f"Whose bytes of storage pool “{row.name}” are trusted"):
            judge_changed(row, doubtful, {name: known[name]["format"] for name in doubtful & known.keys()})
    gone = sorted(known.keys() - values.keys())
    for start in range(0, len(gone), _BATCH):
        row.volumes.filter(name__in=gone[start : start + _BATCH]).update(vanished_at=timezone.now())
    return bool(different or gone)


def _save_heads(row: StoragePool, heads: Mapping[str, ReadHead], isolation: Isolation) -> bool:
    """Write what images say; False when nothing differs."""
    names, is_news = sorted(heads), False
    for start in range(0, len(names), _BATCH):
        for volume in row.volumes.present().filter(name__in=names[start : start + _BATCH]):
            with isolation.saving(f"What “{volume.name}” of storage pool “{row.name}” says"):
                is_news |= save_head(volume, heads[volume.name])
    return is_news


def _is_changed(volume: Volume, before: Mapping[str, Any] | None) -> bool:
    """Whether it is another kind of volume than it was, or new."""
    return before is None or (volume.format, volume.backing_path) != (before["format"], before["backing_path"])


def _columns_of_rows(row: StoragePool) -> dict[str, dict[str, Any]]:
    return {columns["name"]: columns for columns in row.volumes.present().values("name", *_VOLUME_COLUMNS[:-1])}


def _batches(volumes: list[Volume], size: int) -> Iterable[list[Volume]]:
    return (volumes[start : start + size] for start in range(0, len(volumes), size))


def _has_untold_secret(volume: Volume) -> bool:
    """Whether libvirt does not say, any more, what it is encrypted with: what it said before stands."""
    return bool(volume.encryption and not volume.encryption_secret)


def _upsert(volumes: list[Volume], columns: Collection[str]) -> None:
    if volumes:
        Volume.objects.bulk_create(
            volumes, update_conflicts=True, unique_fields=["storage_pool", "name"], update_fields=columns
        )


_VOLUME_COLUMNS = (
    "key",
    "path",
    "volume_type",
    "format",
    "capacity_bytes",
    "allocation_bytes",
    "backing_path",
    "backing_format",
    "encryption",
    "encryption_secret",
    "vanished_at",
)
_WITHOUT_SECRET = tuple(name for name in _VOLUME_COLUMNS if name != "encryption_secret")


def _pool_change(row: StoragePool, *, is_new: bool = False) -> Change:
    fields = {
        "hypervisor": row.hypervisor_id,
        "shared_storage": row.shared_storage_id,
        "name": row.name,
        "active": row.active,
        "capacity_bytes": row.capacity_bytes,
        "allocation_bytes": row.allocation_bytes,
        "available_bytes": row.available_bytes,
        "trouble": row.trouble,
        "vanished": row.vanished_at is not None,
    }
    return Change(what="storage_pool", id=str(row.pk), op="add" if is_new else "update", fields=fields)


def _volume_change(row: StoragePool) -> Change:
    """That some of its volumes changed: `id` is the storage pool's, for a listing may change a thousand."""
    fields = {"storage_pool": row.pk, "hypervisor": row.hypervisor_id}
    return Change(what="volume", id=str(row.pk), fields=fields)
