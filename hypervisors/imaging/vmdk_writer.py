"""Writes a streamOptimized VMDK, front to back, as VMware's "Virtual Disk Format 5.0" describes it.

Header and descriptor, then each grain that holds something, compressed, with a table after every 512 of them; at the
end the directory of the tables and a footer that says where it is.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator

from hypervisors.imaging.vmdk import COMPRESSED, DEFLATE, GRAIN_DIRECTORY_AT_END, HEADER, MAGIC, MARKERS, SECTOR_BYTES

GRAIN_BYTES = 64 * 1024
_GRAINS_PER_TABLE = 512
_DESCRIPTOR_SECTORS, _OVERHEAD_SECTORS = 20, 128
_VALID_NEWLINES = 1
_END, _TABLE, _DIRECTORY, _FOOTER = 0, 1, 2, 3
# Each level costs time more than it saves room.
_COMPRESSION_LEVEL = 1


def stream_optimized(
    grains: Iterable[tuple[int, bytes]], *, capacity_bytes: int, name: str, content_id: int
) -> Iterator[bytes]:
    """`grains`: number and GRAIN_BYTES of content, in order; empty ones may be left out or be zeros.

    `name` is the file's own, `content_id` any number of 32 bits. Raises: ValueError for grains out of order.
    """
    return _Writer(capacity_bytes, name, content_id).blocks(grains)


class _Writer:
    def __init__(self, capacity_bytes: int, name: str, content_id: int) -> None:
        if capacity_bytes <= 0 or capacity_bytes % SECTOR_BYTES:
            raise ValueError("A disk has a size in whole sectors.")
        if not name.isprintable() or '"' in name:
            raise ValueError("The name of a disk's file cannot have quotes.")
        self._capacity = capacity_bytes // SECTOR_BYTES
        self._name = name
        self._content_id = content_id
        self._sector = 0
        self._table = [0] * _GRAINS_PER_TABLE
        self._table_number = 0
        most = -(-capacity_bytes // (GRAIN_BYTES * _GRAINS_PER_TABLE))
        self._directory = [0] * most

    def blocks(self, grains: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
        yield self._counted(self._head())
        last = -1
        for number, content in grains:
            if number <= last or number // _GRAINS_PER_TABLE >= len(self._directory):
                raise ValueError("The grains of a disk are written in their order.")
            last = number
            if number // _GRAINS_PER_TABLE != self._table_number:
                yield from self._finished_table()
                self._table_number = number // _GRAINS_PER_TABLE
            if any(content):
                self._table[number % _GRAINS_PER_TABLE] = self._sector
                yield self._counted(self._grain(number, content))
        yield from self._finished_table()
        yield from self._tail()

    def _head(self) -> bytes:
        descriptor = self._descriptor().encode().ljust(_DESCRIPTOR_SECTORS * SECTOR_BYTES, b"\0")
        head = self._header(GRAIN_DIRECTORY_AT_END) + descriptor
        return head.ljust(_OVERHEAD_SECTORS * SECTOR_BYTES, b"\0")

    def _header(self, directory_sector: int) -> bytes:
        return HEADER.pack(
            *(MAGIC, 3, _VALID_NEWLINES | COMPRESSED | MARKERS, self._capacity, GRAIN_BYTES // SECTOR_BYTES),
            *(1, _DESCRIPTOR_SECTORS, _GRAINS_PER_TABLE, 0, directory_sector, _OVERHEAD_SECTORS),
            *(0, b"\n \r\n", DEFLATE),
        )

    def _descriptor(self) -> str:
        heads, sectors = 255, 63
        return (
            "# Disk DescriptorFile\nversion=1\n"
            f"CID={self._content_id & 0xFFFFFFFF:08x}\nparentCID=ffffffff\n"
            'createType="streamOptimized"\n\n# Extent description\n'
            f'RW {self._capacity} SPARSE "{self._name}"\n\n# The Disk Data Base\n#DDB\n\n'
            'ddb.adapterType = "lsilogic"\n'
            f'ddb.geometry.cylinders = "{self._capacity // (heads * sectors)}"\n'
            f'ddb.geometry.heads = "{heads}"\nddb.geometry.sectors = "{sectors}"\n'
            'ddb.virtualHWVersion = "13"\n'
        )

    def _grain(self, number: int, content: bytes) -> bytes:
        compressed = zlib.compress(content.ljust(GRAIN_BYTES, b"\0"), _COMPRESSION_LEVEL)
        marker = struct.pack("<QI", number * (GRAIN_BYTES // SECTOR_BYTES), len(compressed))
        return _padded(marker + compressed)

    def _finished_table(self) -> Iterator[bytes]:
        """What belongs to the table so far; one without any entry is left out."""
        if any(self._table):
            content = struct.pack(f"<{_GRAINS_PER_TABLE}I", *self._table)
            yield self._counted(_marker(_TABLE, len(content) // SECTOR_BYTES))
            self._directory[self._table_number] = self._sector
            yield self._counted(content)
            self._table = [0] * _GRAINS_PER_TABLE

    def _tail(self) -> Iterator[bytes]:
        content = _padded(struct.pack(f"<{len(self._directory)}I", *self._directory))
        yield self._counted(_marker(_DIRECTORY, len(content) // SECTOR_BYTES))
        directory_sector = self._sector
        yield self._counted(content)
        yield _marker(_FOOTER, 1) + self._header(directory_sector) + _marker(_END, 0)

    def _counted(self, block: bytes) -> bytes:
        self._sector += len(block) // SECTOR_BYTES
        if self._sector > 0xFFFFFFFF:
            raise ValueError("A VMDK of this kind holds no more than 2 TiB of compressed content.")
        return block


def _marker(kind: int, sectors: int) -> bytes:
    return _padded(struct.pack("<QII", sectors, 0, kind))


def _padded(block: bytes) -> bytes:
    return block + b"\0" * (-len(block) % SECTOR_BYTES)
