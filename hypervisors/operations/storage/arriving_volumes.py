"""What uploads and fetches have in common: a new volume that is filled from outside, and goes again if that fails."""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from django.utils.translation import gettext as _

from hypervisors.broadcast import Change, publish
from hypervisors.errors import HypervisorError, NameTaken, NotPossible, StorageBusy, StoragePoolFull
from hypervisors.gateway.storage.storage_pools import read_storage_pool, refresh_storage_pool
from hypervisors.gateway.storage.volumes import create_volume, delete_volume, read_volume
from hypervisors.inventory.storage.origins import note_origin
from hypervisors.libvirtxml.storage_volumes import VolumeSpec, check_volume_name
from hypervisors.models import Operation, StoragePool, Volume, VolumeOrigin
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.subjects import volume_lock_key
from hypervisors.operations.engine.types import OperationType
from hypervisors.operations.storage.incoming_volumes import GROWING_TYPES, no_room_text
from hypervisors.operations.storage.room import RESERVE_BYTES
from hypervisors.operations.storage.storage_operations import storage_pools_of, tell_host, why_no_storage_pool
from hypervisors.privileges import Privilege

# What a person may say that the file is to be; "" is anything.
PURPOSES = frozenset({"", "iso", "disk", "ova"})
MOST_BYTES = 2**50
_CALL_SECONDS = 120.0
_DELETE_SECONDS = 600.0
# Storage rounds up to its own unit.
_ROUNDING_BYTES = 64 * 1024**2
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ArrivingVolume(OperationType[StoragePool]):
    """Base of the kinds that fill a new volume from outside."""

    subject_type = "storage_pool"
    privilege = Privilege.STORAGE_MANAGE
    can_be_cancelled = True
    # Set by each kind; has at least a `name`.
    Parameters: ClassVar[type[Any]]

    def why_not(self, storage_pool: StoragePool) -> str:
        return why_no_storage_pool(storage_pool)

    def locks(self, storage_pool: StoragePool, parameters: Any) -> tuple[str, ...]:
        return (volume_lock_key(storage_pool, parameters.name),)

    def subject_name(self, storage_pool: StoragePool, parameters: Any) -> str:
        return f"{storage_pool.name}/{parameters.name}"

    def after(self, operation: Operation) -> None:
        """Pages that read their lists while it was hidden read them again."""
        own = StoragePool.objects.filter(pk=int(operation.subject_key)).first()
        same = StoragePool.objects.present().same_storage_as(own) if own is not None else ()
        changes = [
            Change(what="volume", id=str(row.pk), fields={"storage_pool": row.pk, "hypervisor": row.hypervisor_id})
            for row in same
        ]
        publish(changes)


def checked_name(storage_pool: StoragePool, name: object) -> str:
    """A name that a new volume may have there, as far as rows tell. Raises: errors.NotPossible."""
    text = str(name or "")
    try:
        check_volume_name(text)
    except ValueError as error:
        raise NotPossible(str(error)) from error
    same = StoragePool.objects.present().same_storage_as(storage_pool)
    if Volume.objects.present().filter(storage_pool__in=same, name=text).exists():
        raise NotPossible(_("There is a volume called “%(name)s” in this storage pool already.") % {"name": text})
    return text


def checked_length(storage_pool: StoragePool, length: object) -> int:
    """A size that has room there, as far as rows tell. Raises: errors.NotPossible."""
    if not isinstance(length, int) or isinstance(length, bool) or not 1 <= length <= MOST_BYTES:
        raise NotPossible(_("A file has a size between 1 byte and 1 PiB."))
    if length + RESERVE_BYTES > storage_pool.available_bytes:
        raise NotPossible(no_room_text(length, storage_pool.available_bytes))
    return length


def checked_sha256(given: Mapping[str, Any]) -> str:
    """As it is pasted: alone, or the line of a SHA256SUMS file. Raises: errors.NotPossible."""
    words = str(given.get("sha256") or "").lower().split()
    if not words:
        return ""
    for word in words:
        if _SHA256.fullmatch(word):
            return word
    raise NotPossible(_("A SHA-256 checksum has 64 hexadecimal digits; this is none."))


