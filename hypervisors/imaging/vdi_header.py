"""The header of VirtualBox's VDI: what QEMU's block/vdi.c reads, and what it refuses."""

import struct

from hypervisors.imaging.image_facts import HeaderProblem, checked_virtual_size

SIGNATURE_OFFSET, SIGNATURE = 64, b"\x7f\x10\xda\xbe"
_LEAST_BYTES = 456
_DYNAMIC, _FIXED = 1, 2
_BLOCK_BYTES = 1024**2


def vdi_virtual_size(head: bytes, *, size_bytes: int | None) -> int:
    """Raises: HeaderProblem."""
    if len(head) < _LEAST_BYTES:
        raise HeaderProblem("It is cut off: its header is not whole.")
    version, _header_bytes, image_type = struct.unpack_from("<III", head, 68)
    if version != 0x00010001:
        raise HeaderProblem("It is of a version of VDI that is not known here.")
    if image_type not in (_DYNAMIC, _FIXED) or any(head[424:456]):
        raise HeaderProblem("It is only the difference to another disk (a snapshot).")
    map_offset, data_offset = struct.unpack_from("<II", head, 340)
    sector_bytes, _unused, disk_bytes, block_bytes, _extra, blocks = struct.unpack_from("<IIQIII", head, 360)
    if sector_bytes != 512 or block_bytes != _BLOCK_BYTES or disk_bytes > blocks * block_bytes:
        raise HeaderProblem("Its header is damaged: the sizes do not fit one another.")
    if size_bytes is not None and max(map_offset + 4 * blocks, data_offset) > size_bytes:
        raise HeaderProblem("It is cut off: its tables lie behind its end.")
    return checked_virtual_size(disk_bytes)
