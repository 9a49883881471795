"""A hypervisor's storage pools, https://libvirt.org/html/libvirt-libvirt-storage.html."""

from dataclasses import dataclass
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.failures import is_missing
from hypervisors.libvirtxml.storage_pools import ParsedStoragePool, parse_storage_pool


@dataclass(frozen=True, kw_only=True)
class StoragePoolFacts:
    """One storage pool. Sizes are those of libvirt's last refresh; 0 while it is inactive."""

    uuid: UUID
    name: str
    pool_type: str
    active: bool
    autostart: bool
    target_path: str
    capacity_bytes: int
    allocation_bytes: int
    available_bytes: int


def list_storage_pools(connection: Connection) -> list[StoragePoolFacts]:
    """All storage pools. May block on a dead network share. Raises: errors.HypervisorError."""
    with translated("list the storage pools"):
        return [facts for pool in connection.raw.listAllStoragePools() if (facts := _facts(pool)) is not None]


def _facts(pool: "libvirt.virStoragePool") -> StoragePoolFacts | None:
    """None when it vanished between two calls."""
    try:
        _state, capacity, allocation, available = pool.info()
        parsed = _parsed(pool.XMLDesc(0))
        return StoragePoolFacts(
            uuid=UUID(bytes=pool.UUID()),
            name=pool.name(),
            pool_type=parsed.pool_type,
            active=bool(pool.isActive()),
            autostart=bool(pool.autostart()),
            target_path=parsed.target_path,
            capacity_bytes=capacity,
            allocation_bytes=allocation,
            available_bytes=available,
        )
    except libvirt.libvirtError as error:
        if is_missing(error):
            return None
        raise


def _parsed(xml: str) -> ParsedStoragePool:
    try:
        return parse_storage_pool(xml)
    except ValueError:
        return ParsedStoragePool()
