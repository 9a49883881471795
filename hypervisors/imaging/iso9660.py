"""What an optical disc says of itself: the primary volume descriptor of ISO 9660 (ECMA-119), and whether UDF is there.

Offsets as in ECMA-119, 8.4; the descriptors begin at sector 16.
"""

import struct
from dataclasses import dataclass

SECTOR_BYTES = 2048
_FIRST_SECTOR, _LAST_SECTOR = 16, 32
_PRIMARY, _BOOT_RECORD = 1, 0
_EL_TORITO = b"EL TORITO SPECIFICATION"


@dataclass(frozen=True, kw_only=True)
class IsoLabels:
    """The labels as they stand there, without the padding. `is_bootable`: an El Torito boot record follows."""

    volume_id: str = ""
    system_id: str = ""
    publisher_id: str = ""
    application_id: str = ""
    volume_size_bytes: int = 0
    is_bootable: bool = False
    has_udf: bool = False


def iso_labels(head: bytes) -> IsoLabels | None:
    """Of the first HEAD_BYTES of an image; None if there is no primary volume descriptor."""
    primary = _descriptor(head, _FIRST_SECTOR)
    if primary[:7] != b"\x01CD001\x01":
        return None
    (blocks,), (block_bytes,) = struct.unpack_from("<I", primary, 80), struct.unpack_from("<H", primary, 128)
    boot_record = _descriptor(head, _FIRST_SECTOR + 1)
    return IsoLabels(
        system_id=_text(primary[8:40]),
        volume_id=_text(primary[40:72]),
        publisher_id=_text(primary[318:446]),
        application_id=_text(primary[574:702]),
        volume_size_bytes=blocks * block_bytes,
        is_bootable=boot_record[:6] == b"\x00CD001" and boot_record[7:].startswith(_EL_TORITO),
        has_udf=has_udf(head),
    )


def has_udf(head: bytes) -> bool:
    """Whether the extended area names UDF (ECMA-167: NSR02 or NSR03)."""
    sectors = range(_FIRST_SECTOR, _LAST_SECTOR)
    return any(_descriptor(head, sector)[1:6] in (b"NSR02", b"NSR03") for sector in sectors)


def is_disc(head: bytes) -> bool:
    return iso_labels(head) is not None or has_udf(head)


def _descriptor(head: bytes, sector: int) -> bytes:
    """One sector; empty if the head does not have all of it."""
    start = sector * SECTOR_BYTES
    return head[start : start + SECTOR_BYTES] if start + SECTOR_BYTES <= len(head) else b""


def _text(field: bytes) -> str:
    return field.decode("latin-1").replace("\0", " ").strip()
