"""The header of qcow2, https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt.

Strict: whatever may name another file, or is not known here, is refused. libvirt and qemu-img open what a header names.
"""

import struct
from dataclasses import dataclass

from hypervisors.imaging.image_facts import HeaderProblem, checked_virtual_size

MAGIC = b"QFI\xfb"

_V2_BYTES, _V3_LEAST_BYTES = 72, 104
_V2 = struct.Struct(">4sIQIIQIIQQIIQ")
_FEATURES = struct.Struct(">QQQII")
_CORRUPT, _DATA_FILE = 1 << 1, 1 << 2
# Dirty reference counts, a compression type and extended L2 entries: QEMU repairs or reads them, nothing is named.
_KNOWN_INCOMPATIBLE = 1 << 0 | 1 << 3 | 1 << 4
_RAW_EXTERNAL = 1 << 1
_END, _DATA_FILE_NAME, _ENCRYPTION = 0, 0x44415441, 0x0537BE77
_MOST_EXTENSIONS = 64
# QEMU's own limits: 32 MiB of L1 table, 8 MiB of reference count table.
_MOST_L1_ENTRIES, _MOST_REFCOUNT_TABLE_BYTES = 32 * 1024**2 // 8, 8 * 1024**2


@dataclass(frozen=True, kw_only=True)
class _Header:
    version: int
    backing_file_offset: int
    backing_file_bytes: int
    cluster_bits: int
    size_bytes: int
    encryption: int
    l1_entries: int
    l1_offset: int
    refcount_offset: int
    refcount_clusters: int


def qcow2_virtual_size(head: bytes, *, size_bytes: int | None) -> int:
    """`size_bytes`: of the whole file, to see whether it was cut off. Raises: HeaderProblem."""
    header = _parse(head)
    if header.backing_file_offset or header.backing_file_bytes:
        raise HeaderProblem("It has a backing file: it would show the content of another file of the host.")
    if header.encryption:
        raise HeaderProblem("It is encrypted.")
    extensions_offset = _check_features(head, header) if header.version == 3 else _V2_BYTES
    _check_extensions(head, extensions_offset, cluster_bytes=1 << header.cluster_bits)
    _check_tables(header, size_bytes)
    return checked_virtual_size(header.size_bytes)


def _parse(head: bytes) -> _Header:
    if len(head) < _V2_BYTES:
        raise HeaderProblem("It is cut off: its header is not whole.")
    fields = _V2.unpack_from(head)
    header = _Header(
        version=fields[1],
        backing_file_offset=fields[2],
        backing_file_bytes=fields[3],
        cluster_bits=fields[4],
        size_bytes=fields[5],
        encryption=fields[6],
        l1_entries=fields[7],
        l1_offset=fields[8],
        refcount_offset=fields[9],
        refcount_clusters=fields[10],
    )
    if header.version not in (2, 3):
        raise HeaderProblem(f"It is of version {header.version} of qcow; versions 2 and 3 can be used.")
    if not 9 <= header.cluster_bits <= 21:
        raise HeaderProblem("Its header is damaged: the cluster size is not possible.")
    return header


def _check_features(head: bytes, header: _Header) -> int:
    """Where the header's extensions begin."""
    if len(head) < _V3_LEAST_BYTES:
        raise HeaderProblem("It is cut off: its header is not whole.")
    incompatible, _compatible, autoclear, refcount_order, header_bytes = _FEATURES.unpack_from(head, _V2_BYTES)
    if incompatible & _DATA_FILE or autoclear & _RAW_EXTERNAL:
        raise HeaderProblem("It has an external data file: it would show the content of another file of the host.")
    if incompatible & _CORRUPT:
        raise HeaderProblem("It is marked as damaged.")
    if incompatible & ~_KNOWN_INCOMPATIBLE:
        raise HeaderProblem("It needs features that are not known here.")
    if refcount_order > 6 or header_bytes % 8 or not _V3_LEAST_BYTES <= header_bytes <= 1 << header.cluster_bits:
        raise HeaderProblem("Its header is damaged.")
    return int(header_bytes)


def _check_extensions(head: bytes, offset: int, *, cluster_bytes: int) -> None:
    """A list of (type, length, data), padded to 8 bytes, that ends with type 0 or with the first cluster."""
    for _ in range(_MOST_EXTENSIONS):
        if cluster_bytes - 8 < offset <= cluster_bytes:
            return
        if offset + 8 > min(len(head), cluster_bytes):
            break
        kind, length = struct.unpack_from(">II", head, offset)
        if kind == _END:
            return
        if kind == _DATA_FILE_NAME:
            raise HeaderProblem("It names an external data file, which would be another file of the host.")
        if kind == _ENCRYPTION:
            raise HeaderProblem("It is encrypted.")
        offset += 8 + (length + 7) // 8 * 8
    raise HeaderProblem("Its header is damaged: the list of extensions has no end.")


def _check_tables(header: _Header, size_bytes: int | None) -> None:
    cluster_bytes = 1 << header.cluster_bits
    # One L2 table is one cluster of 8-byte entries (16 bytes each with extended L2: then a table covers half as much).
    covered_bytes = cluster_bytes * (cluster_bytes // 8)
    needed_entries = -(-header.size_bytes // covered_bytes)
    if header.l1_entries > _MOST_L1_ENTRIES or header.l1_entries < needed_entries:
        raise HeaderProblem("Its header is damaged: the table of clusters does not fit the size of the disk.")
    if header.refcount_clusters << header.cluster_bits > _MOST_REFCOUNT_TABLE_BYTES or not header.refcount_clusters:
        raise HeaderProblem("Its header is damaged: the table of reference counts has no possible size.")
    for offset, length in (
        (header.l1_offset, header.l1_entries * 8),
        (header.refcount_offset, header.refcount_clusters << header.cluster_bits),
    ):
        if offset % cluster_bytes or (length and not offset):
            raise HeaderProblem("Its header is damaged: a table begins where none can be.")
        if size_bytes is not None and offset + length > size_bytes:
            raise HeaderProblem("It is cut off: its tables lie behind its end.")
