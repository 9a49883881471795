"""What deleting a machine would take along: its disks, why each would go or stay, and what goes in any case.

From rows alone, for dialogs and requests; the worker asks the hosts again.
"""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

from hypervisors.libvirtxml.domain_devices import Disk
from hypervisors.libvirtxml.domains import ParsedDomain, parsed_from_json
from hypervisors.models import Domain, DomainDefinition, Installation, StoragePool, Volume
from hypervisors.operations.storage.volume_users import VolumeUser, in_use_text, overlays_of, volume_users

_MEDIA = ("cdrom", "floppy")


@dataclass(frozen=True, kw_only=True)
class DeletionDisk:
    """A disk or medium. `source` is what the XML says, and by what it is chosen: a path, or "pool/volume".

    `is_chosen`: it goes unless somebody says otherwise. `notes`: why it is not. `obstacle`: why it cannot be deleted.
    `is_loose`: a file that is in no storage pool.
    """

    source: str
    targets: tuple[str, ...]
    device: str
    volume: Volume | None = None
    notes: tuple[str, ...] = ()
    obstacle: str = ""
    is_loose: bool = False

    @property
    def is_chosen(self) -> bool:
        return not self.obstacle and not self.notes

    @property
    def name(self) -> str:
        return self.volume.name if self.volume else posixpath.basename(self.source) or self.source

    @property
    def size_bytes(self) -> int:
        """What it takes of its storage; 0 where that is not known."""
        return self.volume.allocation_bytes if self.volume else 0


@dataclass(frozen=True, kw_only=True)
class DeletionPlan:
    """`goes_along`: what is lost besides, for people. `files`: seeds and kernels that vmportal made for it alone."""

    disks: tuple[DeletionDisk, ...]
    goes_along: tuple[str, ...]
    files: tuple[Volume, ...] = ()

    def find(self, source: str) -> DeletionDisk | None:
        return next((disk for disk in self.disks if disk.source == source), None)

    @property
    def chosen(self) -> tuple[DeletionDisk, ...]:
        return tuple(disk for disk in self.disks if disk.is_chosen)


def deletion_plan(domain: Domain) -> DeletionPlan:
    definition = DomainDefinition.objects.filter(domain=domain).first() or DomainDefinition(domain=domain)
    parses = [parsed_from_json(parse) for parse in (definition.live_parsed, definition.inactive_parsed) if parse]
    disks: dict[str, list[Disk]] = {}
    for disk in (disk for parsed in parses for disk in parsed.disks):
        if disk.source and disk not in disks.get(disk.source, ()):
            disks.setdefault(disk.source, []).append(disk)
    volumes = _Volumes(domain)
    planned = [_planned(domain, same, volumes) for same in disks.values()]
    memories = tuple(_snapshot_memories(domain))
    files = (*_own_files(domain), *memories)
    own = {file.pk for file in files}
    along = [
        (_("the memory of a snapshot, “%(name)s”") if file in memories else _("the file “%(name)s” of its first boot"))
        % {"name": file.name}
        for file in files
    ]
    return DeletionPlan(
        disks=tuple(disk for disk in planned if disk.volume is None or disk.volume.pk not in own),
        goes_along=(*_goes_along(domain, parses), *along),
        files=files,
    )


def _own_files(domain: Domain) -> Iterator[Volume]:
    """What its creation made beside its disks, and nobody else uses."""
    installation = Installation.objects.of(domain)
    for file in installation.files if installation is not None and installation.ended_at is None else ():
        made_in = StoragePool.objects.filter(pk=file.get("storage_pool")).first()
        if made_in is None:
            continue
        # It may have moved to another host since.
        same = StoragePool.objects.present().same_storage_as(made_in).filter(hypervisor=domain.hypervisor_id)
        volumes = Volume.objects.present().filter(storage_pool__in=same, name=file.get("name"))
        for volume in volumes.select_related("storage_pool__hypervisor"):
            if not users_apart_from(domain, volume):
                yield volume


