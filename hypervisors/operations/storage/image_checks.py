"""Whether an image's bytes may be trusted, looked at right before something is made of it.

libvirt and qemu-img open whatever a header names: a backing file, a data file, extents. Whoever writes the bytes
(a guest on its raw disk, somebody who uploads) would get a copy of any file of the host. So the head is read first,
and compared with what was made and with what machines take it for.
"""

import posixpath
import struct
from collections.abc import Collection
from copy import copy

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.gateway.storage.volumes import read_volume, read_volume_bytes
from hypervisors.imaging.image_headers import HEAD_BYTES, ImageFacts, inspect_head
from hypervisors.inventory.storage.origins import find_origin
from hypervisors.inventory.storage.quarantine import DISK_ROLES, WITH_HEADERS, why_not_as_made
from hypervisors.inventory.storage.uses import references_to
from hypervisors.models import Volume, VolumeOrigin, VolumeReference
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.storage.volume_users import why_running

_QCOW2 = b"QFI\xfb"
_BACKING = struct.Struct(">QI")
_BACKING_AT, _MOST_BACKING_FILES = 8, 32
_READ_SECONDS = 60.0


def check_image(run: Run, volume: Volume) -> ImageFacts:
    """What the volume is, and the files under it are, by their first bytes; for one of the operation's own host.

    Raises: errors.NotPossible, which says why nothing is made of it; HypervisorError.
    """
    facts = _check_one(run, volume)
    seen = {volume.path}
    base = _base_of(volume)
    while base is not None and base.path not in seen and len(seen) < _MOST_BACKING_FILES:
        seen.add(base.path)
        _check_one(run, base)
        base = _base_of(base)
    return facts


def check_copied(run: Run, volume: Volume) -> None:
    """The same right before libvirt copies it, when no machine may write another header any more. Raises: the same."""
    reason = why_running(volume)
    if reason:
        raise NotPossible(reason)
    check_image(run, volume)


def why_quarantined(volume: Volume) -> str:
    """What its row says; "" when it may be trusted as far as is known."""
    if not volume.quarantine:
        return ""
    return _("Its content is not trusted. %(reason)s") % {"reason": volume.quarantine}


def why_not_trusted(
    volume: Volume, head: bytes, *, origin: VolumeOrigin | None, references: Collection[VolumeReference]
) -> str:
    """`volume` as libvirt has it now; "" when nothing speaks against it."""
    reason = volume.quarantine or why_not_as_made(volume, origin, references)
    if reason:
        return reason
    facts = inspect_head(_without_backing(head))
    if (facts.format in WITH_HEADERS or volume.format in WITH_HEADERS) and facts.format != volume.format:
        return _("Its host takes it for %(known)s, and its content says that it is %(found)s.") % {
            "known": volume.format or "raw",
            "found": facts.format,
        }
    if facts.format in WITH_HEADERS and facts.problem:
        return facts.problem
    return _why_not_on_top(volume, head, origin, references)


def _check_one(run: Run, volume: Volume) -> ImageFacts:
    uuid, name = volume.storage_pool.uuid, volume.name
    found = run.ask(lambda connection: read_volume(connection, uuid, name))
    if found is None:
        raise NotPossible(_("The volume “%(name)s” is gone.") % {"name": name})
    head = run.ask(lambda connection: read_volume_bytes(connection, uuid, name, 0, HEAD_BYTES), seconds=_READ_SECONDS)
    volume.refresh_from_db(fields=["quarantine"])
    now = copy(volume)
    now.format, now.backing_path = found.format, found.backing_path
    reason = why_not_trusted(now, head, origin=find_origin(now), references=references_to([now]).get(now.pk, ()))
    if reason:
        raise NotPossible(
            _("“%(name)s” is not trusted, and nothing is made of it. %(reason)s") % {"name": name, "reason": reason}
        )
    return inspect_head(_without_backing(head), size_bytes=found.physical_bytes)


def _why_not_on_top(
    volume: Volume, head: bytes, origin: VolumeOrigin | None, references: Collection[VolumeReference]
) -> str:
    """A backing file is as it should be when we made it so, or when a machine's own QEMU reads it already."""
    backing = _backing_name(head)
    if not backing and not volume.backing_path:
        return ""
    if any(one.role in DISK_ROLES and one.format == volume.format for one in references):
        return ""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(volume.path), backing or "?"))
    if origin is not None and origin.backing_path and posixpath.normpath(origin.backing_path) == path:
        return ""
    return _("It is on top of %(path)s, and was not made so here: it would show what is in that file.") % {
        "path": backing or volume.backing_path
    }


def _backing_name(head: bytes) -> str:
    """As the header says it; "" without one, "?" where it cannot be read."""
    if not head.startswith(_QCOW2) or len(head) < _BACKING_AT + _BACKING.size:
        return ""
    offset, length = _BACKING.unpack_from(head, _BACKING_AT)
    if not offset and not length:
        return ""
    return head[offset : offset + length].decode(errors="replace") or "?"


def _without_backing(head: bytes) -> bytes:
    """The head as if it named no backing file, so that the rest of it is judged all the same."""
    if not head.startswith(_QCOW2):
        return head
    return head[:_BACKING_AT] + bytes(_BACKING.size) + head[_BACKING_AT + _BACKING.size :]


def _base_of(volume: Volume) -> Volume | None:
    """The volume that it is on top of, on the same host."""
    if not volume.backing_path:
        return None
    path = posixpath.normpath(volume.backing_path)
    found = Volume.objects.present().filter(path=path, storage_pool__hypervisor=volume.storage_pool.hypervisor_id)
    return found.select_related("storage_pool__hypervisor").first()
