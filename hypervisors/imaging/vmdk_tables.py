"""The grain tables of a sparse VMDK: what of the disk is there, and where in the file; read by ranges.

A table may point a thousand times to the same few bytes, or a directory to the same table: what a disk unfolds to is
known from its tables alone, before anything is unpacked.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from hypervisors.imaging.image_facts import HeaderProblem
from hypervisors.imaging.ova import Reader
from hypervisors.imaging.vmdk import HEADER, MARKERS, SECTOR_BYTES, SparseHeader, parse_sparse_header

# The largest disk of VMware.
MOST_CAPACITY_BYTES = 62 * 1024**4
_FOOTER_BYTES = 3 * SECTOR_BYTES
_FOOTER_MARKER, _END_MARKER = 3, 0
_WINDOW_BYTES, _SCATTERED_BYTES = 256 * 1024, 4096
_ZERO_GRAIN = 1
_RUN_BYTES = 4 * 1024**2


@dataclass(frozen=True, kw_only=True)
class Grain:
    """`number` of the disk's grains; `offset` in the file."""

    number: int
    offset: int


def read_grains(read: Reader, tables: "GrainTables") -> Iterator[tuple[int, bytes]]:
    """Number and content of each grain of a disk that is not compressed; those beside one another are read at once."""
    size = tables.header.grain_bytes
    for first, count in _runs(tables.grains(), size):
        content = read(first.offset, count * size)
        if len(content) < (count - 1) * size:
            raise HeaderProblem("It is cut off: a part of the disk lies behind its end.")
        for index in range(count):
            yield first.number + index, content[index * size : (index + 1) * size]


def _runs(grains: Iterator[Grain], size: int) -> Iterator[tuple[Grain, int]]:
    """The first of those that follow one another on the disk and in the file, and how many they are."""
    first, count = None, 0
    for grain in grains:
        follows = first is not None and (grain.number, grain.offset) == (
            first.number + count,
            first.offset + count * size,
        )
        if first is not None and (not follows or count * size >= _RUN_BYTES):
            yield first, count
            first = None
        first, count = (grain, 1) if first is None else (first, count + 1)
    if first is not None:
        yield first, count


class GrainTables:
    """Of a file of `size_bytes`. Raises: HeaderProblem, and what `read` raises."""

    def __init__(self, read: Reader, *, size_bytes: int) -> None:
        self._read = _Window(read)
        self._size_bytes = size_bytes
        self.header = self._true_header()
        if self.header.capacity_bytes > MOST_CAPACITY_BYTES:
            raise HeaderProblem("Its header says that the disk is larger than 62 TiB.")

    def populated_bytes(self) -> int:
        """As much as the disk can take on the storage once it is unpacked."""
        counts: dict[int, int] = {}
        total = 0
        for table, length in self._tables():
            if table not in counts:
                entries = self._entries(table, length)
                counts[table] = sum(1 for sector in entries if sector > _ZERO_GRAIN)
            total += counts[table]
        return total * self.header.grain_bytes

    def grains(self) -> Iterator[Grain]:
        """Those that hold something, in the order of the disk."""
        number = 0
        for table, length in self._tables():
            if table:
                for position, sector in enumerate(self._entries(table, length)):
                    if sector > _ZERO_GRAIN:
                        yield Grain(number=number + position, offset=sector * SECTOR_BYTES)
            number += length

    def _tables(self) -> Iterator[tuple[int, int]]:
        """The sector of each table, 0 where there is none, and the number of its entries."""
        most = -(-self.header.capacity_bytes // self.header.grain_bytes)
        per_table = self.header.grains_per_table
        for index, table in enumerate(self._directory(-(-most // per_table))):
            yield table, min(per_table, most - index * per_table)

    def _entries(self, table: int, length: int) -> tuple[int, ...]:
        """The sectors of a table's grains. Raises: HeaderProblem for one behind the end of the file."""
        if not table:
            return ()
        entries = self._numbers(table * SECTOR_BYTES, length)
        if max(entries) * SECTOR_BYTES >= self._size_bytes:
            raise HeaderProblem("It is cut off: a part of the disk lies behind its end.")
        return entries

    def _directory(self, length: int) -> Iterator[int]:
        if self.header.grain_directory_offset is None:
            raise HeaderProblem("Its header is damaged: there is no table of the disk's content.")
        for start in range(0, length, _WINDOW_BYTES // 4):
            count = min(_WINDOW_BYTES // 4, length - start)
            yield from self._numbers(self.header.grain_directory_offset + start * 4, count)

    def _numbers(self, offset: int, count: int) -> tuple[int, ...]:
        data = self._read(offset, count * 4)
        if len(data) != count * 4:
            raise HeaderProblem("It is cut off: its tables lie behind its end.")
        return struct.unpack(f"<{count}I", data)

    def _true_header(self) -> SparseHeader:
        """That of the footer, where the first says that the tables are known only at the end."""
        first = parse_sparse_header(self._read(0, HEADER.size))
        if first.grain_directory_offset is not None:
            return first
        footer = self._read(self._size_bytes - _FOOTER_BYTES, _FOOTER_BYTES)
        if len(footer) != _FOOTER_BYTES or not first.flags & MARKERS:
            raise HeaderProblem("It is cut off: its footer is missing.")
        if _marker_type(footer) != _FOOTER_MARKER or _marker_type(footer[2 * SECTOR_BYTES :]) != _END_MARKER:
            raise HeaderProblem("It is cut off: its footer is missing.")
        last = parse_sparse_header(footer[SECTOR_BYTES : 2 * SECTOR_BYTES])
        same = ("capacity_bytes", "grain_bytes", "grains_per_table", "is_compressed")
        if any(getattr(first, name) != getattr(last, name) for name in same):
            raise HeaderProblem("Its header and its footer disagree.")
        return last


def _marker_type(sector: bytes) -> int:
    """Value, size (0), type."""
    _value, size, kind = struct.unpack_from("<QII", sector)
    return -1 if size else int(kind)


class _Window:
    """Reads ahead, so that tables that lie beside one another are read at once."""

    def __init__(self, read: Reader) -> None:
        self._read = read
        self._start, self._data = 0, b""

    def __call__(self, offset: int, length: int) -> bytes:
        if offset < 0:
            return b""
        at = offset - self._start
        if not 0 <= at <= len(self._data) - length:
            is_next = offset == self._start + len(self._data)
            self._data = self._read(offset, max(length, _WINDOW_BYTES if is_next else _SCATTERED_BYTES))
            self._start, at = offset, 0
        return self._data[at : at + length]
