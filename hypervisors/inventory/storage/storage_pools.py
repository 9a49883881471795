"""The mirror of storage pools."""

from dataclasses import asdict
from typing import Any

from hypervisors.gateway.storage.storage_pools import StoragePoolFacts
from hypervisors.inventory.host_objects import HostObjectMirror
from hypervisors.models import StoragePool

_LIMITS = {"name": 255, "pool_type": 20, "target_path": 1000, "source": 1000}


def storage_pool_mirror() -> HostObjectMirror[StoragePool, StoragePoolFacts]:
    return HostObjectMirror(StoragePool, _columns, what="storage_pool")


def _columns(facts: StoragePoolFacts) -> dict[str, Any]:
    values = asdict(facts)
    del values["implausible_bytes"]
    return values | {name: values[name][:limit] for name, limit in _LIMITS.items()}