def _snapshot_memories(domain: Domain) -> list[Volume]:
    """The files that its snapshots keep its memory in: without it they are of no use."""
    paths = list(domain.snapshots.exclude(memory_path="").values_list("memory_path", flat=True))
    pools = StoragePool.objects.present().filter(hypervisor=domain.hypervisor_id)
    volumes = Volume.objects.present().filter(storage_pool__in=pools.values("pk"), path__in=paths)
    found = volumes.select_related("storage_pool__hypervisor") if paths else ()
    return [volume for volume in found if not volume_users(volume)]


def find_volume(domain: Domain, disk: Disk) -> Volume | None:
    """The row of what the disk is on."""
    return _Volumes(domain).find(disk)


def users_apart_from(domain: Domain, volume: Volume) -> list[VolumeUser]:
    """Other machines that have the volume."""
    return [user for user in volume_users(volume) if user.domain_uuid != domain.uuid]


class _Volumes:
    """The volumes of the domain's host, looked up as its XML names them."""

    def __init__(self, domain: Domain) -> None:
        pools = StoragePool.objects.present().filter(hypervisor=domain.hypervisor_id)
        self._volumes = Volume.objects.present().filter(storage_pool__in=pools.values("pk"))
        self._volumes = self._volumes.select_related("storage_pool__hypervisor")

    def find(self, disk: Disk) -> Volume | None:
        if disk.source_kind == "volume":
            pool, _slash, name = disk.source.partition("/")
            return self._volumes.filter(storage_pool__name=pool, name=name).first()
        source = disk.source.partition(":")[2] if disk.source_kind == "network" else disk.source
        paths = {source, posixpath.normpath(source)} if source else set()
        return self._volumes.filter(path__in=paths).first()


def _planned(domain: Domain, disks: list[Disk], volumes: _Volumes) -> DeletionDisk:
    first = disks[0]
    volume = volumes.find(first)
    return DeletionDisk(
        source=first.source,
        targets=tuple(dict.fromkeys(disk.target for disk in disks)),
        device=first.device,
        volume=volume,
        notes=tuple(_notes(disks)),
        obstacle=_obstacle(domain, first, volume),
        is_loose=volume is None,
    )


def _notes(disks: Iterable[Disk]) -> Iterator[str]:
    disks = list(disks)
    if any(disk.device in _MEDIA for disk in disks):
        yield _("a medium that was put in, not the machine's own")
    elif any(disk.read_only for disk in disks):
        yield _("read-only for this machine, so most likely somebody else's")
    if any(disk.shareable for disk in disks):
        yield _("shared: others may use it at the same time")


def _obstacle(domain: Domain, disk: Disk, volume: Volume | None) -> str:
    if volume is not None:
        return in_use_text(users_apart_from(domain, volume), [overlay.name for overlay in overlays_of(volume)])
    if disk.source_kind != "file":
        return _("It is in no storage pool, and no file: vmportal cannot delete it.")
    return ""


def _goes_along(domain: Domain, parses: Iterable[ParsedDomain]) -> Iterator[str]:
    parses = list(parses)
    if any(parsed.keeps_uefi_variables for parsed in parses):
        yield _("its UEFI variables (boot entries, Secure Boot keys)")
    if any(_has_tpm_state(parsed) for parsed in parses):
        yield _("the state of its TPM: what is encrypted with it, by BitLocker for example, cannot be read any more")
    if domain.has_managed_save:
        yield _("its saved state")
    if domain.has_snapshots:
        yield _("what its host knows of its snapshots; those inside its disks go and stay with the disks")
    if domain.has_checkpoints:
        yield _("its checkpoints")


def _has_tpm_state(parsed: ParsedDomain) -> bool:
    return parsed.tpm_backend == "emulator" or bool(parsed.tpm and not parsed.tpm_backend)
