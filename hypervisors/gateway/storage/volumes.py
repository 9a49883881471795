"""The volumes of a storage pool, https://libvirt.org/html/libvirt-libvirt-storage.html#virStorageVolPtr.

libvirt protects no volume that is in use: it deletes a running machine's disk when asked to. Who may delete what is
for the operations to know.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any
from uuid import UUID

import libvirt

from hypervisors.errors import StoragePoolFull
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.failures import is_missing
from hypervisors.gateway.storage.failures import translated_storage
from hypervisors.gateway.storage.sizes import is_plausible, plausible
from hypervisors.libvirtxml.storage_pools import is_probe
from hypervisors.libvirtxml.storage_volumes import ParsedVolume, VolumeSpec, build_volume, parse_volume

logger = logging.getLogger(__name__)

_LOOKED_AT_BYTES, _CHUNK_BYTES = 1024**2, 64 * 1024
# libvirt takes no more in one packet.
_PACKET_BYTES = 262_120


class _Without(Enum):
    """What a volume that libvirt lists has not."""

    FILE = "file"


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
    # "luks"; empty: not encrypted. The secret's UUID, as long as libvirt knows it.
    encryption: str = ""
    encryption_secret: str = ""
    # The length of its file; None where libvirt does not say (an empty file, a block device).
    physical_bytes: int | None = None
    # When its file was last changed: seconds with nanoseconds; empty for other kinds.
    changed_at: str = field(default="", compare=False)
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
            if facts is not None and not is_probe(facts.name):
                found[facts.name] = facts
    return [found[name] for name in sorted(found)]


def read_volume(connection: Connection, pool_uuid: UUID, name: str) -> VolumeFacts | None:
    """One volume; None when the storage pool, as far as libvirt knows, has none of that name.

    Raises: errors.StorageBusy for one that libvirt lists and has not made the file of yet, and other HypervisorErrors.
    """
    with translated_storage(f"read volume {name}"):
        found = _read_with_file(connection, pool_uuid, name)
        if not isinstance(found, _Without):
            return found
        # Either it is being made now, and a refresh is refused; or its file was deleted, and a refresh forgets it.
        connection.raw.storagePoolLookupByUUID(pool_uuid.bytes).refresh(0)
        found = _read_with_file(connection, pool_uuid, name)
        return None if isinstance(found, _Without) else found


def create_volume(connection: Connection, pool_uuid: UUID, spec: VolumeSpec) -> VolumeFacts:
    """Create an empty volume, or an overlay. Never writes over what is there.

    Raises: errors.NameTaken, StoragePoolFull, StoragePoolInactive, StorageBusy, NotFound (the storage pool), and other
    HypervisorErrors.
    """
    with translated_storage(f"create volume {spec.name}"):
        pool = connection.raw.storagePoolLookupByUUID(pool_uuid.bytes)
        return _facts(pool.createXML(build_volume(spec), _creation_flags(spec)))


def create_typed_volume(connection: Connection, pool_uuid: UUID, name: str, xml: str) -> VolumeFacts:
    """Create the volume of that name as somebody wrote its XML, who is known to may. Never writes over what is there.

    Raises: as create_volume().
    """
    with translated_storage(f"create volume {name}"):
        return _facts(connection.raw.storagePoolLookupByUUID(pool_uuid.bytes).createXML(xml, 0))


def read_volume_xml(connection: Connection, pool_uuid: UUID, name: str) -> str:
    """As libvirt shows it. Raises: errors.NotFound, StoragePoolInactive, and other HypervisorErrors."""
    with translated_storage(f"read volume {name}"):
        xml: str = connection.raw.storagePoolLookupByUUID(pool_uuid.bytes).storageVolLookupByName(name).XMLDesc(0)
        return xml


def clone_volume(
    connection: Connection, pool_uuid: UUID, spec: VolumeSpec, *, source_pool_uuid: UUID, source_name: str
) -> VolumeFacts:
    """Copy what is in a volume of the same hypervisor into a new one, flattened, in the format of the spec.

    It returns when all is copied, which may take hours, and goes on without whoever asked: libvirt can neither cancel
    it nor say what became of it. Meanwhile the new volume is listed, its allocation grows, and the source, the new one
    and any refresh of both storage pools are refused. libvirt passes over the spec's capacity: the new one is as large
    as the source, see resize_volume(). Where the file system can share blocks between two files, they are.

    libvirt believes what the source's header says, whoever wrote that: look at it first.
    Raises: errors.NameTaken, StoragePoolFull, StorageBusy (the source), NotFound, and other HypervisorErrors.
    """
    if spec.backing_path:
        raise ValueError("A copy is on top of nothing.")
    with translated_storage(f"copy volume {source_name} to {spec.name}"):
        pool = connection.raw.storagePoolLookupByUUID(pool_uuid.bytes)
        source = connection.raw.storagePoolLookupByUUID(source_pool_uuid.bytes).storageVolLookupByName(source_name)
        xml, flags = build_volume(spec), _creation_flags(spec)
        if spec.format == "raw":
            try:
                return _facts(pool.createXMLFrom(xml, source, flags | libvirt.VIR_STORAGE_VOL_CREATE_REFLINK))
            except libvirt.libvirtError as error:
                if not _is_without_reflinks(error):
                    raise
        return _facts(pool.createXMLFrom(xml, source, flags))


def resize_volume(
    connection: Connection, pool_uuid: UUID, name: str, capacity_bytes: int, *, shrink: bool = False
) -> VolumeFacts:
    """Give a volume that nothing has open another size; what is beyond a smaller one is lost.

    libvirt itself changes a raw disk under a running machine: see gateway/domains/disks.py for that.
    Raises: errors.StorageBusy, StoragePoolFull, NotFound, OperationRefused (smaller without `shrink`), and others.
    """
    with translated_storage(f"resize volume {name}"):
        pool = connection.raw.storagePoolLookupByUUID(pool_uuid.bytes)
        volume = pool.storageVolLookupByName(name)
        volume.resize(capacity_bytes, libvirt.VIR_STORAGE_VOL_RESIZE_SHRINK if shrink else 0)
        return _facts(volume)


def wipe_volume(connection: Connection, pool_uuid: UUID, name: str) -> None:
    """Write zeros over a volume, a qcow2 header included; a sparse file is cut and made anew.

    Raises: errors.StorageBusy, NotFound, and other HypervisorErrors.
    """
    with translated_storage(f"wipe volume {name}"):
        connection.raw.storagePoolLookupByUUID(pool_uuid.bytes).storageVolLookupByName(name).wipe(0)


def read_volume_bytes(connection: Connection, pool_uuid: UUID, name: str, offset: int, length: int) -> bytes:
    """Bytes of a volume's file as they lie there, a qcow2 header included; fewer when it ends before.

    For heads and small files: it is held in memory. Raises: errors.NotFound, StorageBusy, and other HypervisorErrors.
    """
    found = bytearray()
    with translated_storage(f"read volume {name}"):
        pool = connection.raw.storagePoolLookupByUUID(pool_uuid.bytes)
        with _stream(connection) as stream:
            pool.storageVolLookupByName(name).download(stream, offset, length)
            while len(found) < length and (data := stream.recv(min(_PACKET_BYTES, length - len(found)))):
                found += data
    return bytes(found)


def write_volume(connection: Connection, pool_uuid: UUID, name: str, blocks: Iterable[bytes]) -> int:
    """Write bytes to the beginning of a volume's file as they are, a seed or a kernel; how many there were.

    Raises: errors.StoragePoolFull when the file is shorter afterwards (libvirt loses the tail on a full storage pool
    without a word), NotFound, StorageBusy, and other HypervisorErrors.
    """
    count = 0
    with translated_storage(f"write volume {name}"):
        volume = connection.raw.storagePoolLookupByUUID(pool_uuid.bytes).storageVolLookupByName(name)
        with _stream(connection) as stream:
            volume.upload(stream, 0, 0)
            for block in blocks:
                _send(stream, block)
                count += len(block)
        facts = _facts(volume)
    if facts.physical_bytes is not None and facts.physical_bytes < count:
        raise StoragePoolFull(f"Could not write volume {name}: its end is missing. The storage pool is full.")
    return count


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


def _creation_flags(spec: VolumeSpec) -> int:
    is_tables_first = spec.format == "qcow2" and spec.preallocation != "off"
    return libvirt.VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA if is_tables_first else 0


def _is_without_reflinks(error: libvirt.libvirtError) -> bool:
    """Whether only the wish to share blocks was refused; libvirt has removed what it began."""
    return error.get_error_code() in (
        libvirt.VIR_ERR_SYSTEM_ERROR,
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_INVALID_ARG,
    )


@contextmanager
def _stream(connection: Connection) -> Iterator["libvirt.virStream"]:
    """One that is finished, or given up after an error."""
    stream = connection.raw.newStream(0)
    try:
        yield stream
    except BaseException:
        with suppress(libvirt.libvirtError):
            stream.abort()
        raise
    stream.finish()


def _send(stream: "libvirt.virStream", block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[stream.send(bytes(rest[:_PACKET_BYTES])) :]


def _find(connection: Connection, pool_uuid: UUID, name: str) -> Any:
    """The virStorageVol, or None."""
    pool = connection.raw.storagePoolLookupByUUID(pool_uuid.bytes)
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
            return None
        raise


def _read_with_file(connection: Connection, pool_uuid: UUID, name: str) -> VolumeFacts | _Without | None:
    """None where libvirt knows none; _Without.FILE where it lists one whose file is not there."""
    volume = _find(connection, pool_uuid, name)
    try:
        return None if volume is None else _facts(volume)
    except libvirt.libvirtError as error:
        if is_missing(error):
            return _Without.FILE
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
        encryption=parsed.encryption,
        encryption_secret=parsed.encryption_secret,
        physical_bytes=parsed.physical_bytes,
        changed_at=parsed.changed_at,
        implausible_bytes=next((size for size in sizes if not is_plausible(size)), None),
    )


def _parsed(xml: str) -> ParsedVolume:
    try:
        return parse_volume(xml)
    except ValueError:
        return ParsedVolume()