def checked_purpose(given: Mapping[str, Any]) -> str:
    purpose = str(given.get("purpose") or "")
    if purpose not in PURPOSES:
        raise NotPossible(_("A file is uploaded as “iso”, “disk” or “ova”, or without saying."))
    return purpose


def is_growing(storage_pool: StoragePool) -> bool:
    return storage_pool.pool_type in GROWING_TYPES


def check_free_now(run: Run, storage_pool: StoragePool, name: str, length_bytes: int | None) -> None:
    """Ask the host: nothing has the name, and it fits. Raises: errors.NameTaken, StoragePoolFull and others."""
    uuid = storage_pool.uuid
    # While a volume is being made or copied there, which may take hours, what libvirt knew before has to do.
    with suppress(StorageBusy):
        run.ask(lambda connection: refresh_storage_pool(connection, uuid), seconds=_CALL_SECONDS)
    if run.ask(lambda connection: read_volume(connection, uuid, name)) is not None:
        raise NameTaken(_("There is a volume called “%(name)s” in the storage pool already.") % {"name": name})
    read = run.ask(lambda connection: read_storage_pool(connection, uuid))
    if read is None:
        raise NotPossible(_("The storage pool is gone."))
    if (length_bytes or 0) + RESERVE_BYTES > read.available_bytes:
        raise StoragePoolFull(no_room_text(length_bytes or 0, read.available_bytes))


def make_volume(run: Run, storage_pool: StoragePool, name: str, length_bytes: int | None, *, begun: bool) -> None:
    """An empty one, or one of the whole length where it cannot grow.

    With `begun`, a worker before this one may have made it already; one with something in it is somebody else's.
    Raises: errors.NameTaken, StoragePoolFull and other HypervisorErrors.
    """
    uuid = storage_pool.uuid
    capacity = 0 if is_growing(storage_pool) else length_bytes or 0
    if begun:
        facts = run.ask(lambda connection: read_volume(connection, uuid, name))
        if facts is not None:
            if facts.physical_bytes or facts.capacity_bytes > capacity + _ROUNDING_BYTES:
                raise NameTaken(_("There is another volume called “%(name)s” now; it is left alone.") % {"name": name})
            return
    spec = VolumeSpec(name=name, format="raw", capacity_bytes=capacity, allocation_bytes=capacity)
    run.ask(lambda connection: create_volume(connection, uuid, spec), seconds=_CALL_SECONDS)


def remove_volume(run: Run, storage_pool: StoragePool, name: str) -> None:
    """Raises: errors.StorageBusy while it is still there, and other HypervisorErrors."""
    uuid = storage_pool.uuid
    run.ask(lambda connection: delete_volume(connection, uuid, name), seconds=_DELETE_SECONDS)
    if run.ask(lambda connection: read_volume(connection, uuid, name)) is not None:
        raise StorageBusy(_("The volume “%(name)s” is still there.") % {"name": name})
    tell_all(run, storage_pool)


def note_arrival(run: Run, storage_pool: StoragePool, name: str, purpose: str) -> None:
    """Remember what it is now that its head was judged and it is whole: what it says later is compared with that."""
    uuid = storage_pool.uuid
    facts = run.ask(lambda connection: read_volume(connection, uuid, name))
    if facts is not None:
        # Whatever somebody brings is to make machines of; an appliance has to be unpacked first.
        kept_as = "" if purpose == "ova" else VolumeOrigin.IMAGE
        note_origin(storage_pool, name, format_=facts.format, backing_path=facts.backing_path, purpose=kept_as)


def tell_all(run: Run, storage_pool: StoragePool) -> None:
    """Have each host of the storage look at what is there now."""
    for one in storage_pools_of(storage_pool):
        tell_host(run, one)


def left_text(name: str, storage_pool: StoragePool, error: HypervisorError) -> str:
    """What remains when it could not be removed."""
    return _("The volume “%(name)s” in the storage pool “%(pool)s” could not be removed: %(error)s") % {
        "name": name,
        "pool": storage_pool.name,
        "error": error,
    }
