"""A hypervisor's storage pools, https://libvirt.org/html/libvirt-libvirt-storage.html.

Any call may block for as long as a dead network share does, and with it every call on the same storage pool, the
listing of all included: so each storage pool is read by itself.
"""

from dataclasses import dataclass
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.definitions import if_there, xml_of_definition
from hypervisors.gateway.storage.failures import translated_storage
from hypervisors.gateway.storage.sizes import is_plausible, plausible
from hypervisors.libvirtxml.momentary_pools import is_momentary_pool
from hypervisors.libvirtxml.storage_pool_builder import definition_of
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
    source: str
    capacity_bytes: int
    allocation_bytes: int
    available_bytes: int
    # False for one that libvirt forgets when it is stopped.
    persistent: bool = True
    # Its definition, which for one that was edited differs from what it was started with; "" where it cannot be read.
    definition_xml: str = ""
    # The first size that cannot be one, as libvirt said it; it counts as 0 above.
    implausible_bytes: int | None = None


def list_storage_pool_uuids(connection: Connection) -> list[UUID]:
    """All storage pools, inactive ones included. Raises: errors.HypervisorError."""
    with translated("list the storage pools"):
        return [UUID(bytes=pool.UUID()) for pool in connection.raw.listAllStoragePools()]


def read_storage_pool(connection: Connection, pool_uuid: UUID) -> StoragePoolFacts | None:
    """One storage pool; None when there is none, or only one of ours for a moment. Raises: errors.HypervisorError."""
    with translated(f"read storage pool {pool_uuid}"):
        return if_there(lambda: _facts_but_momentary(connection.raw.storagePoolLookupByUUID(pool_uuid.bytes)))


def refresh_storage_pool(connection: Connection, pool_uuid: UUID) -> None:
    """Have libvirt look at what is there now. Raises: errors.StorageBusy while a volume is being made, and others."""
    with translated_storage("refresh the storage pool"):
        connection.raw.storagePoolLookupByUUID(pool_uuid.bytes).refresh(0)


def definition_xml(pool: "libvirt.virStoragePool") -> str:
    """What it is defined by. Raises: libvirt.libvirtError, ValueError."""
    return definition_of(xml_of_definition(pool, libvirt.VIR_STORAGE_XML_INACTIVE))


def _definition(pool: "libvirt.virStoragePool") -> str:
    try:
        return definition_xml(pool)
    except ValueError:
        return ""


def _facts_but_momentary(pool: "libvirt.virStoragePool") -> StoragePoolFacts | None:
    return None if is_momentary_pool(pool.name()) else _facts(pool)


def _facts(pool: "libvirt.virStoragePool") -> StoragePoolFacts:
    _state, *sizes = pool.info()
    capacity, allocation, available = sizes
    parsed = _parsed(pool.XMLDesc(0))
    return StoragePoolFacts(
        uuid=UUID(bytes=pool.UUID()),
        name=pool.name(),
        pool_type=parsed.pool_type,
        active=bool(pool.isActive()),
        autostart=bool(pool.autostart()),
        target_path=parsed.target_path,
        source=parsed.source,
        capacity_bytes=plausible(capacity),
        allocation_bytes=plausible(allocation),
        available_bytes=plausible(available),
        persistent=bool(pool.isPersistent()),
        definition_xml=_definition(pool),
        implausible_bytes=next((size for size in sizes if not is_plausible(size)), None),
    )


def _parsed(xml: str) -> ParsedStoragePool:
    try:
        return parse_storage_pool(xml)
    except ValueError:
        return ParsedStoragePool()
