"""Which domains of a hypervisor use volumes of a storage pool at this moment, or would when they are started."""

from collections.abc import Collection

from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.storage.volume_users import domain_texts
from hypervisors.libvirtxml.storage_pool_references import StoragePoolPlace, is_any_named


def read_storage_pool_users(connection: Connection, places: Collection[StoragePoolPlace]) -> dict[str, bool]:
    """The domains' names, and whether each is active. Raises: errors.HypervisorError."""
    found: dict[str, bool] = {}
    with translated("look which virtual machines use the storage pool"):
        for name, is_active, texts in domain_texts(connection):
            if any(is_any_named(text, places) for text in texts):
                found[name] = is_active
    return found
