"""Steps that make a volume: empty, on top of another, a copy, or with content that we write; each safe when adopted.

What stands under the name before a step begins is never touched. What a dead worker's step has left there is taken for
ours only if it is as what was begun would be, and nothing of anybody else's is in it.
"""

import time
from collections.abc import Callable, Iterable, Sequence

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NameTaken, NotPossible, StorageBusy, VmportalError
from hypervisors.gateway.connections import cached_connection
from hypervisors.gateway.storage.volumes import (
    VolumeFacts,
    begins_with_zeros,
    clone_volume,
    create_volume,
    delete_volume,
    read_volume,
    read_volume_bytes,
    resize_volume,
    write_volume,
)
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.inventory.storage.origins import forget_origin, note_origin
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import StoragePool, Volume
from hypervisors.operations.engine.bounded_calls import BackgroundCall
from hypervisors.operations.engine.records import NOTE
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import UNASKABLE, Made, Step
from hypervisors.operations.storage.latest_volume_users import why_in_use_now
from hypervisors.operations.storage.room import check_room, read_room
from hypervisors.operations.storage.storage_operations import storage_pools_of, tell_host

# Storage rounds up to its own unit.
_ROUNDING_BYTES = 64 * 1024**2
_ANSWER_SECONDS, _SILENT_SECONDS, _WRITE_SECONDS, _POLL_SECONDS = 15.0, 120.0, 900.0, 0.25


class VolumeStep(Step):
    """Base: makes `spec` in the storage pool, asking the storage pool's own host. `number` tells two disks apart."""

    def __init__(self, storage_pool: StoragePool, spec: VolumeSpec, *, number: int = 1) -> None:
        self.name = f"{self.noun}_{number}"
        self.label = self.words % {"name": spec.name}
        self._storage_pool = storage_pool
        self._spec = spec

    noun = "disk"
    words = gettext_lazy("Create the disk %(name)s")

    @property
    def storage_pool(self) -> StoragePool:
        return self._storage_pool

    @property
    def volume_name(self) -> str:
        return self._spec.name

    def intend(self, run: Run) -> Made:
        """Looks that nothing is there and that it fits: what stands under the name later is ours."""
        pool, name = self._storage_pool, self._spec.name
        room = read_room(run, pool)
        if self._read(run) is not None:
            raise NameTaken(
                _("There is a volume called “%(name)s” in the storage pool “%(pool)s” already.")
                % {"name": name, "pool": pool.name}
            )
        check_room(room.available_bytes, taken_bytes=self.needed_bytes, growth_bytes=0, overcommitted=True)
        return {"storage_pool": pool.pk, "name": name}

    def is_done(self, run: Run, intent: Made) -> bool:
        facts = self._read(run)
        if facts is None:
            return False
        if not self._is_as_begun(run, facts):
            raise NameTaken(
                _("There is another volume called “%(name)s” now; it is left alone.") % {"name": intent["name"]}
            )
        if self._is_whole(facts):
            return True
        self._delete(run)
        return False

    def found(self, run: Run, intent: Made) -> Made:
        facts = self._read(run)
        return {} if facts is None else self._noted(facts)

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """Deletes what this operation is known to have made, else only what has nothing in it.

        Raises: errors.NotPossible for anything else, and for what a machine has by now.
        """
        facts = self._read(run)
        if facts is None:
            return
        if not made and not self._is_as_begun(run, facts):
            raise NotPossible(_("It is not the one that was begun here."))
        reason = why_in_use_now(run, Volume(storage_pool=self._storage_pool, name=self._spec.name, path=facts.path))
        if reason:
            raise NotPossible(reason)
        self._delete(run)
        tell_host(run, self._storage_pool)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("The volume “%(name)s” stays in the storage pool “%(pool)s”.") % {
            "name": intent["name"],
            "pool": self._storage_pool.name,
        }

    @property
    def needed_bytes(self) -> int:
        """What it takes of the storage at once."""
        return self._spec.reserved_bytes

    def _is_as_begun(self, run: Run, facts: VolumeFacts) -> bool:
        """Whether taking it for what was begun here loses nobody anything."""
        raise NotImplementedError

    def _is_whole(self, facts: VolumeFacts) -> bool:
        return facts.capacity_bytes >= self._spec.capacity_bytes

    def _read(self, run: Run) -> VolumeFacts | None:
        pool, name = self._storage_pool, self._spec.name
        return run.ask(
            lambda connection: read_volume(connection, pool.uuid, name),
            hypervisor=pool.hypervisor,
            seconds=_ANSWER_SECONDS,
        )

    def _delete(self, run: Run) -> None:
        """Raises: StorageBusy while libvirt still works on it."""
        pool, name = self._storage_pool, self._spec.name
        self._ask_slowly(run, lambda connection: delete_volume(connection, pool.uuid, name))
        if self._read(run) is not None:
            raise StorageBusy(_("The volume “%(name)s” is still there.") % {"name": name})
        forget_origin(pool, name)

    def _noted(self, facts: VolumeFacts) -> Made:
        """What was made; and remembered as such, so that bytes which say otherwise later are not believed."""
        spec = self._spec
        note_origin(self._storage_pool, spec.name, format_=spec.format, backing_path=spec.backing_path, purpose="disk")
        return {"path": facts.path, "capacity_bytes": facts.capacity_bytes}

    def _ask_slowly(self, run: Run, question: Callable[..., None]) -> None:
        run.ask(question, hypervisor=self._storage_pool.hypervisor, seconds=_SILENT_SECONDS)


