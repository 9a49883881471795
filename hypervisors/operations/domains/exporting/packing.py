"""Steps that write an OVA into a volume: room for the descriptor, each disk, then the descriptor and the digests.

A disk's size is known only when it is written, and its header stands before it: so headers are written afterwards.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NameTaken, NotPossible, StoragePoolFull
from hypervisors.gateway.storage.volume_copies import VolumeEnd, write_piece
from hypervisors.gateway.storage.volumes import create_volume, read_volume
from hypervisors.imaging import tar_headers
from hypervisors.imaging.image_facts import HeaderProblem
from hypervisors.imaging.ova import Reader
from hypervisors.imaging.ovf_writer import ExportedDisk, ExportedMachine, build_ovf
from hypervisors.imaging.vmdk_tables import GrainTables, read_grains
from hypervisors.imaging.vmdk_writer import GRAIN_BYTES, stream_optimized
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import StoragePool
from hypervisors.operations.domains.importing.extraction import check_room, delete_own
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made, Step
from hypervisors.operations.storage.volume_readers import needed_file

# What the descriptor has room in; it is filled up with spaces.
DESCRIPTOR_BYTES = 64 * 1024
_FIRST_DISK = tar_headers.BLOCK_BYTES + DESCRIPTOR_BYTES
_PIECE_BYTES = 8 * 1024**2
_PIECE_SECONDS = 180.0


@dataclass(frozen=True, kw_only=True)
class PackedDisk:
    """A disk as it lies in the archive: its header at `offset`."""

    offset: int
    size_bytes: int
    sha256: str
    capacity_bytes: int
    populated_bytes: int

    @property
    def end(self) -> int:
        return self.offset + tar_headers.BLOCK_BYTES + self.size_bytes + tar_headers.padding(self.size_bytes)


class BeginArchive(Step):
    """Make the volume that becomes the OVA."""

    name = "begin"
    label = gettext_lazy("Create the archive")

    def __init__(self, storage_pool: StoragePool, volume_name: str) -> None:
        self._storage_pool = storage_pool
        self._volume_name = volume_name

    def intend(self, run: Run) -> Made:
        check_room(run, self._storage_pool, 0)
        uuid = self._storage_pool.uuid
        if run.ask(lambda connection: read_volume(connection, uuid, self._volume_name)) is not None:
            raise NameTaken(
                _("There is a volume called “%(name)s” in the storage pool already.") % {"name": self._volume_name}
            )
        return {"name": self._volume_name}

    def do(self, run: Run, intent: Made) -> Made:
        uuid, spec = self._storage_pool.uuid, VolumeSpec(name=self._volume_name, format="raw", capacity_bytes=0)
        run.ask(lambda connection: create_volume(connection, uuid, spec))
        return {"name": self._volume_name}

    def is_done(self, run: Run, intent: Made) -> bool:
        """The name is locked, but not for who works without us. Raises: errors.NameTaken for what holds something."""
        uuid = self._storage_pool.uuid
        facts = run.ask(lambda connection: read_volume(connection, uuid, self._volume_name))
        if facts is not None and facts.physical_bytes:
            raise NameTaken(
                _("There is another volume called “%(name)s” now; it is left alone.") % {"name": self._volume_name}
            )
        return facts is not None

    def found(self, run: Run, intent: Made) -> Made:
        return {"name": self._volume_name}

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        if not made:
            # Raises for what was not made here.
            self.is_done(run, intent)
        delete_own(run, self._storage_pool, self._volume_name)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("The volume “%(name)s” stays in the storage pool “%(pool)s”.") % {
            "name": self._volume_name,
            "pool": self._storage_pool.name,
        }


class _ArchiveStep(Step):
    """One that writes into it."""

    def __init__(self, storage_pool: StoragePool, volume_name: str) -> None:
        self._storage_pool = storage_pool
        self._volume_name = volume_name

    def is_done(self, run: Run, intent: Made) -> bool:
        # Written again from the same place it becomes the same.
        return False

    def _write(self, run: Run, offset: int, blocks: list[bytes]) -> None:
        uuid, name = self._storage_pool.uuid, self._volume_name
        run.ask(
            lambda connection: write_piece(
                VolumeEnd(connection=connection, pool_uuid=uuid, name=name, offset=offset), blocks
            ),
            seconds=_PIECE_SECONDS,
        )
        self._check_written(run, offset + sum(len(block) for block in blocks))

    def _check_written(self, run: Run, end: int) -> int:
        """Its length. Raises: errors.StoragePoolFull: libvirt says nothing of what a full file system did not take."""
        uuid = self._storage_pool.uuid
        facts = run.ask(lambda connection: read_volume(connection, uuid, self._volume_name))
        length = 0 if facts is None else facts.physical_bytes or 0
        if length < end:
            raise StoragePoolFull(
                _("The storage pool “%(pool)s” is full: the end of what was written is missing.")
                % {"pool": self._storage_pool.name}
            )
        return length


class PackDisk(_ArchiveStep):
    """Compress a disk into it, behind those before."""

    def __init__(
        self,
        storage_pool: StoragePool,
        volume_name: str,
        *,
        source_name: str,
        file_name: str,
        number: int,
        count: int,
    ) -> None:
        super().__init__(storage_pool, volume_name)
        self.name = f"pack_{number}"
        self.label = _("Compress the disk %(name)s") % {"name": file_name}
        self._source_name = source_name
        self._file_name = file_name
        self._number = number
        self._count = count

    def do(self, run: Run, intent: Made) -> Made:
        before = packed_disks(run)
        offset = before[-1].end if before else _FIRST_DISK
        file = needed_file(run, self._storage_pool, self._source_name)
        try:
            tables = GrainTables(file.read, size_bytes=file.size_bytes)
            packed = self._packed(run, offset, file.read, tables)
        except HeaderProblem as problem:
            raise HypervisorError(
                _("The host's copy of the disk cannot be read: %(problem)s") % {"problem": problem}
            ) from problem
        header = tar_headers.build_header(self._file_name, packed.size_bytes)
        self._write(run, offset, [header])
        return asdict(packed)

    def _packed(self, run: Run, offset: int, read: Reader, tables: GrainTables) -> PackedDisk:
        """Cancelled in the middle it returns: the next step is not begun, and all is undone."""
        capacity = tables.header.capacity_bytes
        counted = _Counted(read_grains(read, tables))
        blocks = stream_optimized(
            counted, capacity_bytes=capacity, name=self._file_name, content_id=int(run.operation.pk.hex[:8], 16)
        )
        digest, size = hashlib.sha256(), 0
        for piece in _pieces(blocks):
            if run.cancel_requested.is_set():
                break
            self._write(run, offset + tar_headers.BLOCK_BYTES + size, piece)
            for block in piece:
                digest.update(block)
                size += len(block)
            self._report(run, counted.last_number * GRAIN_BYTES / max(capacity, 1), size)
        if padding := tar_headers.padding(size):
            self._write(run, offset + tar_headers.BLOCK_BYTES + size, [bytes(padding)])
        return PackedDisk(
            offset=offset,
            size_bytes=size,
            sha256=digest.hexdigest(),
            capacity_bytes=capacity,
            populated_bytes=counted.count * GRAIN_BYTES,
        )

    def _report(self, run: Run, done: float, written_bytes: int) -> None:
        percent = 100 * (self._number - 1 + min(done, 1)) / self._count
        run.report({"percent": round(min(percent, 99), 1), "transferred_bytes": written_bytes})


class FinishArchive(_ArchiveStep):
    """Write the descriptor in front, and the digests of all behind."""

    name = "finish"
    label = gettext_lazy("Write the descriptor")

    def __init__(
        self,
        storage_pool: StoragePool,
        volume_name: str,
        *,
        machine: ExportedMachine,
        stem: str,
        files: tuple[str, ...],
    ) -> None:
        super().__init__(storage_pool, volume_name)
        self._machine = machine
        self._stem = stem
        self._files = files

    def do(self, run: Run, intent: Made) -> Made:
        packed = packed_disks(run)
        if len(packed) != len(self._files):
            raise NotPossible(_("Not every disk was written."))
        descriptor = self._descriptor(packed)
        manifest = self._manifest(descriptor, packed)
        end = packed[-1].end if packed else _FIRST_DISK
        tail = [
            tar_headers.build_header(f"{self._stem}.mf", len(manifest)),
            manifest,
            bytes(tar_headers.padding(len(manifest)) + 2 * tar_headers.BLOCK_BYTES),
        ]
        self._write(run, end, tail)
        self._write(run, 0, [tar_headers.build_header(f"{self._stem}.ovf", len(descriptor)), descriptor])
        length = self._check_written(run, end + sum(len(block) for block in tail))
        if length != end + sum(len(block) for block in tail):
            raise HypervisorError(_("Somebody else wrote into the archive."))
        return {"bytes": length}

    def _descriptor(self, packed: list[PackedDisk]) -> bytes:
        disks = [
            ExportedDisk(
                file_name=name,
                file_bytes=disk.size_bytes,
                capacity_bytes=disk.capacity_bytes,
                populated_bytes=disk.populated_bytes,
            )
            for name, disk in zip(self._files, packed, strict=True)
        ]
        descriptor = build_ovf(self._machine, disks)
        if len(descriptor) > DESCRIPTOR_BYTES:
            raise NotPossible(_("The machine has too many devices for an OVA."))
        return descriptor.ljust(DESCRIPTOR_BYTES, b"\n")

    def _manifest(self, descriptor: bytes, packed: list[PackedDisk]) -> bytes:
        digests = {f"{self._stem}.ovf": hashlib.sha256(descriptor).hexdigest()}
        digests |= {name: disk.sha256 for name, disk in zip(self._files, packed, strict=True)}
        return "".join(f"SHA256({name})= {digest}\n" for name, digest in digests.items()).encode()


class _Counted:
    """Passes grains on, and knows how many there were."""

    def __init__(self, grains: Iterator[tuple[int, bytes]]) -> None:
        self._grains = grains
        self.count, self.last_number = 0, 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for number, content in self._grains:
            self.count += 1
            self.last_number = number
            yield number, content


def packed_disks(run: Run) -> list[PackedDisk]:
    """Those that are whole, in their order, as the operation's row knows them."""
    entries: list[dict[str, Any]] = list(run.operation.steps)
    made = [entry["made"] for entry in entries if entry["name"].startswith("pack_") and entry["state"] == "done"]
    return [PackedDisk(**one) for one in made]


def _pieces(blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
    piece, length = [], 0
    for block in blocks:
        piece.append(block)
        length += len(block)
        if length >= _PIECE_BYTES:
            yield piece
            piece, length = [], 0
    if piece:
        yield piece
