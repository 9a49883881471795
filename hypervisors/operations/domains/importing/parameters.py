"""What an import takes: given as a few choices, and kept as what is to be done, so that nothing changes underneath."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.imaging.appliance_json import appliance_from_json, packaged_disk_from_json, packaged_disk_to_json
from hypervisors.imaging.appliances import ExaminedAppliance, PackagedDisk
from hypervisors.models import Appliance, Hypervisor, HypervisorCapabilities, Network, StoragePool, Volume
from hypervisors.operations.domains.creation.names import is_name_taken
from hypervisors.operations.domains.creation.places import is_block, storage_pool_on
from hypervisors.operations.domains.importing.machines import BUSES, Wishes, disk_bus, imported_spec
from hypervisors.operations.domains.names import name_problem
from hypervisors.operations.engine.types import checked_choice
from hypervisors.operations.storage.room import RESERVE_BYTES

_GIB = 1024**3


@dataclass(frozen=True, kw_only=True)
class ImportParameters:
    """`spec`: a DomainSpec as JSON, without hard disks. `disks`: PackagedDisks as JSON, in the order of the machine.

    `storage_pool_id` is the row on the machine's host.
    """

    name: str
    volume_id: int
    storage_pool_id: int
    spec: dict[str, Any]
    disks: list[dict[str, Any]] = field(default_factory=list)
    descriptor_sha256: str = ""
    bus: str = "virtio"
    start: bool = True

    @property
    def packaged_disks(self) -> tuple[PackagedDisk, ...]:
        return tuple(packaged_disk_from_json(disk) for disk in self.disks)

    @property
    def disk_names(self) -> tuple[str, ...]:
        """Of the volumes that become its disks."""
        return tuple(f"{self.name}-{number}.qcow2" for number in range(1, len(self.disks) + 1))


def checked_import(hypervisor: Hypervisor, given: Mapping[str, Any]) -> ImportParameters:
    """Raises: errors.NotPossible, whose text says what is wrong."""
    volume = _volume(hypervisor, given.get("volume_id"))
    examined = examined_appliance(volume)
    storage_pool = _storage_pool(hypervisor, given.get("storage_pool_id"))
    wishes = Wishes(
        name=_name(hypervisor, given.get("name")),
        system=str(given.get("system") or ""),
        vcpus=_number(given.get("vcpus")),
        memory_kib=_number(given.get("memory_kib")),
        firmware=checked_choice(given.get("firmware") or "", {"": "", "bios": "", "uefi": ""}, what=_("firmware")),
        bus=checked_choice(given.get("bus") or BUSES[0], dict.fromkeys(BUSES), what=_("disk bus")),
        start=bool(given.get("start", True)),
    )
    _check_room(storage_pool, examined, overcommitted=bool(given.get("overcommitted")))
    networks = _networks(hypervisor, given.get("networks"))
    try:
        spec = imported_spec(examined.appliance, wishes, networks=networks, capabilities=capabilities_of(hypervisor))
    except ValueError as error:
        raise NotPossible(str(error)) from error
    parameters = ImportParameters(
        name=wishes.name,
        volume_id=volume.pk,
        storage_pool_id=storage_pool.pk,
        spec={**spec.to_json(), "uuid": str(uuid4())},
        disks=[packaged_disk_to_json(disk) for disk in examined.disks],
        descriptor_sha256=examined.descriptor_sha256,
        bus=disk_bus(spec, examined.appliance, wishes),
        start=wishes.start,
    )
    _check_volume_names(storage_pool, parameters)
    return parameters


def examined_appliance(volume: Volume) -> ExaminedAppliance:
    """As it was when it was last looked into. Raises: errors.NotPossible when it cannot be imported."""
    row = Appliance.objects.filter(volume=volume).first()
    if row is None:
        raise NotPossible(_("Nobody has looked into “%(name)s” yet.") % {"name": volume.name})
    if row.problem:
        raise NotPossible(row.problem)
    try:
        examined = appliance_from_json(row.content)
    except (KeyError, TypeError) as error:
        raise NotPossible(_("Look into “%(name)s” again.") % {"name": volume.name}) from error
    for disk in examined.disks:
        if disk.problem:
            raise NotPossible(_("Disk “%(name)s”: %(problem)s") % {"name": disk.disk.name, "problem": disk.problem})
    if not examined.disks:
        raise NotPossible(_("It has no disk."))
    return examined


def capabilities_of(hypervisor: Hypervisor) -> list[Any]:
    rows = HypervisorCapabilities.objects.filter(hypervisor=hypervisor)
    return [host for row in rows if (host := row.host) is not None]


def _volume(hypervisor: Hypervisor, volume_id: object) -> Volume:
    """Of the host's own pool: who may create machines there may read what is stored there, and no more."""
    rows = Volume.objects.present().select_related("storage_pool__hypervisor")
    own = rows.filter(storage_pool__hypervisor__hypervisor_pool=hypervisor.hypervisor_pool_id)
    volume = own.filter(pk=volume_id).first() if isinstance(volume_id, int) else None
    if volume is None:
        raise NotPossible(_("The volume that was chosen is gone."))
    return volume


