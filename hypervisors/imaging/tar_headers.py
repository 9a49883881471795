"""One 512-byte header of a tar archive (POSIX ustar and pax, GNU's large numbers and long names), read and built.

https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_06
"""

from dataclasses import dataclass

BLOCK_BYTES = 512
# What a header describes, by its type flag.
FILE_TYPES = frozenset({b"0", b"\0", b"7"})
LINK_TYPES = frozenset({b"1", b"2"})
FOLDER_TYPE, PAX_TYPE, PAX_GLOBAL_TYPE, LONG_NAME_TYPE, LONG_LINK_TYPE = b"5", b"x", b"g", b"L", b"K"
_CHECKSUM = slice(148, 156)
_OCTAL_MOST = 8**11


@dataclass(frozen=True, kw_only=True)
class TarHeader:
    name: str
    size_bytes: int
    type_flag: bytes


def is_tar_header(head: bytes) -> bool:
    """Whether the first block has a right checksum; old archives have no other signature."""
    block = head[:BLOCK_BYTES]
    return len(block) == BLOCK_BYTES and bool(block[0]) and _octal(block[_CHECKSUM]) == _checksum(block)


def parse_header(block: bytes) -> TarHeader:
    """Raises: ValueError."""
    if not is_tar_header(block):
        raise ValueError("The archive is damaged: a header has a wrong checksum.")
    size = _number(block[124:136])
    if size is None:
        raise ValueError("The archive is damaged: a file in it has no size.")
    name = _text(block[0:100])
    # GNU tar has times where ustar has the beginning of a long path.
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    return TarHeader(name=f"{prefix}/{name}" if prefix else name, size_bytes=size, type_flag=block[156:157])


def build_header(name: str, size_bytes: int, *, modified_at: int = 0) -> bytes:
    """Of a plain file. Raises: ValueError for a name that is longer than 100 bytes."""
    encoded = name.encode()
    if not 0 < len(encoded) <= 100:
        raise ValueError("A file in a tar archive has a name of 1 to 100 bytes.")
    block = bytearray(BLOCK_BYTES)
    block[0 : len(encoded)] = encoded
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136] = _size_field(size_bytes)
    block[136:148] = b"%011o\0" % modified_at
    block[156:157] = b"0"
    block[257:265] = b"ustar\x0000"
    block[_CHECKSUM] = b"%06o\0 " % _checksum(bytes(block))
    return bytes(block)


def padding(size_bytes: int) -> int:
    """How many bytes follow a file's content up to the next header."""
    return -size_bytes % BLOCK_BYTES


def pax_records(content: bytes) -> dict[str, str]:
    """Of a pax header: lines "length keyword=value". Raises: ValueError."""
    records: dict[str, str] = {}
    while content:
        digits, _space, _rest = content[:10].partition(b" ")
        if not digits.isdigit() or not len(digits) < int(digits) <= len(content):
            raise ValueError("The archive is damaged: an extended header cannot be read.")
        line, content = content[len(digits) + 1 : int(digits)], content[int(digits) :]
        keyword, _equals, value = line.rstrip(b"\n").partition(b"=")
        records[keyword.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    return records


def _size_field(size_bytes: int) -> bytes:
    """Octal, or GNU's base 256 from 8 GiB on, which everybody reads."""
    if size_bytes < _OCTAL_MOST:
        return b"%011o\0" % size_bytes
    return b"\x80" + size_bytes.to_bytes(11, "big")


def _number(field: bytes) -> int | None:
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    return _octal(field)


def _octal(field: bytes) -> int | None:
    digits = field.split(b"\0", 1)[0].strip(b" ")
    if not digits or digits.strip(b"01234567"):
        return None
    return int(digits, 8)


def _checksum(block: bytes) -> int:
    """The sum of all bytes, those of the checksum itself taken for spaces."""
    return sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")
