"""The whole machine as one spec: the parameters' own, with the disks, media and seed that the creation makes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from hypervisors.libvirtxml.device_specs import BackingSpec, DiskSpec
from hypervisors.libvirtxml.domain_disks_builder import disk_targets
from hypervisors.libvirtxml.domain_spec import DomainSpec, domain_spec_from_json
from hypervisors.libvirtxml.install_marker import InstallMarker, build_install_marker
from hypervisors.models import Hypervisor, StoragePool
from hypervisors.operations.domains.creation.parameters import (
    CreateDomainParameters,
    DiskAction,
    DiskPlan,
    Method,
)
from hypervisors.operations.domains.creation.places import (
    backing_chain,
    disk_format,
    is_block,
    path_of,
    storage_pool_on,
    volume_on,
)

INSTALLING, SEEDED = "installing", "seeded"


@dataclass(frozen=True, kw_only=True)
class Files:
    """Volumes that the creation makes beside the disks: their names in the storage pool of files; "" for none."""

    seed: str = ""
    kernel: str = ""
    initrd: str = ""


def spec_of(parameters: CreateDomainParameters) -> DomainSpec:
    """The parameters' own. Raises: ValueError, fit for an operator."""
    return domain_spec_from_json(parameters.spec)


def uuid_of(parameters: CreateDomainParameters) -> UUID:
    return UUID(str(parameters.spec["uuid"]))


def files_of(parameters: CreateDomainParameters) -> Files:
    """What stands beside the disks, named after the machine."""
    stem = parameters.name
    has_answers = parameters.unattended is not None and not parameters.tree_url
    return Files(
        seed=f"{stem}-seed.iso" if parameters.cloud_init is not None or has_answers else "",
        kernel=f"{stem}-kernel" if parameters.tree_url else "",
        initrd=f"{stem}-initrd" if parameters.tree_url else "",
    )


def filled_spec(
    parameters: CreateDomainParameters, hypervisor: Hypervisor, *, paths: Mapping[str, str] | None = None
) -> DomainSpec:
    """The machine as it is to be in the end. `paths`: where libvirt put the new volumes, by their names.

    Raises: ValueError, errors.NotPossible.
    """
    spec = spec_of(parameters)
    disks = [_disk(plan, parameters, hypervisor, paths or {}) for plan in parameters.disk_plans]
    drives = _drives(parameters, spec, hypervisor, paths or {})
    whole = replace(spec, disks=(*disks, *drives))
    return _with_boot_order(whole, parameters)


def marked(spec: DomainSpec, parameters: CreateDomainParameters, *, operation: str) -> DomainSpec:
    """With the marker of its installation or its seed, if it has one."""
    phase = INSTALLING if parameters.install else SEEDED if parameters.cloud_init is not None else ""
    if not phase:
        return spec
    targets = disk_targets(spec.disks)
    media = tuple(
        target
        for disk, target in zip(spec.disks, targets, strict=True)
        if disk.device in ("cdrom", "floppy") and disk.has_medium
    )
    marker = InstallMarker(
        phase=phase,
        media=media,
        started_at=int(time.time()),
        direct_kernel=has_install_kernel(parameters),
        operation=operation,
    )
    return replace(spec, metadata=(*spec.metadata, build_install_marker(marker)))


def has_sources(parameters: CreateDomainParameters) -> bool:
    """Whether it is made of volumes that are there already."""
    volumes = (parameters.kernel_volume_id, parameters.initrd_volume_id, *parameters.media)
    disks = (plan.source_volume_id for plan in parameters.disk_plans)
    return any(one is not None for one in (*volumes, *disks))


def names_of_the_host(spec: DomainSpec) -> tuple[str, ...]:
    """What the spec itself names of its host: files, programs, storage that nobody chose from a list."""
    media = (disk.path or disk.volume or (disk.network.name if disk.network else "") for disk in spec.disks)
    screens = (screen.listen for screen in spec.graphics)
    return tuple(filter(None, (spec.emulator, spec.kernel_path, spec.initrd_path, *media, *screens)))


def has_install_kernel(parameters: CreateDomainParameters) -> bool:
    """Whether its first run boots a kernel that later ones do not."""
    return bool(parameters.tree_url) or parameters.kernel_volume_id is not None


def install_spec(spec: DomainSpec, *, kernel: str, initrd: str, cmdline: str) -> DomainSpec:
    """The first run of an installation by kernel: its reboot ends it, and the next start is from the disk."""
    return replace(spec, kernel_path=kernel, initrd_path=initrd, cmdline=cmdline, on_reboot="destroy")