class NewDisk(VolumeStep):
    """An empty volume."""

    def do(self, run: Run, intent: Made) -> Made:
        pool, spec = self._storage_pool, self._spec
        facts = run.ask(
            lambda connection: create_volume(connection, pool.uuid, spec),
            hypervisor=pool.hypervisor,
            seconds=_SILENT_SECONDS,
        )
        return self._noted(facts)

    def _is_as_begun(self, run: Run, facts: VolumeFacts) -> bool:
        return is_empty_one(run, self._storage_pool, self._spec, facts)


class OverlayDisk(NewDisk):
    """A volume on top of another, `spec.backing_path`."""

    words = gettext_lazy("Create the disk %(name)s on top of its image")

    def _is_as_begun(self, run: Run, facts: VolumeFacts) -> bool:
        return facts.backing_path == self._spec.backing_path and super()._is_as_begun(run, facts)


class CopiedDisk(VolumeStep):
    """All of another volume of the same host, in the format of `spec`, then grown to its capacity (0: as it is).

    `check` judges the source right before libvirt reads it, however long ago others did: it may raise VmportalError.
    """

    words = gettext_lazy("Copy the disk %(name)s")

    def __init__(
        self,
        storage_pool: StoragePool,
        spec: VolumeSpec,
        *,
        source_storage_pool: StoragePool,
        source_name: str,
        number: int = 1,
        check: Callable[[Run], object] = lambda _run: None,
    ) -> None:
        super().__init__(storage_pool, spec, number=number)
        self._check = check
        self._source_storage_pool = source_storage_pool
        self._source_name = source_name
        self._source_bytes = 0

    def intend(self, run: Run) -> Made:
        source = self._read_source(run)
        if source is None:
            raise NotPossible(_("The volume “%(name)s” that was to be copied is gone.") % {"name": self._source_name})
        self._source_bytes = source.allocation_bytes
        return super().intend(run)

    @property
    def needed_bytes(self) -> int:
        return max(self._source_bytes, self._spec.reserved_bytes)

    def do(self, run: Run, intent: Made) -> Made:
        self._check(run)
        endpoint = endpoint_of(self._storage_pool.hypervisor)
        pool_uuid, source_uuid, name = self._storage_pool.uuid, self._source_storage_pool.uuid, self._source_name
        call = BackgroundCall(
            lambda: clone_volume(
                cached_connection(endpoint), pool_uuid, self._spec, source_pool_uuid=source_uuid, source_name=name
            ),
            name="copy-volume",
        )
        self._follow(run, call)
        facts = call.result()
        if facts.format != self._spec.format or facts.backing_path:
            self._delete(run)
            raise HypervisorError(
                _("libvirt made something else of it than a whole %(format)s image.") % {"format": self._spec.format}
            )
        if self._spec.capacity_bytes > facts.capacity_bytes:
            facts = self._grow(run)
        return self._noted(facts)

    def _grow(self, run: Run) -> VolumeFacts:
        pool_uuid, name, wanted = self._storage_pool.uuid, self._spec.name, self._spec.capacity_bytes
        try:
            return run.ask(
                lambda connection: resize_volume(connection, pool_uuid, name, wanted),
                hypervisor=self._storage_pool.hypervisor,
                seconds=_SILENT_SECONDS,
            )
        except UNASKABLE:
            raise
        except VmportalError:
            # A step that fails leaves nothing.
            self._delete(run)
            raise

    def _is_whole(self, facts: VolumeFacts) -> bool:
        """A copy whose call was not seen to return is never taken for whole: it looks like one from the beginning."""
        return False

    def _is_as_begun(self, run: Run, facts: VolumeFacts) -> bool:
        source = self._read_source(run)
        sizes = {0, self._spec.capacity_bytes} | ({source.capacity_bytes} if source is not None else set())
        return facts.format in (self._spec.format, "raw") and facts.capacity_bytes in sizes and not facts.backing_path

    def _read_source(self, run: Run) -> VolumeFacts | None:
        uuid, name = self._source_storage_pool.uuid, self._source_name
        return run.ask(lambda connection: read_volume(connection, uuid, name), hypervisor=self._storage_pool.hypervisor)

    def _follow(self, run: Run, call: BackgroundCall[VolumeFacts]) -> None:
        """Show how much is copied until the call returns. Raises: NotAnswered when nothing is heard for long."""
        heard_at = time.monotonic()
        while not call.wait(_POLL_SECONDS):
            try:
                facts = self._read(run)
            except HypervisorError:
                if time.monotonic() - heard_at > _SILENT_SECONDS:
                    raise
                continue
            heard_at = time.monotonic()
            if facts is not None:
                self._report(run, facts)

    def _report(self, run: Run, facts: VolumeFacts) -> None:
        # libvirt can neither stop nor forget it.
        note = {NOTE: _("Cancelled as soon as the host has copied it.")} if run.cancel_requested.is_set() else {}
        run.report({"transferred_bytes": facts.allocation_bytes, **note})


