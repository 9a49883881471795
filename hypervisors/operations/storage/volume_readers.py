"""Volumes as files that are read by ranges, through a running operation."""

from hypervisors.errors import NotFound
from hypervisors.gateway.storage.volumes import read_volume, read_volume_bytes
from hypervisors.imaging.appliances import StoredFile
from hypervisors.models import StoragePool
from hypervisors.operations.engine.runs import Run

_READ_SECONDS = 60.0


def stored_file(run: Run, storage_pool: StoragePool, name: str) -> StoredFile | None:
    """The volume of this name; None when the storage pool has none. Raises: errors.HypervisorError."""
    hypervisor, uuid = storage_pool.hypervisor, storage_pool.uuid
    facts = run.ask(lambda connection: read_volume(connection, uuid, name), hypervisor=hypervisor)
    if facts is None:
        return None

    size_bytes = facts.capacity_bytes if facts.physical_bytes is None else facts.physical_bytes

    def read(offset: int, length: int) -> bytes:
        # Offsets come out of hostile headers: beyond what libvirt's numbers hold, it cannot even be asked.
        length = min(length, size_bytes - offset)
        if length <= 0 or offset < 0:
            return b""
        return run.ask(
            lambda connection: read_volume_bytes(connection, uuid, name, offset, length),
            hypervisor=hypervisor,
            seconds=_READ_SECONDS,
        )

    return StoredFile(read=read, size_bytes=size_bytes, volume_name=name)


def needed_file(run: Run, storage_pool: StoragePool, name: str) -> StoredFile:
    """The same. Raises: errors.NotFound when it is gone."""
    file = stored_file(run, storage_pool, name)
    if file is None:
        raise NotFound(f"The volume “{name}” is not in the storage pool “{storage_pool.name}” any more.")
    return file
