"""The volumes of a storage pool, https://libvirt.org/html/libvirt-libvirt-storage.html#virStorageVolPtr.

libvirt protects no volume that is in use: it deletes a running machine's disk when asked to. Who may delete what is
for the operations to know.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.failures import is_missing
from hypervisors.gateway.storage.failures import translated_storage
from hypervisors.gateway.storage.sizes import is_plausible, plausible
from hypervisors.libvirtxml.storage_volumes import ParsedVolume, VolumeSpec, build_volume, parse_volume

logger = logging.getLogger(__name__)

_LOOKED_AT_BYTES, _CHUNK_BYTES = 1024**2, 64 * 1024


@dataclass(frozen=True, kw_only=True)
class VolumeFacts:
    """One volume as libvirt has it now."""

    name: str
    key: str
    path: str
    volume_type: str
    format: str
    capacity_bytes: int
    allocation_bytes: int
    backing_path: str
    backing_format: str
    # The length of its file; None where libvirt does not say (an empty file, a block device).
    physical_bytes: int | None = None
    # A size that cannot be one, as libvirt said it; it counts as 0 above.
    implausible_bytes: int | None = None


def list_volumes(
    connection: Connection,
    pool_uuid: UUID,
    *,
    known: Mapping[str, VolumeFacts] | None = None,
    on_progress: Callable[[], None] = lambda: None,
) -> list[VolumeFacts]:
    """All volumes of an active storage pool, by name.

    The XML of those in `known` is read again only when their capacity changed. `on_progress` is called between two.
    Raises: errors.NotFound (the storage pool), StoragePoolInactive, and other HypervisorErrors.
    """
    known = known or {}
    found: dict[str, VolumeFacts] = {}
    with translated_storage("list the volumes"):
        for volume in connection.raw.storagePoolLookupByUUID(pool_uuid.bytes).listAllVolumes():
            on_progress()
            facts = _read_listed(volume, known)
            if facts is not None:
                found[facts.name] = facts
    return [found[name] for name in sorted(found)]


def read_volume(connection: Connection, pool_uuid: UUID, name: str) -> VolumeFacts | None:
    """One volume; None when the storage pool, as far as libvirt knows, has none of that name."""
    with translated_storage(f"read volume {name}"):
        volume = _find(connection, pool_uuid, name)
        try:
            return None if volume is None else _facts(volume)
        except libvirt.libvirtError as error:
            if is_missing(error):
                return None
            raise


def create_volume(connection: Connection, pool_uuid: UUID, spec: VolumeSpec) -> VolumeFacts:
    """Create an empty volume, or an overlay. Never writes over what is there.

    Raises: errors.NameTaken, StoragePoolFull, StoragePoolInactive, StorageBusy, NotFound (the storage pool), and other
    HypervisorErrors.
    """
    with translated_storage(f"create volume {spec.name}"):
        pool = connection.raw.storagePoolLookupByUUID(pool_uuid.bytes)
        return _facts(pool.createXML(build_volume(spec), 0))


def delete_volume(connection: Connection, pool_uuid: UUID, name: str) -> None:
    """Delete a volume with all that is in it. One that is not there is gone already: no error.

    Raises: errors.StorageBusy, StoragePoolInactive, NotFound (the storage pool), and other HypervisorErrors.
    """
    with translated_storage(f"delete volume {name}"):
        volume = _find(connection, pool_uuid, name)
        if volume is None:
            return
        try:
            volume.delete(0)
        except libvirt.libvirtError as error:
            if not is_missing(error):
                raise


def begins_with_zeros(connection: Connection, pool_uuid: UUID, name: str) -> bool:
    """Whether the first MiB of what is in a volume is empty; one that is not there, or holds nothing at all, is.

    https://libvirt.org/html/libvirt-libvirt-storage.html#virStorageVolDownload. Raises: errors.HypervisorError.
    """
    with translated_storage(f"read volume {name}"):
        volume = _find(connection, pool_uuid, name)
        if volume is None:
            return True
        stream = connection.raw.newStream(0)
        try:
            volume.download(stream, 0, _LOOKED_AT_BYTES)
            while data := stream.recv(_CHUNK_BYTES):
                if any(data):
                    stream.abort()
                    return False
            stream.finish()
        except libvirt.libvirtError as error:
            # libvirt's test driver: its volumes hold nothing.
            if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
                return True
            raise
    return True


def _find(connection: Connection, pool_uuid: UUID, name: str) -> Any:
    """The virStorageVol, or None."""
    pool = connection.raw.storagePoolLookupByUUID(pool_uuid.bytes)
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
            return None
        raise


def _read_listed(volume: Any, known: Mapping[str, VolumeFacts]) -> VolumeFacts | None:
    """None for one that vanished meanwhile, or whose name is no text."""
    try:
        before = known.get(volume.name())
        if before is not None and before.implausible_bytes is None:
            _type, capacity, allocation = volume.info()
            if capacity == before.capacity_bytes and is_plausible(allocation):
                is_same = allocation == before.allocation_bytes
                return before if is_same else replace(before, allocation_bytes=allocation)
        return _facts(volume)
    except UnicodeDecodeError:
        logger.warning("A volume is passed over: its name is not UTF-8.")
        return None
    except libvirt.libvirtError as error:
        if is_missing(error):
            return None
        raise


def _facts(volume: Any) -> VolumeFacts:
    parsed = _parsed(volume.XMLDesc(0))
    sizes = (parsed.capacity_bytes, parsed.allocation_bytes)
    return VolumeFacts(
        name=volume.name(),
        key=parsed.key or volume.key(),
        path=parsed.path or volume.path(),
        volume_type=parsed.volume_type,
        format=parsed.format,
        capacity_bytes=plausible(parsed.capacity_bytes),
        allocation_bytes=plausible(parsed.allocation_bytes),
        backing_path=parsed.backing_path,
        backing_format=parsed.backing_format,
        physical_bytes=parsed.physical_bytes,
        implausible_bytes=next((size for size in sizes if not is_plausible(size)), None),
    )


def _parsed(xml: str) -> ParsedVolume:
    try:
        return parse_volume(xml)
    except ValueError:
        return ParsedVolume()
