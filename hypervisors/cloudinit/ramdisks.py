"""A file more for an initial RAM disk: the kernel unpacks archives that stand one after the other.

https://www.kernel.org/doc/html/latest/driver-api/early-userspace/buffer-format.html: "newc" cpio, not compressed, each
archive at a multiple of four bytes with zeros before it.
"""

from collections.abc import Iterable, Iterator, Mapping

_REGULAR_FILE = 0o100600


def with_files(ramdisk: Iterable[bytes], files: Mapping[str, bytes]) -> Iterator[bytes]:
    """The blocks of the RAM disk, then those files in its root."""
    length = 0
    for block in ramdisk:
        length += len(block)
        yield block
    yield b"\0" * (-length % 4)
    yield b"".join(_entry(name, content) for name, content in files.items()) + _entry("TRAILER!!!", b"", mode=0)


def _entry(name: str, content: bytes, *, mode: int = _REGULAR_FILE) -> bytes:
    encoded = name.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, its device (2), the device that it is (2), length of its name, checksum
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % number for number in numbers)
    return _padded(header + encoded) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
