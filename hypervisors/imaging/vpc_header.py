"""The header of Microsoft's VHD ("vpc" in libvirt), as its "Virtual Hard Disk Image Format Specification" says."""

import struct

from hypervisors.imaging.image_facts import HeaderProblem, checked_virtual_size

COOKIE, DYNAMIC_COOKIE = b"conectix", b"cxsparse"
_FOOTER_BYTES, _DYNAMIC_BYTES = 512, 1024
_DYNAMIC = 3
_PARENT_FIELDS = slice(40, 768)


def vpc_virtual_size(head: bytes, *, size_bytes: int | None) -> int:
    """Of a dynamic one, which begins with a copy of its footer; a fixed one begins like a raw disk.

    Raises: HeaderProblem.
    """
    if len(head) < _FOOTER_BYTES:
        raise HeaderProblem("It is cut off: its header is not whole.")
    (dynamic_offset,) = struct.unpack_from(">Q", head, 16)
    current_bytes, _geometry, disk_type, checksum = struct.unpack_from(">QIII", head, 48)
    if disk_type != _DYNAMIC:
        raise HeaderProblem("It is only the difference to another disk, or its header is damaged.")
    if _checksum(head[:_FOOTER_BYTES], 64) != checksum:
        raise HeaderProblem("Its header is damaged: the checksum is wrong.")
    _check_dynamic(head, dynamic_offset, current_bytes, size_bytes)
    return checked_virtual_size(current_bytes)


def _check_dynamic(head: bytes, offset: int, current_bytes: int, size_bytes: int | None) -> None:
    if offset + _DYNAMIC_BYTES > len(head) or head[offset : offset + 8] != DYNAMIC_COOKIE:
        raise HeaderProblem("Its header is damaged: the second part is not where it must be.")
    dynamic = head[offset : offset + _DYNAMIC_BYTES]
    if any(dynamic[_PARENT_FIELDS]):
        raise HeaderProblem("It has a parent: it would show the content of another file of the host.")
    table_offset, _version, entries, block_bytes, checksum = struct.unpack_from(">QIIII", dynamic, 16)
    if _checksum(dynamic, 36) != checksum:
        raise HeaderProblem("Its header is damaged: the checksum is wrong.")
    if block_bytes < 512 or block_bytes & (block_bytes - 1) or entries * block_bytes < current_bytes:
        raise HeaderProblem("Its header is damaged: the sizes do not fit one another.")
    if size_bytes is not None and table_offset + 4 * entries > size_bytes:
        raise HeaderProblem("It is cut off: its tables lie behind its end.")


def _checksum(block: bytes, checksum_offset: int) -> int:
    """The complement of the sum of all bytes but those of the checksum itself."""
    return ~(sum(block) - sum(block[checksum_offset : checksum_offset + 4])) & 0xFFFFFFFF
