"""What comes from outside, from a browser or a URL, written into a volume that was made for it.

It is written as raw bytes, whatever it is. Its first 64 KiB are held back and judged, for libvirt and QEMU believe what
a file says of itself; and every 64 MiB it is looked whether the host has it all and whether there is room for more, for
a file system that fills up loses the last bytes without a word.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible, StoragePoolFull
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.storage.volume_streams import PACKET_BYTES, OpenVolume, VolumeWriter, read_content, read_stream
from hypervisors.imaging.image_headers import HEAD_BYTES, inspect_head
from hypervisors.operations.storage.room import RESERVE_BYTES

CHECKPOINT_BYTES = 64 * 1024**2
# Storage pools of files: a new volume is empty, and grows as it is written to.
GROWING_TYPES = frozenset({"dir", "fs", "netfs"})
# With so much beyond what is needed, what libvirt saw last is good enough.
_AMPLE_BYTES = 4 * 1024**3
_MIB, _GIB = 1024**2, 1024**3
_ZEROS = bytes(PACKET_BYTES)


@dataclass(frozen=True, kw_only=True)
class IncomingTarget:
    """Where it goes. `length_bytes` is None while nobody knows; `purpose` is what it is to be ("iso", …), or ""."""

    pool_uuid: UUID
    name: str
    length_bytes: int | None
    is_growing: bool
    purpose: str = ""


class IncomingVolume:
    """Writes from an offset on. Blocks are at most PACKET_BYTES long; not safe for threads.

    Raises, from each call: errors.StoragePoolFull, errors.NotPossible for what may not be kept (the text is for
    people), and other HypervisorErrors, after which one may go on from where the host is.
    """

    def __init__(self, connection: Connection, target: IncomingTarget, *, offset: int) -> None:
        self._volume = OpenVolume(connection, target.pool_uuid, target.name)
        self._target = target
        self._writer: VolumeWriter | None = None
        # Held back until it can be judged.
        self._head = bytearray() if offset == 0 else None
        self._checkpoint_at = offset
        self.position = offset
        # What the host is known to have.
        self.safe_bytes = offset

    def write(self, block: bytes) -> None:
        if self._head is not None:
            self._head += block
            if len(self._head) < HEAD_BYTES:
                return
            self._judge()
        else:
            self._write(block)

    def checkpoint(self, *, is_end: bool = False) -> None:
        """Have the host write down what it has, and look whether that is all. `is_end`: no more is to come."""
        if self._head is not None and (is_end or len(self._head) == self._target.length_bytes):
            self._judge()
        self._close_stream()

    def abort(self) -> None:
        """Leave what has arrived."""
        if self._writer is not None:
            self._writer.abort()
            self._writer = None

    def _judge(self) -> None:
        head, self._head = bytes(self._head or b""), None
        reason = why_refused(head, length_bytes=self._target.length_bytes, purpose=self._target.purpose)
        if reason:
            raise NotPossible(reason)
        for begin in range(0, len(head), PACKET_BYTES):
            self._write(head[begin : begin + PACKET_BYTES])

    def _write(self, block: bytes) -> None:
        if self._writer is None:
            self._open_stream()
        assert self._writer is not None
        if self._target.is_growing and block == _ZEROS:
            self._writer.skip(len(block))
        else:
            self._writer.write(block)
        self.position += len(block)
        if self.position >= self._checkpoint_at + CHECKPOINT_BYTES:
            self._close_stream()

    def _open_stream(self) -> None:
        self._check_room()
        self._checkpoint_at = self.position
        self._writer = self._volume.writer(offset=self.position, with_holes=self._target.is_growing)

    def _check_room(self) -> None:
        """Whether the next piece has room; looked at anew where it is not ample. Raises: errors.StoragePoolFull."""
        if not self._target.is_growing:
            return
        length = self._target.length_bytes
        rest = CHECKPOINT_BYTES if length is None else length - self.position
        needed = min(rest, CHECKPOINT_BYTES) + RESERVE_BYTES
        free = self._volume.free_bytes(look=False)
        if free < needed + _AMPLE_BYTES:
            free = self._volume.free_bytes(look=True)
        if free < needed:
            raise StoragePoolFull(no_room_text(rest, free))

    def _close_stream(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.finish()
        self._check_arrived()
        self.safe_bytes = self.position

    def _check_arrived(self) -> None:
        if not self._target.is_growing:
            return
        there = self._volume.content().length_bytes
        if there != self.position:
            raise StoragePoolFull(
                _("The host kept %(there)d of %(sent)d bytes: the storage pool is full.")
                % {"there": there, "sent": self.position}
            )


def why_refused(head: bytes, *, length_bytes: int | None, purpose: str) -> str:
    """Why a file that begins so may not be kept; "" when it may."""
    facts = inspect_head(head, size_bytes=length_bytes)
    if purpose == "iso" and facts.format != "iso":
        return _("It is no ISO image: what stands in it begins like “%(format)s”.") % {"format": facts.format}
    # An archive is opened later, by what imports it.
    if purpose == "ova" and facts.format == "tar":
        return ""
    return facts.problem


def no_room_text(needed_bytes: int, free_bytes: int) -> str:
    return _(
        "The storage pool is full: %(needed)s are still to come, %(free)s are free, and %(reserve)s stay in reserve."
    ) % {
        "needed": _size(needed_bytes),
        "free": _size(free_bytes),
        "reserve": _size(RESERVE_BYTES),
    }


def arrived_bytes(connection: Connection, target: IncomingTarget, *, known_bytes: int) -> int:
    """Where to go on: what the host has, or was known to have where that does not show.

    Less than what has to be judged counts as nothing. Raises: errors.HypervisorError.
    """
    if not target.is_growing:
        return known_bytes
    there = read_content(connection, target.pool_uuid, target.name).length_bytes
    length = target.length_bytes
    is_judged = there >= HEAD_BYTES or (length is not None and there == length)
    if not is_judged or (length is not None and there > length):
        return 0
    return there


def volume_reader(connection: Connection, target: IncomingTarget) -> "_Reader":
    return _Reader(connection, target)


class _Reader:
    """A running_digests.Reader of the volume."""

    def __init__(self, connection: Connection, target: IncomingTarget) -> None:
        self._connection = connection
        self._target = target

    def __call__(self, offset: int, length: int) -> Iterable[bytes]:
        return read_stream(self._connection, self._target.pool_uuid, self._target.name, offset=offset, length=length)


def _size(count_bytes: int) -> str:
    """ "1.5 GiB"."""
    if count_bytes < _GIB:
        return f"{max(0, count_bytes) / _MIB:.0f} MiB"
    return f"{count_bytes / _GIB:.1f} GiB"
