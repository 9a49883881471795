"""A volume's bytes as they come and go, https://libvirt.org/html/libvirt-libvirt-storage.html#virStorageVolUpload.

libvirt protects no volume that is being written, and says of a full file system only after it has lost the last bytes:
whoever writes looks afterwards how much is there.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import libvirt

from hypervisors.errors import NotFound
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.storage.failures import translated_storage
from hypervisors.gateway.storage.sizes import plausible
from hypervisors.libvirtxml.storage_volumes import parse_volume

# What one packet of libvirt's protocol carries; more in one call is cut, less is slower.
PACKET_BYTES = 262_120


class OpenVolume:
    """A volume that is looked up once, for who asks for it again and again; each question is one round trip.

    Raises, from each call: errors.NotFound and other HypervisorErrors.
    """

    def __init__(self, connection: Connection, pool_uuid: UUID, name: str) -> None:
        self.name = name
        self._raw = connection.raw
        with translated_storage(f"find volume {name}"):
            self._pool: Any = connection.raw.storagePoolLookupByUUID(pool_uuid.bytes)
            self._volume: Any = _volume(connection, pool_uuid, name)

    def content(self) -> "VolumeContent":
        with translated_storage(f"read volume {self.name}"):
            return _content(self._volume.XMLDesc(0))

    def free_bytes(self, *, look: bool) -> int:
        """Of its storage pool; as libvirt saw it last, which it does after each write, unless it is to look anew."""
        with translated_storage("read the storage pool"):
            if look:
                # While a clone runs in it, what libvirt knew before has to do.
                with suppress(libvirt.libvirtError):
                    self._pool.refresh(0)
            return plausible(self._pool.info()[3])

    def writer(self, *, offset: int, with_holes: bool) -> "VolumeWriter":
        """`with_holes`: `skip` leaves holes; only for files."""
        return VolumeWriter(self._raw, self._volume, self.name, offset=offset, with_holes=with_holes)


class VolumeWriter:
    """Writes into a volume from an offset on; beyond its end, its file grows.

    Not safe for threads. Each call raises errors.HypervisorError: StoragePoolFull, ConnectionLost and others.
    """

    def __init__(self, raw: Any, volume: Any, name: str, *, offset: int, with_holes: bool) -> None:
        self._what = f"write volume {name}"
        with translated_storage(self._what):
            self._stream: Any = raw.newStream(0)
            flags = libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM if with_holes else 0
            volume.upload(self._stream, offset, 0, flags)

    def write(self, block: bytes) -> None:
        with translated_storage(self._what):
            sent = self._stream.send(block)
            while sent < len(block):
                sent += self._stream.send(block[sent:])

    def skip(self, length: int) -> None:
        """Leave so many zeros out."""
        with translated_storage(self._what):
            self._stream.sendHole(length, 0)

    def finish(self) -> None:
        with translated_storage(self._what):
            self._stream.finish()

    def abort(self) -> None:
        """Give up; what has arrived stays."""
        with suppress(libvirt.libvirtError):
            self._stream.abort()


def read_stream(connection: Connection, pool_uuid: UUID, name: str, *, offset: int, length: int) -> Iterator[bytes]:
    """So many bytes of the volume, as they come; close it to give up. Raises: errors.HypervisorError."""
    what = f"read volume {name}"
    if not length:
        return
    with translated_storage(what):
        stream = connection.raw.newStream(0)
        _volume(connection, pool_uuid, name).download(stream, offset, length)
    is_over = False
    try:
        while True:
            with translated_storage(what):
                block: bytes = stream.recv(PACKET_BYTES)
                if not block:
                    stream.finish()
                    is_over = True
                    return
            yield block
    finally:
        if not is_over:
            with suppress(libvirt.libvirtError):
                stream.abort()


@dataclass(frozen=True, kw_only=True)
class VolumeContent:
    """What there is to download: its length, and what changes whenever it does ("" where libvirt does not say)."""

    length_bytes: int
    changed_at: str


def read_content(connection: Connection, pool_uuid: UUID, name: str) -> VolumeContent:
    """Raises: errors.NotFound and other HypervisorErrors."""
    return OpenVolume(connection, pool_uuid, name).content()


def _content(xml: str) -> VolumeContent:
    parsed = parse_volume(xml)
    # An empty file has no physical size; a block device's is its capacity.
    is_file = parsed.volume_type in ("file", "")
    length = parsed.physical_bytes if parsed.physical_bytes is not None else 0 if is_file else parsed.capacity_bytes
    return VolumeContent(length_bytes=length, changed_at=parsed.changed_at)


def _volume(connection: Connection, pool_uuid: UUID, name: str) -> Any:
    """The virStorageVol. Raises: errors.NotFound, libvirtError."""
    pool = connection.raw.storagePoolLookupByUUID(pool_uuid.bytes)
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
            raise NotFound(f"The storage pool has no volume called “{name}”.") from error
        raise
