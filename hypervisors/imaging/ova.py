"""An OVA: a tar archive of an OVF descriptor, perhaps a manifest, and disks (DMTF DSP0243, "OVF packages").

It is read by ranges and never unpacked: a member is a name, an offset and a size. Whatever a tar could be made to do to
whoever unpacks it (links, paths, devices) is refused.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from hypervisors.imaging import tar_headers
from hypervisors.imaging.tar_headers import BLOCK_BYTES, TarHeader

MOST_MEMBERS = 256
MOST_DESCRIPTOR_BYTES = 4 * 1024**2
MOST_MANIFEST_BYTES = 256 * 1024
_MOST_EXTENDED_BYTES = 64 * 1024
_MOST_NAME_BYTES = 255


class Reader(Protocol):
    """Bytes of the file from an offset on; fewer where it ends."""

    def __call__(self, offset: int, length: int) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class Member:
    """A plain file in the archive: its content is `size_bytes` bytes of the archive from `offset` on."""

    name: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Package:
    """The members of an OVA, with those of its descriptor and its manifest."""

    members: tuple[Member, ...]
    descriptor: Member
    manifest: Member | None

    def find(self, name: str) -> Member | None:
        return next((member for member in self.members if member.name == name), None)


def read_package(read: Reader, *, size_bytes: int) -> Package:
    """Raises: ValueError, fit for people, for what is no whole and harmless OVA; and what `read` raises."""
    members = tuple(_members(read, size_bytes))
    descriptors = [member for member in members if member.name.lower().endswith(".ovf")]
    if len(descriptors) != 1:
        raise ValueError(f"An OVA has one descriptor (.ovf); this one has {len(descriptors)}.")
    if not 0 < descriptors[0].size_bytes <= MOST_DESCRIPTOR_BYTES:
        raise ValueError("Its descriptor (.ovf) is empty or larger than 4 MiB.")
    stem = descriptors[0].name[: -len(".ovf")]
    manifest = next((member for member in members if member.name in (f"{stem}.mf", f"{stem}.MF")), None)
    if manifest is not None and manifest.size_bytes > MOST_MANIFEST_BYTES:
        raise ValueError("Its manifest (.mf) is larger than 256 KiB.")
    return Package(members=members, descriptor=descriptors[0], manifest=manifest)


def read_member(read: Reader, member: Member) -> bytes:
    """All of a small one. Raises: ValueError when the file ends before."""
    content = read(member.offset, member.size_bytes)
    if len(content) != member.size_bytes:
        raise ValueError(f"The archive is cut off in “{member.name}”.")
    return content


def _members(read: Reader, size_bytes: int) -> Iterator[Member]:
    offset, extended, count, names = 0, _Extended(), 0, set[str]()
    while (block := read(offset, BLOCK_BYTES)) and any(block):
        count += 1
        if count > MOST_MEMBERS:
            raise ValueError(f"The archive has more than {MOST_MEMBERS} files.")
        header = extended.applied(tar_headers.parse_header(block))
        offset += BLOCK_BYTES
        if offset + header.size_bytes > size_bytes:
            raise ValueError(f"The archive is cut off: “{_shown(header.name)}” goes on behind its end.")
        if header.type_flag in tar_headers.FILE_TYPES:
            name = _checked_name(header.name)
            if name in names:
                raise ValueError(f"The archive has “{name}” twice.")
            names.add(name)
            yield Member(name=name, offset=offset, size_bytes=header.size_bytes)
            extended = _Extended()
        else:
            extended.note(header, partial(read, offset, header.size_bytes))
        offset += header.size_bytes + tar_headers.padding(header.size_bytes)


class _Extended:
    """What headers before a file's own say of it."""

    def __init__(self) -> None:
        self._name = ""
        self._size_bytes: int | None = None

    def note(self, header: TarHeader, content: Callable[[], bytes]) -> None:
        """Raises: ValueError for what is no plain file."""
        if header.type_flag not in (tar_headers.PAX_TYPE, tar_headers.PAX_GLOBAL_TYPE, tar_headers.LONG_NAME_TYPE):
            raise ValueError(f"The archive has “{_shown(header.name)}”, which is no plain file but a link or a folder.")
        if header.size_bytes > _MOST_EXTENDED_BYTES:
            raise ValueError("The archive is damaged: an extended header is too long.")
        if header.type_flag == tar_headers.LONG_NAME_TYPE:
            self._name = content().split(b"\0", 1)[0].decode("utf-8", "replace")
        elif header.type_flag == tar_headers.PAX_TYPE:
            self._note_pax(tar_headers.pax_records(content()))

    def applied(self, header: TarHeader) -> TarHeader:
        if header.type_flag not in tar_headers.FILE_TYPES:
            return header
        size_bytes = header.size_bytes if self._size_bytes is None else self._size_bytes
        return TarHeader(name=self._name or header.name, size_bytes=size_bytes, type_flag=header.type_flag)

    def _note_pax(self, records: dict[str, str]) -> None:
        # Sparse files are stored otherwise than they read.
        if any(keyword.startswith("GNU.sparse") for keyword in records) or "linkpath" in records:
            raise ValueError("The archive has sparse files or links, which an OVA cannot have.")
        self._name = records.get("path", self._name)
        if "size" in records:
            if not records["size"].isascii() or not records["size"].isdigit() or len(records["size"]) > 19:
                raise ValueError("The archive is damaged: a file in it has no size.")
            self._size_bytes = int(records["size"])


def _checked_name(name: str) -> str:
    """Raises: ValueError for what is not a mere name."""
    plain = name.removeprefix("./")
    if "/" in plain or "\\" in plain or plain in ("", ".", ".."):
        raise ValueError(f"The archive has “{_shown(name)}”: files in an OVA lie in no folder.")
    if len(plain.encode()) > _MOST_NAME_BYTES or not plain.isprintable():
        raise ValueError(f"The archive has a file whose name cannot be one: “{_shown(name)}”.")
    return plain


def _shown(name: str) -> str:
    """Fit for a message: short, and without what moves a cursor or changes the direction."""
    text = "".join(character if character.isprintable() else "�" for character in name[:100])
    return text or "a file without a name"
