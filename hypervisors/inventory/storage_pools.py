"""The mirror of storage pools: the rows of a hypervisor are made to match its latest listing."""

from dataclasses import asdict

from hypervisors.broadcast import Change
from hypervisors.gateway.storage_pools import StoragePoolFacts
from hypervisors.inventory.observations import StoragePoolsListed
from hypervisors.models import StoragePool

_LIMITS = {"name": 255, "pool_type": 20, "target_path": 1000}


class StoragePoolMirror:
    """Used by the writer's thread alone."""

    def __init__(self) -> None:
        self._written: dict[int, tuple[StoragePoolFacts, ...]] = {}
        self._unsaved: dict[int, tuple[StoragePoolFacts, ...]] = {}

    def load(self) -> None:
        """Forget what was written: everything is told again."""
        self.__init__()  # type: ignore[misc]

    def take_listing(self, listed: StoragePoolsListed) -> None:
        if self._written.get(listed.hypervisor_id) != listed.storage_pools:
            self._unsaved[listed.hypervisor_id] = listed.storage_pools

    def forget_hypervisor(self, hypervisor_id: int) -> None:
        self._written.pop(hypervisor_id, None)
        self._unsaved.pop(hypervisor_id, None)

    def has_unsaved(self) -> bool:
        return bool(self._unsaved)

    def save(self) -> list[Change]:
        """Write and say what to publish. Call in a transaction; after an error, load() anew."""
        unsaved, self._unsaved = self._unsaved, {}
        for hypervisor_id, pools in unsaved.items():
            _replace(hypervisor_id, pools)
        self._written.update(unsaved)
        return [
            Change(what="storage_pool", id=str(hypervisor_id), fields={"hypervisor": hypervisor_id})
            for hypervisor_id in unsaved
        ]


def _replace(hypervisor_id: int, pools: tuple[StoragePoolFacts, ...]) -> None:
    rows = StoragePool.objects.filter(hypervisor=hypervisor_id)
    rows.exclude(uuid__in=[facts.uuid for facts in pools]).delete()
    StoragePool.objects.bulk_create(
        [StoragePool(hypervisor_id=hypervisor_id, **_columns(facts)) for facts in pools],
        update_conflicts=True,
        unique_fields=["hypervisor", "uuid"],
        update_fields=[name for name in StoragePoolFacts.__dataclass_fields__ if name != "uuid"],
    )


def _columns(facts: StoragePoolFacts) -> dict[str, object]:
    values = asdict(facts)
    return values | {name: values[name][:limit] for name, limit in _LIMITS.items()}