def _storage_pool(hypervisor: Hypervisor, storage_pool_id: object) -> StoragePool:
    if not isinstance(storage_pool_id, int):
        raise NotPossible(_("Choose where its disks go."))
    storage_pool = storage_pool_on(hypervisor, storage_pool_id)
    if not storage_pool.active:
        raise NotPossible(_("The storage pool “%(pool)s” is not started.") % {"pool": storage_pool.name})
    if is_block(storage_pool) or not storage_pool.target_path:
        raise NotPossible(_("Disks are unpacked into files: choose a storage pool that has files."))
    return storage_pool


def _name(hypervisor: Hypervisor, name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        raise NotPossible(_("A virtual machine needs a name."))
    if problem := name_problem(name):
        raise NotPossible(problem)
    if is_name_taken(name, hypervisor.hypervisor_pool):
        raise NotPossible(_("The name “%(name)s” is taken; names are unique in a pool.") % {"name": name})
    return name


def _number(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _networks(hypervisor: Hypervisor, given: object) -> dict[str, str]:
    """Raises: errors.NotPossible for one that the host does not have."""
    chosen = {str(key): str(value) for key, value in given.items()} if isinstance(given, Mapping) else {}
    known = set(Network.objects.present().filter(hypervisor=hypervisor).values_list("name", flat=True))
    for name in chosen.values():
        if name and name not in known:
            raise NotPossible(_("%(host)s has no network “%(name)s”.") % {"host": hypervisor.name, "name": name})
    return chosen


def _check_room(storage_pool: StoragePool, examined: ExaminedAppliance, *, overcommitted: bool) -> None:
    """Raises: errors.NotPossible where it can fill more than is free: also a disk of a few bytes unfolds."""
    facts = [disk.facts for disk in examined.disks if disk.facts is not None]
    biggest_file = max((disk.size_bytes for disk in examined.disks), default=0)
    needed = sum(fact.populated_bytes for fact in facts) + biggest_file + RESERVE_BYTES
    free = storage_pool.available_bytes
    if needed > free:
        raise NotPossible(
            _("It does not fit into “%(pool)s”: %(needed).1f GiB are needed, %(free).1f GiB are free.")
            % {"pool": storage_pool.name, "needed": needed / _GIB, "free": free / _GIB}
        )
    whole = sum(fact.virtual_size_bytes for fact in facts) + sum(
        disk.disk.capacity_bytes for disk in examined.disks if not disk.disk.file_name
    )
    if whole > free and not overcommitted:
        raise NotPossible(
            _(
                "Its disks can grow to %(size).1f GiB, and %(free).1f GiB are free: when the storage is full, "
                "virtual machines that write to it are paused."
            )
            % {"size": whole / _GIB, "free": free / _GIB}
        )


def _check_volume_names(storage_pool: StoragePool, parameters: ImportParameters) -> None:
    same = StoragePool.objects.present().same_storage_as(storage_pool)
    taken = Volume.objects.present().filter(storage_pool__in=same, name__in=parameters.disk_names).first()
    if taken is not None:
        raise NotPossible(_("There is a volume called “%(name)s” in this storage pool already.") % {"name": taken.name})
