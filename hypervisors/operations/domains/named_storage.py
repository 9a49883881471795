"""Whether a machine's XML may have the storage that it names: nobody else's disks, and nothing that is not trusted.

From rows alone, which may be minutes old; what is in no storage pool is not known here.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

from hypervisors.inventory.storage.quarantine import DISK_ROLES, WITH_HEADERS
from hypervisors.inventory.storage.uses import StoragePlaces
from hypervisors.libvirtxml.documents import attribute_at, parse_document
from hypervisors.libvirtxml.domain_references import FileReference, find_references
from hypervisors.models import Domain, Hypervisor, Volume
from hypervisors.operations.domains.creation.disk_checks import is_shared_by
from hypervisors.operations.engine.subjects import volume_lock_key
from hypervisors.operations.storage.image_checks import why_quarantined
from hypervisors.operations.storage.volume_users import in_use_text, overlays_of, volume_users

_WRITTEN_ROLES = frozenset({"disk", "lun", "floppy", "nvram"})


@dataclass(frozen=True, kw_only=True)
class NamedVolume:
    """A volume that the XML names, and how."""

    volume: Volume
    reference: FileReference
    is_written: bool
    is_shared: bool

    @property
    def lock_key(self) -> str:
        return volume_lock_key(self.volume.storage_pool, self.volume.name)


def named_volumes(hypervisor: Hypervisor, xml: str, *, before: str = "") -> list[NamedVolume]:
    """Those that the XML names and `before` does not, or not for the same. Raises: ValueError."""
    modes, modes_before = disk_modes(xml), disk_modes(before) if before else {}
    known = {(one, modes_before.get(one.target)) for one in find_references(before)} if before else set()
    new = [one for one in find_references(xml) if (one, modes.get(one.target)) not in known]
    found = []
    for reference, volume in volumes_named(hypervisor, new):
        is_read_only, is_shared = modes.get(reference.target, (False, False))
        is_written = reference.role in _WRITTEN_ROLES and not is_read_only
        found.append(NamedVolume(volume=volume, reference=reference, is_written=is_written, is_shared=is_shared))
    return found


def storage_problem(named: Collection[NamedVolume], *, domain: Domain | None = None) -> str:
    """The first reason why the machine may not have one of them, for people; "" when it may."""
    return next(filter(None, (_problem(one, domain) for one in named)), "")


def _problem(named: NamedVolume, domain: Domain | None) -> str:
    reason = why_quarantined(named.volume) or _why_another_format(named)
    if not reason and named.is_written:
        reason = _why_others(named, domain)
    return _("“%(volume)s”: %(reason)s") % {"volume": named.volume.name, "reason": reason} if reason else ""


def _why_another_format(named: NamedVolume) -> str:
    """A header that a guest wrote can name any file of the host: what is raw is never read as anything else."""
    taken_for, is_so = _taken_for(named.reference), named.volume.format
    if named.reference.role not in DISK_ROLES or not taken_for or not is_so or taken_for == is_so:
        return ""
    if taken_for in WITH_HEADERS or is_so in WITH_HEADERS:
        return _("The XML takes it for %(taken)s, and it is %(is)s.") % {"taken": taken_for, "is": is_so}
    return ""


def _taken_for(reference: FileReference) -> str:
    """Where a disk's XML does not say, libvirt takes a file for raw; a volume for what its storage pool says."""
    is_top = reference.role in DISK_ROLES and reference.role != "backing"
    return reference.format or ("raw" if is_top and reference.path else "")


def _why_others(named: NamedVolume, domain: Domain | None) -> str:
    own = None if domain is None else domain.uuid
    users = [user for user in volume_users(named.volume) if user.domain_uuid != own]
    if users and not (named.is_shared and all(is_shared_by(user, named.volume) for user in users)):
        hint = _("Machines that share a disk say so, each of them: <shareable/>.")
        return f"{in_use_text(users, [])} {hint}"
    return in_use_text([], [overlay.name for overlay in overlays_of(named.volume)])


def disk_modes(xml: str) -> dict[str, tuple[bool, bool]]:
    """By a disk's target: whether it is read-only, and whether others may use it at the same time."""
    disks = parse_document(xml).iterfind("devices/disk")
    return {
        attribute_at(disk, "target", "dev"): (disk.find("readonly") is not None, disk.find("shareable") is not None)
        for disk in disks
    }


def volumes_named(
    hypervisor: Hypervisor, references: Collection[FileReference]
) -> Iterator[tuple[FileReference, Volume]]:
    """Which volumes these are, as far as anybody can tell; each of shared storage once."""
    pool = hypervisor.hypervisor_pool_id
    rows = Volume.objects.present().filter(
        name__in={one.name for one in references}, storage_pool__hypervisor__hypervisor_pool=pool
    )
    places = StoragePlaces({pool})
    candidates = list(rows.select_related("storage_pool__hypervisor").order_by("pk"))
    for reference in references:
        seen: set[str] = set()
        for volume in candidates:
            key = volume_lock_key(volume.storage_pool, volume.name)
            is_it = places.is_volume(
                volume,
                hypervisor_id=hypervisor.pk,
                name=reference.name,
                path=reference.path,
                storage_pool_name=reference.storage_pool,
            )
            if is_it and key not in seen:
                seen.add(key)
                yield reference, volume
