"""Which volumes' bytes are not to be trusted: their format, or what they are on top of, is not what was made.

Whoever writes a volume's bytes picks what libvirt takes it for at its next look: a guest that writes a header to its
raw disk, or somebody who uploads. A copy or a resize of that would read whatever file of the host the header names.
So what does not fit is marked, and nothing is made of it until somebody has looked.
"""

from collections.abc import Collection, Mapping
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.inventory.storage.origins import origins_of
from hypervisors.inventory.storage.uses import references_to
from hypervisors.models import OperationLock, StoragePool, Volume, VolumeOrigin, VolumeReference

# Formats whose header can name other files; "" is what libvirt says of a volume that holds nothing yet.
WITH_HEADERS = frozenset(
    {"qcow2", "qcow", "qed", "vmdk", "vdi", "vpc", "vhd", "cow", "parallels", "ploop", "luks", "bochs", "cloop", "dmg"}
)
DISK_ROLES = frozenset({"disk", "cdrom", "floppy", "lun"})
_BATCH = 500


def judge_changed(storage_pool: StoragePool, names: Collection[str], formats_before: Mapping[str, str]) -> None:
    """Judge volumes of a storage pool that are new or changed; `formats_before`: of those that were known."""
    ordered = sorted(names)
    for start in range(0, len(ordered), _BATCH):
        rows = storage_pool.volumes.present().filter(name__in=ordered[start : start + _BATCH])
        _judge(list(rows.select_related("storage_pool__hypervisor")), formats_before)


def judge_named(names: Collection[str]) -> None:
    """Judge those that machines name, perhaps as what they are not."""
    ordered = sorted(names)
    for start in range(0, len(ordered), _BATCH):
        rows = Volume.objects.present().filter(name__in=ordered[start : start + _BATCH], format__in=WITH_HEADERS)
        volumes = list(rows.select_related("storage_pool__hypervisor"))
        _judge(volumes, {volume.name: volume.format for volume in volumes})


def why_not_as_made(volume: Volume, origin: VolumeOrigin | None, references: Collection[VolumeReference]) -> str:
    """What of its format or its backing file is not as it was made, or as its machines take it; "" when all is."""
    taken_for = {one.format for one in references if one.role in DISK_ROLES and one.format}
    if volume.format in WITH_HEADERS and volume.format not in taken_for and "raw" in taken_for:
        name = next(one.domain.name for one in references if one.format == "raw")
        return _(
            "“%(machine)s” has it as a raw disk, and its content says that it is %(format)s: the guest may have "
            "written that."
        ) % {"machine": name, "format": volume.format}
    if origin is None or not origin.format or volume.format in taken_for:
        # What QEMU itself reads as qcow2 its guest cannot rewrite.
        return ""
    if volume.format in WITH_HEADERS and volume.format != origin.format:
        return _("It was made as %(made)s, and its content says now that it is %(format)s.") % {
            "made": origin.format,
            "format": volume.format,
        }
    if volume.backing_path and volume.backing_path != origin.backing_path:
        return _("It was not made on top of %(path)s, and says now that it is.") % {"path": volume.backing_path}
    return ""


def _judge(volumes: list[Volume], formats_before: Mapping[str, str]) -> None:
    origins, references = origins_of(volumes), references_to(volumes)
    suspected = {
        volume.pk: why_not_as_made(volume, origins.get(volume.pk), references.get(volume.pk, ())) for volume in volumes
    }
    for volume in volumes:
        reason = suspected[volume.pk] or _why_changed(volume, formats_before, origins, references)
        if reason != volume.quarantine:
            Volume.objects.filter(pk=volume.pk).update(quarantine=reason)


def _why_changed(
    volume: Volume,
    formats_before: Mapping[str, str],
    origins: Mapping[int, VolumeOrigin],
    references: Mapping[int, list[VolumeReference]],
) -> str:
    """Of one that nobody knows: that it was raw when it was last looked at. It stays so until somebody has looked."""
    origin = origins.get(volume.pk)
    if (origin is not None and origin.format) or volume.format not in WITH_HEADERS:
        return ""
    if any(one.format == volume.format for one in references.get(volume.pk, ())):
        return ""
    before = formats_before.get(volume.name)
    if before == volume.format:
        return volume.quarantine
    if before != "raw" or _is_being_written(volume):
        return ""
    return _("It was raw, and its content says now that it is %(format)s.") % {"format": volume.format}


def _is_being_written(volume: Volume) -> bool:
    """Whether an operation of ours is at it, such as an upload, which looks itself at what arrives."""
    locks: Any = OperationLock.objects.filter(key=f"volume:{volume.storage_pool.storage_key}/{volume.name}")
    return bool(locks.exists())
