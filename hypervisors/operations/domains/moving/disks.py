"""Which of a machine's disks can move to which storage pools, and what to know before: from rows alone."""

import posixpath
from dataclasses import dataclass
from pathlib import PurePosixPath

from django.utils.translation import gettext as _

from hypervisors.libvirtxml.disk_layers import is_whole_image
from hypervisors.libvirtxml.domain_devices import Disk
from hypervisors.libvirtxml.domains import parsed_from_json
from hypervisors.models import Domain, DomainDefinition, Hypervisor, StoragePool, Volume
from hypervisors.operations.domains.creation.places import is_block
from hypervisors.operations.domains.deletion.plan import find_volume, users_apart_from
from hypervisors.operations.domains.unmovable import is_data
from hypervisors.operations.storage.image_checks import why_quarantined
from hypervisors.operations.storage.storage_operations import why_no_storage_pool
from hypervisors.operations.storage.volume_users import in_use_text, overlays_of

# Storage whose volumes are no files or devices of the host.
_UNREACHABLE_POOLS = frozenset({"rbd", "gluster", "sheepdog", "iscsi-direct"})
# Whose volumes are those of a device, and cannot be made.
_FIXED_POOLS = frozenset({"disk", "iscsi", "scsi", "mpath"})
_FORMATS = ("qcow2", "raw")


@dataclass(frozen=True, kw_only=True)
class MovableDisk:
    """A disk as its machine has it now, the volume that it is on, and why it cannot move ("" when it can)."""

    disk: Disk
    volume: Volume | None
    reason: str

    @property
    def target(self) -> str:
        return self.disk.target

    @property
    def name(self) -> str:
        return self.volume.name if self.volume else posixpath.basename(self.disk.source) or self.disk.source


def movable_disks(domain: Domain) -> tuple[MovableDisk, ...]:
    """All that hold the machine's own data, in the order of its XML."""
    definition = DomainDefinition.objects.filter(domain=domain).first() or DomainDefinition(domain=domain)
    now = [disk for disk in parsed_from_json(definition.parsed).disks if is_data(disk)]
    then = {disk.target: disk for disk in parsed_from_json(definition.inactive_parsed).disks}
    xml = definition.live_xml or definition.inactive_xml
    return tuple(_movable(domain, disk, then.get(disk.target), xml) for disk in now)


def find_movable_disk(domain: Domain, target: str) -> MovableDisk | None:
    return next((disk for disk in movable_disks(domain) if disk.target == target), None)


def target_pools(hypervisor: Hypervisor) -> list[StoragePool]:
    """Where its machines' disks may go, that with most room first."""
    pools = StoragePool.objects.present().filter(hypervisor=hypervisor, active=True).select_related("hypervisor")
    return sorted((pool for pool in pools if not why_no_target(pool)), key=lambda pool: -pool.available_bytes)


def why_no_target(storage_pool: StoragePool) -> str:
    """Why no disk can go there; "" when it can."""
    if storage_pool.pool_type in _UNREACHABLE_POOLS | _FIXED_POOLS:
        return _("Volumes of a storage pool of the type %(type)s are not made here.") % {"type": storage_pool.pool_type}
    return why_no_storage_pool(storage_pool)


def formats_for(storage_pool: StoragePool) -> tuple[str, ...]:
    """What a disk may be there."""
    return ("raw",) if is_block(storage_pool) else _FORMATS


def is_on_one_host_only(storage_pool: StoragePool) -> bool:
    """Whether a machine with a disk there cannot move to the other hosts of its pool."""
    others = StoragePool.objects.present().same_storage_as(storage_pool).exclude(pk=storage_pool.pk)
    in_pool = Hypervisor.objects.filter(hypervisor_pool=storage_pool.hypervisor.hypervisor_pool_id)
    return in_pool.count() > 1 and not others.exists()


def free_volume_name(storage_pool: StoragePool, wanted: str, format_: str) -> str:
    """A name like the one it has, with the suffix of its format, that nothing there has."""
    same = StoragePool.objects.present().same_storage_as(storage_pool).values("pk")
    taken = set(Volume.objects.present().filter(storage_pool__in=same).values_list("name", flat=True))
    path = PurePosixPath(wanted)
    is_known = path.suffix in (".qcow2", ".raw", ".img")
    stem = path.stem if is_known else wanted
    suffix = {"qcow2": ".qcow2", "raw": ".img"}[format_] if is_known and not is_block(storage_pool) else ""
    names = (f"{stem}{'' if number == 1 else f'-{number}'}{suffix}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _movable(domain: Domain, disk: Disk, then: Disk | None, xml: str) -> MovableDisk:
    volume = find_volume(domain, disk)
    return MovableDisk(disk=disk, volume=volume, reason=_reason(domain, disk, then, xml, volume))


def _reason(domain: Domain, disk: Disk, then: Disk | None, xml: str, volume: Volume | None) -> str:
    if volume is None or disk.source_kind not in ("file", "block", "volume"):
        return _("It is in no storage pool that vmportal can copy from.")
    if then is None or then.source != disk.source:
        return _("As it starts next time, it has another disk there: shut it down and start it first.")
    return _reason_of_disk(disk) or _reason_of_image(xml, disk, volume) or _reason_of_users(domain, volume)


def _reason_of_disk(disk: Disk) -> str:
    if disk.device != "disk":
        return _("It is a device of the host that is passed through.")
    if disk.shareable:
        return _("Several machines may write to it at the same time.")
    if disk.is_transient:
        return _("What is written to it is thrown away when the machine stops.")
    if disk.block_job:
        return _("Its host is at work on it (%(job)s).") % {"job": disk.block_job}
    return ""


def _reason_of_image(xml: str, disk: Disk, volume: Volume) -> str:
    if volume.format not in _FORMATS:
        return _("It is of the format %(format)s.") % {"format": volume.format or "?"}
    try:
        if not is_whole_image(xml, disk.target):
            return _("It is encrypted by its host, or a part of a file.")
    except ValueError as error:
        return str(error)
    return why_quarantined(volume)


def _reason_of_users(domain: Domain, volume: Volume) -> str:
    overlays = [overlay.name for overlay in overlays_of(volume)]
    return in_use_text(users_apart_from(domain, volume), overlays)
