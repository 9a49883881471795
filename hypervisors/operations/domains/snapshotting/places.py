"""Where in the storage a file of a snapshot is."""

import posixpath

from hypervisors.models import Hypervisor, StoragePool, Volume


def volume_at(hypervisor: Hypervisor | None, path: str) -> tuple[StoragePool, str] | None:
    """The storage pool of the host and the volume's name; also of a file that was not there at the last look."""
    pools = StoragePool.objects.present().filter(hypervisor=hypervisor).select_related("hypervisor")
    known = Volume.objects.filter(storage_pool__in=pools, path=path).select_related("storage_pool__hypervisor").first()
    if known is not None:
        return known.storage_pool, known.name
    folder = posixpath.dirname(path)
    pool = next((one for one in pools if posixpath.normpath(one.target_path or "/") == folder), None)
    return (pool, posixpath.basename(path)) if pool is not None else None
