"""Steps that take a disk out of what was brought: its bytes into a volume of their own, judged, converted, dropped.

What they make is named after the operation: whatever stands under that name is its own, and nobody else's.
"""

from contextlib import suppress
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible, StorageBusy, StoragePoolFull, VmportalError
from hypervisors.gateway.connections import Connection, cached_connection
from hypervisors.gateway.storage.storage_pools import read_storage_pool, refresh_storage_pool
from hypervisors.gateway.storage.volume_copies import PIECE_BYTES, VolumeEnd, copy_piece
from hypervisors.gateway.storage.volumes import create_volume, delete_volume, read_volume
from hypervisors.imaging.appliances import PackagedDisk, judge_disk
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import StoragePool, Volume
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import UNASKABLE, Made, Step
from hypervisors.operations.storage.latest_volume_users import why_running_now
from hypervisors.operations.storage.room import RESERVE_BYTES
from hypervisors.operations.storage.volume_readers import needed_file

_PIECE_SECONDS, _REFRESH_SECONDS, _DELETE_SECONDS = 180.0, 60.0, 120.0
_GIB = 1024**3


def temporary_name(run: Run, number: int, extension: str = "vmdk") -> str:
    return f"vmportal-{run.operation.kind.split('_')[0]}-{run.operation.pk.hex[:12]}-{number}.{extension}"


class ExtractDisk(Step):
    """Copy a disk's bytes into a volume of their own, and judge them there, where nobody can change them any more."""

    def __init__(
        self,
        storage_pool: StoragePool,
        packaged: PackagedDisk,
        *,
        source_storage_pool: StoragePool,
        volume_name: str,
        number: int,
        before_bytes: int,
        total_bytes: int,
    ) -> None:
        self.name = f"extract_{number}"
        self.label = _("Unpack the disk “%(name)s”") % {"name": packaged.disk.name}
        self._storage_pool = storage_pool
        self._packaged = packaged
        self._source_storage_pool = source_storage_pool
        self._volume_name = volume_name
        self._before_bytes = before_bytes
        self._total_bytes = total_bytes

    def intend(self, run: Run) -> Made:
        check_room(run, self._storage_pool, self._packaged.size_bytes)
        return {"name": self._volume_name}

    def do(self, run: Run, intent: Made) -> Made:
        """Cancelled in the middle it returns: the next step is not begun, and this one undone."""
        spec = VolumeSpec(name=self._volume_name, format="raw", capacity_bytes=0)
        self._ask(run, lambda connection, uuid: create_volume(connection, uuid, spec))
        try:
            if self._copy(run):
                self._judge(run)
        except UNASKABLE:
            raise
        except VmportalError:
            self._delete(run)
            raise
        return {"bytes": self._packaged.size_bytes}

    def is_done(self, run: Run, intent: Made) -> bool:
        """A copy that a dead worker began is made anew: nobody knows its digest."""
        self._delete(run)
        return False

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        self._delete(run)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("The volume “%(name)s” stays in the storage pool “%(pool)s”.") % {
            "name": intent["name"],
            "pool": self._storage_pool.name,
        }

    def _copy(self, run: Run) -> bool:
        """Whether all of it was copied. Raises: errors.NotPossible when it is not what the manifest says."""
        digest = self._packaged.digest
        hashed = None if digest is None else digest.begin()
        done, size = 0, self._packaged.size_bytes
        while done < size:
            if run.cancel_requested.is_set():
                return False
            count = self._copy_piece(run, done, min(PIECE_BYTES, size - done), hashed)
            if not count:
                raise NotPossible(self._sentence(_("It ends before its time.")))
            done += count
            self._check_written(run, done)
            self._report(run, done)
        if digest is not None and hashed is not None and hashed.hexdigest() != digest.hexadecimal:
            raise NotPossible(self._sentence(_("It is not whole: its digest is not the one in the manifest (.mf).")))
        return True

    def _copy_piece(self, run: Run, done: int, length: int, hashed: Any) -> int:
        endpoint, source = endpoint_of(self._source_storage_pool.hypervisor), self._source_storage_pool
        offset, volume_name = self._packaged.offset + done, self._packaged.volume_name

        def copied(connection: Connection) -> int:
            return copy_piece(
                VolumeEnd(
                    connection=cached_connection(endpoint),
                    pool_uuid=source.uuid,
                    name=volume_name,
                    offset=offset,
                ),
                VolumeEnd(
                    connection=connection, pool_uuid=self._storage_pool.uuid, name=self._volume_name, offset=done
                ),
                length,
                on_block=(lambda _block: None) if hashed is None else hashed.update,
            )

        return run.ask(copied, hypervisor=self._storage_pool.hypervisor, seconds=_PIECE_SECONDS)

    def _check_written(self, run: Run, done: int) -> None:
        """Raises: errors.StoragePoolFull: libvirt says nothing of what a full file system did not take."""
        facts = self._ask(run, lambda connection, uuid: read_volume(connection, uuid, self._volume_name))
        # libvirt names no physical size where nothing is.
        if facts is None or (facts.physical_bytes or 0) < done:
            raise StoragePoolFull(
                _("The storage pool “%(pool)s” is full: the end of what was written is missing.")
                % {"pool": self._storage_pool.name}
            )

    def _judge(self, run: Run) -> None:
        judge(run, self._storage_pool, self._volume_name, self._packaged)

    def _sentence(self, problem: str) -> str:
        return _("Disk “%(name)s”: %(problem)s") % {"name": self._packaged.disk.name, "problem": problem}

    def _report(self, run: Run, done: int) -> None:
        so_far, total = self._before_bytes + done, max(self._total_bytes, 1)
        run.report({"percent": round(99 * so_far / total, 1), "transferred_bytes": so_far, "total_bytes": total})

    def _delete(self, run: Run) -> None:
        delete_own(run, self._storage_pool, self._volume_name)

    def _ask(self, run: Run, question: Any) -> Any:
        uuid = self._storage_pool.uuid
        return run.ask(lambda connection: question(connection, uuid), hypervisor=self._storage_pool.hypervisor)