def volume_name(plan: DiskPlan, machine_name: str, number: int) -> str:
    """The plan's, or one made of the machine's name: "web1.qcow2", "web1-2.qcow2"."""
    if plan.volume_name:
        return plan.volume_name
    stem = machine_name if number == 1 else f"{machine_name}-{number}"
    return f"{stem}.{'qcow2' if plan.format == 'qcow2' else 'img'}"


def _disk(
    plan: DiskPlan, parameters: CreateDomainParameters, hypervisor: Hypervisor, paths: Mapping[str, str]
) -> DiskSpec:
    pool = storage_pool_on(hypervisor, plan.storage_pool_id)
    path = paths.get(plan.volume_name) or path_of(pool, plan.volume_name)
    backing: tuple[BackingSpec, ...] = ()
    format_ = plan.format
    if plan.source_volume_id is not None and plan.action in (DiskAction.EXISTING, DiskAction.OVERLAY):
        source = volume_on(hypervisor, plan.source_volume_id)
        chain = backing_chain(hypervisor, source.path)
        if plan.action == DiskAction.EXISTING:
            path, format_, backing = source.path, disk_format(source.format), chain[1:]
        else:
            backing = chain
    return DiskSpec(
        path=path,
        is_block=is_block(pool),
        format=format_,
        backing=backing,
        bus=plan.bus,
        boot_order=plan.boot_order,
        readonly=plan.readonly,
        shareable=plan.shareable,
        serial=plan.serial,
        cache=plan.cache,
        discard=plan.discard,
    )


def _drives(
    parameters: CreateDomainParameters, spec: DomainSpec, hypervisor: Hypervisor, paths: Mapping[str, str]
) -> list[DiskSpec]:
    """The spec's drives with the media in them, and one more for each medium that is left."""
    media = [volume_on(hypervisor, volume_id).path for volume_id in parameters.media]
    seed = files_of(parameters).seed
    if seed:
        media.append(paths.get(seed) or path_of(files_storage_pool(parameters, hypervisor), seed))
    drives = [disk for disk in spec.disks if disk.device != "disk"]
    for index, drive in enumerate(drives):
        if media and drive.device == "cdrom" and not drive.has_medium:
            drives[index] = _loaded(drive, media.pop(0))
    return drives + [_loaded(DiskSpec(device="cdrom", bus=_drive_bus(spec), format="raw"), path) for path in media]


def files_storage_pool(parameters: CreateDomainParameters, hypervisor: Hypervisor) -> StoragePool:
    """Where seed, kernel and initrd go: where it was said, or with the first disk that is made here."""
    chosen = parameters.files_storage_pool_id
    return storage_pool_on(hypervisor, chosen or parameters.disk_plans[0].storage_pool_id)


def _loaded(drive: DiskSpec, path: str) -> DiskSpec:
    # It is no reason not to start that an image was removed meanwhile.
    return replace(drive, path=path, format="raw", readonly=True, startup_policy="optional")


def _drive_bus(spec: DomainSpec) -> str:
    """Cloud kernels have no SATA."""
    if spec.scsi_controller:
        return "scsi"
    return "sata" if spec.is_pci_express else "ide"


def _with_boot_order(spec: DomainSpec, parameters: CreateDomainParameters) -> DomainSpec:
    """The disk first and what installs second: an empty disk falls through, and the first reboot lands on the disk."""
    orders = [disk.boot_order for disk in spec.disks] + [card.boot_order for card in spec.interfaces]
    if any(order is not None for order in orders):
        return spec
    disks, interfaces = list(spec.disks), list(spec.interfaces)
    order = _numbered(disks, "disk", 1)
    if parameters.media:
        order = _numbered(disks, "cdrom", order)
    if parameters.method == Method.PXE or not disks:
        for index, interface in enumerate(interfaces[:1]):
            interfaces[index] = replace(interface, boot_order=order)
    return replace(spec, disks=tuple(disks), interfaces=tuple(interfaces))


def _numbered(disks: list[DiskSpec], device: str, order: int) -> int:
    """Give the first of this kind that has a medium the number; the next one."""
    for index, disk in enumerate(disks):
        if disk.device == device and disk.has_medium:
            disks[index] = replace(disk, boot_order=order)
            return order + 1
    return order


def new_disks(parameters: CreateDomainParameters) -> Sequence[DiskPlan]:
    """Those whose volume the creation makes."""
    return [plan for plan in parameters.disk_plans if plan.action != DiskAction.EXISTING]