class WrittenDisk(VolumeStep):
    """A raw volume with these bytes: a seed, a kernel. `content` is called when they are needed, and again.

    `same_head_bytes`: so much of the beginning is the same each time, by which a dead worker's half is known for ours.
    """

    noun = "file"
    words = gettext_lazy("Write %(name)s")

    def __init__(
        self,
        storage_pool: StoragePool,
        spec: VolumeSpec,
        *,
        content: Callable[[], Iterable[bytes]],
        same_head_bytes: int = 4096,
        number: int = 1,
    ) -> None:
        super().__init__(storage_pool, spec, number=number)
        self._content = content
        self._same_head_bytes = same_head_bytes

    def do(self, run: Run, intent: Made) -> Made:
        pool, spec = self._storage_pool, self._spec
        run.ask(lambda connection: create_volume(connection, pool.uuid, spec), hypervisor=pool.hypervisor)
        try:
            self._write(run)
        except UNASKABLE:
            raise
        except VmportalError:
            self._delete(run)
            raise
        facts = self._read(run)
        if facts is None:
            raise NotPossible(_("The volume “%(name)s” is gone.") % {"name": spec.name})
        return self._noted(facts)

    def _write(self, run: Run) -> None:
        pool, spec = self._storage_pool, self._spec
        blocks = self._content()
        run.ask(
            lambda connection: write_volume(connection, pool.uuid, spec.name, blocks),
            hypervisor=pool.hypervisor,
            seconds=_WRITE_SECONDS,
        )

    def _is_whole(self, facts: VolumeFacts) -> bool:
        """It may be cut off anywhere: it is written anew."""
        return False

    def _is_as_begun(self, run: Run, facts: VolumeFacts) -> bool:
        """Nothing, zeros, or the beginning of what is written there."""
        pool, spec, length = self._storage_pool, self._spec, self._same_head_bytes
        there = run.ask(
            lambda connection: read_volume_bytes(connection, pool.uuid, spec.name, 0, length),
            hypervisor=pool.hypervisor,
        )
        if not any(there):
            return True
        return there == self._head()[: len(there)]

    def _head(self) -> bytes:
        head = b""
        for block in self._content():
            head += block
            if len(head) >= self._same_head_bytes:
                break
        return head


class TellStorage(Step):
    """Have every host that sees one of these storage pools read it again; one that cannot be told finds out later."""

    name = "tell_hosts"
    label = gettext_lazy("Refresh the storage pools on their hosts")

    def __init__(self, storage_pools: Sequence[StoragePool]) -> None:
        self._storage_pools = list({pool.pk: pool for pool in storage_pools}.values())

    def do(self, run: Run, intent: Made) -> Made:
        for storage_pool in self._storage_pools:
            for one in storage_pools_of(storage_pool):
                tell_host(run, one)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        # Nothing shows it, and twice does no harm.
        return False


def is_empty_one(run: Run, storage_pool: StoragePool, spec: VolumeSpec, facts: VolumeFacts) -> bool:
    """Whether it is as an empty volume of the spec would be, and nothing is in it."""
    if facts.format != spec.format or facts.capacity_bytes > spec.capacity_bytes + _ROUNDING_BYTES:
        return False
    if spec.format != "raw":
        # What qcow2 needs for itself grows with its capacity.
        empty_bytes = 1024**2 + spec.capacity_bytes // 2**24
        return facts.capacity_bytes >= spec.capacity_bytes and facts.allocation_bytes <= empty_bytes
    return run.ask(
        lambda connection: begins_with_zeros(connection, storage_pool.uuid, spec.name),
        hypervisor=storage_pool.hypervisor,
        seconds=_SILENT_SECONDS,
    )