class JudgeDisk(Step):
    """Judge a volume that is converted where it lies."""

    def __init__(self, storage_pool: StoragePool, packaged: PackagedDisk, *, number: int) -> None:
        self.name = f"judge_{number}"
        self.label = _("Look at the disk “%(name)s”") % {"name": packaged.disk.name}
        self._storage_pool = storage_pool
        self._packaged = packaged

    def do(self, run: Run, intent: Made) -> Made:
        self._check_unused(run)
        judge(run, self._storage_pool, self._packaged.volume_name, self._packaged)
        return {}

    def _check_unused(self, run: Run) -> None:
        """A running guest could write another header right after it was judged. Raises: errors.NotPossible."""
        pool, name = self._storage_pool, self._packaged.volume_name
        facts = run.ask(lambda connection: read_volume(connection, pool.uuid, name), hypervisor=pool.hypervisor)
        if facts is None:
            raise NotPossible(_("The volume “%(name)s” is gone.") % {"name": name})
        reason = why_running_now(run, Volume(storage_pool=pool, name=name, path=facts.path, format=facts.format))
        if reason:
            raise NotPossible(reason)

    def is_done(self, run: Run, intent: Made) -> bool:
        # Nothing shows it, and twice does no harm.
        return False


class DropVolume(Step):
    """Delete what was only needed on the way."""

    def __init__(self, storage_pool: StoragePool, volume_name: str, *, number: int) -> None:
        self.name = f"drop_{number}"
        self._storage_pool = storage_pool
        self._volume_name = volume_name

    label = gettext_lazy("Delete what was unpacked")

    def do(self, run: Run, intent: Made) -> Made:
        delete_own(run, self._storage_pool, self._volume_name)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return False


def judge(run: Run, storage_pool: StoragePool, volume_name: str, packaged: PackagedDisk) -> None:
    """Raises: errors.NotPossible for what must not be converted, StoragePoolFull for what does not fit unpacked."""
    file = needed_file(run, storage_pool, volume_name)
    try:
        facts = judge_disk(file, declared=packaged.disk)
    except ValueError as error:
        raise NotPossible(_("Disk “%(name)s”: %(problem)s") % {"name": packaged.disk.name, "problem": error}) from error
    if packaged.facts is not None and facts.virtual_size_bytes != packaged.facts.virtual_size_bytes:
        raise NotPossible(
            _("Disk “%(name)s” has changed since it was looked at: look at it again.") % {"name": packaged.disk.name}
        )
    check_room(run, storage_pool, facts.populated_bytes)


def check_room(run: Run, storage_pool: StoragePool, needed_bytes: int) -> None:
    """Raises: errors.StoragePoolFull."""
    uuid, hypervisor = storage_pool.uuid, storage_pool.hypervisor
    # While somebody copies there, which may take hours, what libvirt knew before has to do.
    with suppress(StorageBusy):
        run.ask(
            lambda connection: refresh_storage_pool(connection, uuid), hypervisor=hypervisor, seconds=_REFRESH_SECONDS
        )
    read = run.ask(lambda connection: read_storage_pool(connection, uuid), hypervisor=hypervisor)
    if read is None:
        raise NotPossible(_("The storage pool “%(pool)s” is gone.") % {"pool": storage_pool.name})
    if needed_bytes + RESERVE_BYTES > read.available_bytes:
        raise StoragePoolFull(
            _("It does not fit into “%(pool)s”: %(needed).1f GiB are needed, %(free).1f GiB are free.")
            % {
                "pool": storage_pool.name,
                "needed": (needed_bytes + RESERVE_BYTES) / _GIB,
                "free": read.available_bytes / _GIB,
            }
        )


def delete_own(run: Run, storage_pool: StoragePool, name: str) -> None:
    """Raises: errors.StorageBusy while libvirt still works on it."""
    uuid, hypervisor = storage_pool.uuid, storage_pool.hypervisor
    run.ask(lambda connection: delete_volume(connection, uuid, name), hypervisor=hypervisor, seconds=_DELETE_SECONDS)
    if run.ask(lambda connection: read_volume(connection, uuid, name), hypervisor=hypervisor) is not None:
        raise StorageBusy(_("The volume “%(name)s” is still there.") % {"name": name})
