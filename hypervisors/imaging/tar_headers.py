"""One 512-byte header of a tar archive (POSIX ustar), https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html."""

BLOCK_BYTES = 512
_CHECKSUM = slice(148, 156)


def is_tar_header(head: bytes) -> bool:
    """Whether the first block has a right checksum; old archives have no other signature."""
    block = head[:BLOCK_BYTES]
    return len(block) == BLOCK_BYTES and bool(block[0]) and stated_checksum(block) == real_checksum(block)


def stated_checksum(block: bytes) -> int | None:
    """None where there is no octal number."""
    digits = block[_CHECKSUM].split(b"\0", 1)[0].strip(b" ")
    if not digits or digits.strip(b"01234567"):
        return None
    return int(digits, 8)


def real_checksum(block: bytes) -> int:
    """The sum of all bytes, those of the checksum itself taken for spaces."""
    return sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")
