"""Bytes of one volume into another, also of another hypervisor's, a piece at a time through this process.

libvirt's event loop reads a download ahead as far as it goes (the whole file, where the other side is slower): pieces
bound what is held in memory.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.storage.failures import translated_storage

PIECE_BYTES = 16 * 1024**2
_PACKET_BYTES = 262_120


@dataclass(frozen=True, kw_only=True)
class VolumeEnd:
    """One end of a copy: a volume and a place in it."""

    connection: Connection
    pool_uuid: UUID
    name: str
    offset: int


def copy_piece(
    source: VolumeEnd, target: VolumeEnd, length: int, *, on_block: Callable[[bytes], object] = lambda _block: None
) -> int:
    """At most PIECE_BYTES; how many there were before the source's end. Each block is shown to `on_block` in order.

    A full file system loses the end of what was written without a word: look at the target's size afterwards.
    Raises: errors.HypervisorError.
    """
    count = 0
    with (
        translated_storage(f"copy from volume {source.name} to {target.name}"),
        _stream(source) as reading,
        _stream(target) as writing,
    ):
        length = min(length, PIECE_BYTES)
        _volume(source).download(reading, source.offset, length)
        _volume(target).upload(writing, target.offset, 0)
        while count < length and (block := reading.recv(min(_PACKET_BYTES, length - count))):
            on_block(block)
            _send(writing, block)
            count += len(block)
    return count


def write_piece(target: VolumeEnd, blocks: list[bytes]) -> None:
    """Write these blocks one after another. Raises: errors.HypervisorError; see copy_piece() for a full disk."""
    with translated_storage(f"write volume {target.name}"), _stream(target) as writing:
        _volume(target).upload(writing, target.offset, 0)
        for block in blocks:
            _send(writing, block)


def _volume(end: VolumeEnd) -> "libvirt.virStorageVol":
    return end.connection.raw.storagePoolLookupByUUID(end.pool_uuid.bytes).storageVolLookupByName(end.name)


@contextmanager
def _stream(end: VolumeEnd) -> Iterator["libvirt.virStream"]:
    """One that is finished, or given up after an error."""
    stream = end.connection.raw.newStream(0)
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
