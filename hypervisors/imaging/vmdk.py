"""The header and descriptor of VMDK, as VMware's "Virtual Disk Format 5.0" describes them.

Only a disk that is whole in one file is believed: `monolithicSparse` and `streamOptimized`. What names another file,
as an extent or as a parent, is refused: QEMU opens what a descriptor names, and takes a header without a capacity for a
mere pointer to its descriptor.
"""

import re
import struct
from dataclasses import dataclass

from hypervisors.imaging.image_facts import HeaderProblem, checked_virtual_size

MAGIC = b"KDMV"
SECTOR_BYTES = 512
GRAIN_DIRECTORY_AT_END = 0xFFFF_FFFF_FFFF_FFFF
COMPRESSED, MARKERS = 1 << 16, 1 << 17
DEFLATE = 1
HEADER = struct.Struct("<4sIIQQQQIQQQB4sH433x")

_WHOLE_TYPES = frozenset({"monolithicSparse", "streamOptimized"})
_EXTENT = re.compile(r"\s*(RW|RDONLY|NOACCESS)\s+([0-9]{1,20})\s+([A-Z]+)\b")
_DESCRIPTOR_VERSION = re.compile(rb"version\s*=\s*[123]\r?\n", re.IGNORECASE)
_MOST_DESCRIPTOR_BYTES = 20 * 1024


@dataclass(frozen=True, kw_only=True)
class SparseHeader:
    """Offsets and sizes in bytes. `grain_directory_offset` is None where it stands in the footer."""

    version: int
    flags: int
    capacity_bytes: int
    grain_bytes: int
    grains_per_table: int
    descriptor_offset: int
    descriptor_bytes: int
    grain_directory_offset: int | None
    overhead_bytes: int
    is_compressed: bool


def is_text_descriptor(head: bytes) -> bool:
    """Whether QEMU would take it for a descriptor: comments, then a version."""
    if head[:2048].lstrip().startswith(b"# Disk DescriptorFile"):
        return True
    for line in head[:4096].splitlines(keepends=True):
        if line.strip() and not line.startswith(b"#"):
            return _DESCRIPTOR_VERSION.match(line.strip(b" ")) is not None
    return False


def parse_sparse_header(header: bytes) -> SparseHeader:
    """Raises: HeaderProblem."""
    if len(header) < HEADER.size or header[:4] != MAGIC:
        raise HeaderProblem("It is cut off: its header is not whole.")
    fields = HEADER.unpack_from(header)
    _magic, version, flags, capacity, grain, descriptor_at, descriptor_sectors, per_table, _redundant = fields[:9]
    directory_at, overhead, _unclean, newlines, compression = fields[9:]
    if version not in (1, 2, 3):
        raise HeaderProblem(f"It is of version {version} of VMDK; versions 1 to 3 can be used.")
    if flags & 1 and newlines != b"\n \r\n":
        raise HeaderProblem("It was damaged by a transfer as text.")
    if compression not in (0, DEFLATE) or bool(flags & COMPRESSED) != (compression == DEFLATE):
        raise HeaderProblem("It is compressed in a way that is not known here.")
    if not 8 <= grain <= 2048 or grain & (grain - 1) or not 1 <= per_table <= 512:
        raise HeaderProblem("Its header is damaged: the grain size is not possible.")
    return SparseHeader(
        version=version,
        flags=flags,
        capacity_bytes=capacity * SECTOR_BYTES,
        grain_bytes=grain * SECTOR_BYTES,
        grains_per_table=per_table,
        descriptor_offset=descriptor_at * SECTOR_BYTES,
        descriptor_bytes=descriptor_sectors * SECTOR_BYTES,
        grain_directory_offset=None if directory_at == GRAIN_DIRECTORY_AT_END else directory_at * SECTOR_BYTES,
        overhead_bytes=overhead * SECTOR_BYTES,
        is_compressed=compression == DEFLATE,
    )


def vmdk_virtual_size(head: bytes, *, size_bytes: int | None) -> int:
    """Raises: HeaderProblem."""
    header = parse_sparse_header(head)
    if not header.capacity_bytes:
        raise HeaderProblem("It only points to a descriptor, which names other files.")
    # QEMU and libvirt search the text, wherever in the descriptor it stands: so nothing may be hidden in comments.
    if b"parentfilenamehint" in head.lower():
        raise HeaderProblem("It has a parent: it would show the content of another file of the host.")
    descriptor = _embedded_descriptor(head, header)
    _check_descriptor(descriptor, header)
    _check_size(header, size_bytes)
    return checked_virtual_size(header.capacity_bytes)


def _embedded_descriptor(head: bytes, header: SparseHeader) -> str:
    start, length = header.descriptor_offset, header.descriptor_bytes
    if not start or not 0 < length <= _MOST_DESCRIPTOR_BYTES or start + length > len(head):
        raise HeaderProblem("It is a part of a disk in several files, or its descriptor is not where it must be.")
    return head[start : start + length].split(b"\0", 1)[0].decode("utf-8", "replace")


def _check_descriptor(descriptor: str, header: SparseHeader) -> None:
    lines = [line for line in descriptor.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    settings = dict(map(_setting, lines))
    if settings.get("createtype") not in _WHOLE_TYPES:
        raise HeaderProblem("It is not a whole disk in one file (monolithicSparse or streamOptimized).")
    if settings.get("parentcid", "ffffffff").lower() != "ffffffff":
        raise HeaderProblem("It has a parent: it is only the difference to another disk.")
    extents = [match for match in map(_EXTENT.match, lines) if match]
    if len(extents) != 1 or extents[0][3] != "SPARSE":
        raise HeaderProblem("Its descriptor names other files as its content.")
    if int(extents[0][2]) * SECTOR_BYTES != header.capacity_bytes:
        raise HeaderProblem("Its descriptor and its header disagree about the size of the disk.")


def _setting(line: str) -> tuple[str, str]:
    name, _equals, value = line.partition("=")
    return name.strip().lower(), value.strip().strip('"')


def _check_size(header: SparseHeader, size_bytes: int | None) -> None:
    if size_bytes is None:
        return
    if max(header.grain_directory_offset or 0, header.overhead_bytes) > size_bytes:
        raise HeaderProblem("It is cut off: its tables lie behind its end.")
