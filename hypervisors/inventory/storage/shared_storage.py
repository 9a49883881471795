"""Which storage pools of a hypervisor pool look like the same storage: one SharedStorage row, a candidate, for each."""

from collections import defaultdict
from typing import Any

from hypervisors.inventory.storage.storage_pools import shared_identity
from hypervisors.models import SharedStorage, StoragePool
from hypervisors.models.storage_pools import NO_PROOF

Key = tuple[str, str]


def match_shared_storage(hypervisor_pool_id: int) -> set[int]:
    """Have the rows of its storage pools point to what they share. Returns the ids of those that changed.

    A storage pool that vanished, or whose partners did, keeps what it points to: they may come back.
    """
    rows = list(StoragePool.objects.filter(hypervisor__hypervisor_pool=hypervisor_pool_id).values(*_COLUMNS))
    groups: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if (key := _key(row)) is not None:
            groups[key].append(row)
    known = {
        (one.pool_type, one.identity): one for one in SharedStorage.objects.filter(hypervisor_pool=hypervisor_pool_id)
    }
    changed: set[int] = set()
    for row in rows:
        key = _key(row)
        shared = None if key is None else known.get(key)
        if shared is None and key is not None and _is_on_several(groups[key]):
            shared = known[key] = SharedStorage.objects.create(
                hypervisor_pool_id=hypervisor_pool_id, pool_type=key[0], identity=key[1], name=row["name"]
            )
        if row["shared_storage"] != (shared and shared.pk):
            StoragePool.objects.filter(pk=row["pk"]).update(shared_storage=shared, **NO_PROOF)
            changed.add(row["pk"])
    SharedStorage.objects.filter(hypervisor_pool=hypervisor_pool_id, storage_pools=None).delete()
    return changed


_COLUMNS = ("pk", "hypervisor", "name", "pool_type", "target_path", "source", "vanished_at", "shared_storage")


def _key(row: dict[str, Any]) -> Key | None:
    values = {name: row[name] for name in ("pool_type", "name", "target_path", "source")}
    identity = shared_identity(**values)
    return (row["pool_type"], identity) if identity else None


def _is_on_several(rows: list[dict[str, Any]]) -> bool:
    return len({row["hypervisor"] for row in rows if row["vanished_at"] is None}) > 1
