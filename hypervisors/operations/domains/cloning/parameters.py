"""What a copy of a machine takes, checked from rows alone."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

from django.utils.translation import gettext as _

from hypervisors.cloudinit.checks import check_cloud_init
from hypervisors.cloudinit.passwords import hashed
from hypervisors.cloudinit.settings import CloudInit, cloud_init_of
from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.storage_volumes import check_volume_name
from hypervisors.models import Domain, StoragePool
from hypervisors.operations.domains.cloning.plan import CloneAction, CloneDisk, clone_plan
from hypervisors.operations.domains.creation.disk_checks import check_name_free
from hypervisors.operations.domains.creation.names import is_name_taken, machine_with_mac, new_mac
from hypervisors.operations.domains.creation.places import is_block, storage_pool_on
from hypervisors.operations.domains.names import name_problem
from hypervisors.operations.storage.room import RESERVE_BYTES
from hypervisors.operations.storage.storage_operations import why_no_storage_pool

_LEAST_MEMORY_KIB, _MOST_MEMORY_KIB, _MOST_VCPUS = 16 * 1024, 16 * 1024**3, 512
_GIB = 1024**3
MADE = (CloneAction.COPY, CloneAction.OVERLAY)


@dataclass(frozen=True, kw_only=True)
class ClonedDisk:
    """A disk of the original and what becomes of it; the last five only where a volume is made."""

    target: str
    source: str
    action: str
    storage_pool_id: int = 0
    volume_name: str = ""
    format: str = "qcow2"
    capacity_bytes: int = 0
    source_volume_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class CloneDomainParameters:
    """`is_live`: the original runs. `disks`: ClonedDisks as JSON. `cloud_init`: settings for a seed; None for none."""

    name: str
    uuid: str
    macs: list[str] = field(default_factory=list)
    disks: list[dict[str, Any]] = field(default_factory=list)
    is_live: bool = False
    start: bool = False
    vcpus: int | None = None
    memory_kib: int | None = None
    network: str | None = None
    cloud_init: dict[str, Any] | None = None

    @property
    def cloned_disks(self) -> tuple[ClonedDisk, ...]:
        return tuple(ClonedDisk(**disk) for disk in self.disks)

    @property
    def made_disks(self) -> tuple[ClonedDisk, ...]:
        return tuple(disk for disk in self.cloned_disks if disk.action in MADE)

    @property
    def seed(self) -> CloudInit | None:
        return None if self.cloud_init is None else cloud_init_of(self.cloud_init)

    @property
    def seed_name(self) -> str:
        return f"{self.name}-seed.iso" if self.cloud_init is not None else ""

    @property
    def domain_uuid(self) -> UUID:
        return UUID(self.uuid)


def checked_parameters(domain: Domain, given: Mapping[str, Any]) -> CloneDomainParameters:
    """`name`; `actions`, by target; `storage_pool_id` for all that is made (0: where the original's are), `linked`.

    Raises: errors.NotPossible, whose text says what is wrong.
    """
    name = _checked_name(domain, given.get("name"))
    plan = clone_plan(domain)
    disks = [_cloned(domain, disk, given, name, number) for number, disk in enumerate(plan.disks, start=1)]
    disks = _numbered(disks, name)
    for disk in disks:
        if disk.action in MADE:
            _check_volume(domain, disk)
    _check_room(domain, disks)
    cloud_init = _checked_cloud_init(given.get("cloud_init"))
    if cloud_init is not None and not any(disk.action in MADE for disk in disks):
        raise NotPossible(_("A machine without disks of its own cannot be given settings."))
    return CloneDomainParameters(
        name=name,
        uuid=str(uuid4()),
        macs=_new_macs(domain, plan.interface_count),
        disks=[asdict(disk) for disk in disks],
        is_live=domain.is_active,
        start=bool(given.get("start")),
        vcpus=_number(given.get("vcpus"), 1, _MOST_VCPUS, _("The number of vCPUs")),
        memory_kib=_number(given.get("memory_kib"), _LEAST_MEMORY_KIB, _MOST_MEMORY_KIB, _("The memory")),
        network=str(given["network"]) if given.get("network") else None,
        cloud_init=cloud_init,
    )


def _checked_name(domain: Domain, name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        raise NotPossible(_("A virtual machine needs a name."))
    problem = name_problem(name)
    if problem:
        raise NotPossible(problem)
    if domain.hypervisor is not None and is_name_taken(name, domain.hypervisor.hypervisor_pool):
        raise NotPossible(_("The name “%(name)s” is taken; names are unique in a pool.") % {"name": name})
    return name


def _cloned(domain: Domain, disk: CloneDisk, given: Mapping[str, Any], name: str, number: int) -> ClonedDisk:
    wanted = (given.get("actions") or {}).get(disk.target)
    if wanted is None and given.get("linked") is False and CloneAction.OVERLAY in disk.actions:
        wanted = CloneAction.COPY
    action = next((one for one in disk.actions if one == (wanted or disk.actions[0])), None)
    if action is None:
        raise NotPossible(_("%(disk)s cannot be treated so. %(reason)s") % {"disk": disk.target, "reason": disk.reason})
    if action not in MADE or disk.volume is None:
        return ClonedDisk(target=disk.target, source=disk.source, action=action)
    chosen = given.get("storage_pool_id") or disk.volume.storage_pool_id
    assert domain.hypervisor is not None
    storage_pool = storage_pool_on(domain.hypervisor, int(chosen))
    return ClonedDisk(
        target=disk.target,
        source=disk.source,
        action=action,
        storage_pool_id=storage_pool.pk,
        format="raw" if is_block(storage_pool) else "qcow2",
        capacity_bytes=disk.volume.capacity_bytes,
        source_volume_id=disk.volume.pk,
    )


def _numbered(disks: list[ClonedDisk], name: str) -> list[ClonedDisk]:
    """With names for the new volumes: "web2.qcow2", "web2-2.qcow2" …"""
    named, number = [], 0
    for disk in disks:
        if disk.action in MADE:
            number += 1
            stem = name if number == 1 else f"{name}-{number}"
            values = asdict(disk) | {"volume_name": f"{stem}.{'qcow2' if disk.format == 'qcow2' else 'img'}"}
            disk = ClonedDisk(**values)
        named.append(disk)
    return named


def _check_volume(domain: Domain, disk: ClonedDisk) -> None:
    storage_pool = StoragePool.objects.select_related("hypervisor").get(pk=disk.storage_pool_id)
    reason = why_no_storage_pool(storage_pool)
    if reason:
        raise NotPossible(_("“%(pool)s”: %(reason)s") % {"pool": storage_pool.name, "reason": reason})
    if is_block(storage_pool) and (domain.is_active or disk.action == CloneAction.OVERLAY):
        raise NotPossible(
            _("“%(pool)s” holds block devices: linked clones and copies of what runs go to files.")
            % {"pool": storage_pool.name}
        )
    try:
        check_volume_name(disk.volume_name)
    except ValueError as error:
        raise NotPossible(str(error)) from error
    check_name_free(storage_pool, disk.volume_name)


def _check_room(domain: Domain, disks: list[ClonedDisk]) -> None:
    """Whole copies take what the original's take, at least."""
    needed: dict[int, int] = {}
    volumes = {disk.target: disk.volume for disk in clone_plan(domain).disks}
    for disk in disks:
        volume = volumes.get(disk.target)
        if disk.action == CloneAction.COPY and volume is not None:
            needed[disk.storage_pool_id] = needed.get(disk.storage_pool_id, 0) + volume.allocation_bytes
    for storage_pool in StoragePool.objects.filter(pk__in=needed):
        free = storage_pool.available_bytes
        if needed[storage_pool.pk] + RESERVE_BYTES > free:
            raise NotPossible(
                _("It does not fit: %(free).1f GiB are free in “%(pool)s”.")
                % {"free": free / _GIB, "pool": storage_pool.name}
            )


def _checked_cloud_init(given: object) -> dict[str, Any] | None:
    if not isinstance(given, Mapping):
        return None
    settings = cloud_init_of(given)
    try:
        if settings.password:
            settings = replace(settings, password="", password_hash=hashed(settings.password))
        check_cloud_init(settings)
    except ValueError as error:
        raise NotPossible(str(error)) from error
    return asdict(settings)


def _new_macs(domain: Domain, count: int) -> list[str]:
    macs: list[str] = []
    while len(macs) < count:
        mac = new_mac(macs)
        if domain.hypervisor is None or not machine_with_mac(mac, domain.hypervisor.hypervisor_pool):
            macs.append(mac)
    return macs


def _number(value: object, least: int, most: int, what: str) -> int | None:
    if value in (None, ""):
        return None
    if not isinstance(value, int) or not least <= value <= most:
        raise NotPossible(
            _("%(what)s is between %(least)d and %(most)d.") % {"what": what, "least": least, "most": most}
        )
    return value
