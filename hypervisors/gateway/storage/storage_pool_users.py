"""Which domains of a hypervisor use volumes of a storage pool at this moment, or would when they are started."""

from collections.abc import Collection

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.failures import is_missing
from hypervisors.libvirtxml.storage_pool_references import StoragePoolPlace, is_any_named


def read_storage_pool_users(connection: Connection, places: Collection[StoragePoolPlace]) -> dict[str, bool]:
    """The domains' names, and whether each is active. Raises: errors.HypervisorError."""
    found: dict[str, bool] = {}
    with translated("look which virtual machines use the storage pool"):
        for domain in connection.raw.listAllDomains(0):
            try:
                name, is_active = domain.name(), bool(domain.isActive())
                texts = [domain.XMLDesc(0)]
                if is_active and domain.isPersistent():
                    texts.append(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            except libvirt.libvirtError as error:
                if is_missing(error):
                    continue
                raise
            if any(is_any_named(text, places) for text in texts):
                found[name] = is_active
    return found
