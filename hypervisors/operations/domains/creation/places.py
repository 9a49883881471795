"""Where a host finds what was chosen on another: the rows of the same storage pools, volumes and networks there."""

import posixpath
from copy import copy
from dataclasses import dataclass

from django.db.models import Q
from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.device_specs import BackingSpec
from hypervisors.models import Hypervisor, StoragePool, Volume

# An overlay on an overlay on …: more than that is a mistake, or a circle.
_LONGEST_CHAIN = 20
# Types of storage pools whose volumes are block devices of the host.
_BLOCK_TYPES = frozenset({"logical", "disk", "iscsi", "iscsi-direct", "scsi", "mpath", "zfs"})


@dataclass(frozen=True, kw_only=True)
class VolumePlace:
    """A volume as one host has it."""

    storage_pool: StoragePool
    name: str
    path: str
    format: str
    capacity_bytes: int
    allocation_bytes: int
    # That of this host; as long as it has none, another host's with this one's storage pool and path.
    row: Volume


def storage_pool_on(hypervisor: Hypervisor, storage_pool_id: int) -> StoragePool:
    """The storage pool, or that of the same storage on this host. Raises: errors.NotPossible."""
    pools = StoragePool.objects.present().select_related("hypervisor")
    chosen = pools.filter(pk=storage_pool_id).first()
    if chosen is None:
        raise NotPossible(_("The storage pool that was chosen is gone."))
    if chosen.hypervisor_id == hypervisor.pk:
        return chosen
    here = pools.same_storage_as(chosen).filter(hypervisor=hypervisor).first()
    if here is None:
        raise NotPossible(
            _("%(host)s does not see the storage pool “%(pool)s” of %(other)s.")
            % {"host": hypervisor.name, "pool": chosen.name, "other": chosen.hypervisor.name}
        )
    return here


def volume_on(hypervisor: Hypervisor, volume_id: int) -> VolumePlace:
    """The volume as this host has it. Raises: errors.NotPossible when it is gone, or the host does not see it."""
    volume = Volume.objects.present().select_related("storage_pool").filter(pk=volume_id).first()
    if volume is None:
        raise NotPossible(_("The volume that was chosen is gone."))
    storage_pool = storage_pool_on(hypervisor, volume.storage_pool_id)
    here = Volume.objects.present().filter(storage_pool=storage_pool, name=volume.name).first() or copy(volume)
    path = here.path if here.storage_pool_id == storage_pool.pk else path_of(storage_pool, volume.name)
    here.storage_pool, here.path = storage_pool, path
    return VolumePlace(
        storage_pool=storage_pool,
        name=volume.name,
        path=path,
        format=here.format,
        capacity_bytes=here.capacity_bytes,
        allocation_bytes=here.allocation_bytes,
        row=here,
    )


def path_of(storage_pool: StoragePool, volume_name: str) -> str:
    """Where a volume of that name is, or would be."""
    return posixpath.join(storage_pool.target_path or "/", volume_name)


def is_block(storage_pool: StoragePool) -> bool:
    """Whether its volumes are block devices."""
    return storage_pool.pool_type in _BLOCK_TYPES


def backing_chain(hypervisor: Hypervisor, path: str) -> tuple[BackingSpec, ...]:
    """The images from the one at this path downwards, itself first, as the host's rows know them."""
    chain: list[BackingSpec] = []
    while path and len(chain) < _LONGEST_CHAIN:
        volume = _at(hypervisor, path)
        if volume is None:
            raise NotPossible(
                _("The image %(path)s is in no storage pool of %(host)s.") % {"path": path, "host": hypervisor}
            )
        chain.append(
            BackingSpec(path=volume.path, format=disk_format(volume.format), is_block=is_block(volume.storage_pool))
        )
        path = volume.backing_path
    return tuple(chain)


def disk_format(volume_format: str) -> str:
    """What QEMU is told a volume's content is: an ISO is plain bytes."""
    return "qcow2" if volume_format == "qcow2" else "raw"


def _at(hypervisor: Hypervisor, path: str) -> Volume | None:
    """The volume at this path, also where so far only another host of the same storage has told of it."""
    pools = StoragePool.objects.present().filter(hypervisor=hypervisor)
    shared = pools.exclude(shared_storage=None).values("shared_storage")
    here = Q(storage_pool__in=pools) | Q(storage_pool__shared_storage__in=shared)
    volumes = Volume.objects.present().filter(here, path=posixpath.normpath(path))
    return volumes.select_related("storage_pool").first()
