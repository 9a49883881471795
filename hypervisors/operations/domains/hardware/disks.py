"""What a disk or a drive has in it: a volume that is there, or one that is made for it; with the creation's rules."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.disk_chains import with_chain
from hypervisors.libvirtxml.hardware.fields import Value
from hypervisors.models import Domain, Hypervisor, Volume
from hypervisors.operations.domains.creation.disk_checks import (
    check_name_free,
    checked_disks,
    checked_existing,
    space_problem,
)
from hypervisors.operations.domains.creation.parameters import DiskAction, DiskPlan
from hypervisors.operations.domains.creation.places import (
    VolumePlace,
    backing_chain,
    disk_format,
    is_block,
    path_of,
    storage_pool_on,
    volume_on,
)
from hypervisors.operations.domains.creation.source_checks import check_medium
from hypervisors.operations.domains.creation.specs import volume_name
from hypervisors.operations.domains.hardware.checks import host_of
from hypervisors.operations.domains.hardware.parameters import NewDisk
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.storage.image_checks import check_image, why_quarantined

DISK_TYPES = frozenset({"disk", "cdrom", "floppy"})
# Their volumes have no file of the host: the disk names the volume itself.
_NETWORK_POOLS = frozenset({"rbd", "gluster", "sheepdog", "iscsi-direct"})
_MOST_NUMBER = 1000
_SOURCE_FIELDS = (
    "source_file", "source_dev", "source_pool", "source_volume", "source_protocol", "source_name", "source_hosts",
)  # fmt: skip


def checked_volume(domain: Domain, type_key: str, volume_id: object, values: Mapping[str, Value]) -> int | None:
    """The volume that may be put in there. Raises: errors.NotPossible."""
    if volume_id is None or volume_id == "":
        return None
    if type(volume_id) is not int or type_key not in DISK_TYPES:
        raise NotPossible(_("Choose the volume from the list."))
    host = host_of(domain)
    place = volume_on(host, volume_id)
    reason = why_quarantined(place.row)
    if reason:
        raise NotPossible(reason)
    if type_key == "cdrom":
        _check_no_image(place)
    else:
        checked_existing(host, _plan_of(volume_id, values))
    return volume_id


def checked_new_disk(domain: Domain, given: object) -> dict[str, Any] | None:
    """The fields of NewDisk, with a name that is free. Raises: errors.NotPossible, ValueError."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise NotPossible(_("A disk is given as fields with values."))
    host = host_of(domain)
    plan = _new_plan(given)
    if not plan.volume_name:
        plan = replace(plan, volume_name=_free_name(host, plan, domain.name))
    [plan] = checked_disks(host, [asdict(plan)], domain.name)
    space_problem(host, [plan])
    return asdict(
        NewDisk(
            storage_pool_id=plan.storage_pool_id,
            capacity_bytes=plan.capacity_bytes,
            name=plan.volume_name,
            format=plan.format,
            preallocation=plan.preallocation,
            overcommitted=plan.overcommitted,
        )
    )


def plan_of_new(new_disk: Mapping[str, Any]) -> DiskPlan:
    """As the creation's steps take it."""
    return _new_plan(new_disk)


def place_of_new(host: Hypervisor, new_disk: Mapping[str, Any]) -> VolumePlace:
    """Where the volume will be. Raises: errors.NotPossible."""
    plan = _new_plan(new_disk)
    pool = storage_pool_on(host, plan.storage_pool_id)
    row = Volume(storage_pool=pool, name=plan.volume_name, path=path_of(pool, plan.volume_name), format=plan.format)
    return VolumePlace(
        storage_pool=pool,
        name=row.name,
        path=row.path,
        format=plan.format,
        capacity_bytes=plan.capacity_bytes,
        allocation_bytes=0,
        row=row,
    )


def volume_values(place: VolumePlace, *, is_drive: bool = False) -> dict[str, Value]:
    """What a disk's fields say of the volume."""
    image = "raw" if is_drive else disk_format(place.format)
    blank: dict[str, Value] = dict.fromkeys(_SOURCE_FIELDS, "")
    if place.storage_pool.pool_type in _NETWORK_POOLS:
        named = {"type": "volume", "source_pool": place.storage_pool.name, "source_volume": place.name}
    elif is_block(place.storage_pool):
        named = {"type": "block", "source_dev": place.path}
    else:
        named = {"type": "file", "source_file": place.path}
    return blank | named | {"format": image}


def with_image_chain(host: Hypervisor, place: VolumePlace, device_xml: str, *, is_drive: bool) -> str:
    """The disk, saying what its image is on top of: nothing is left for libvirt to find out from its bytes."""
    if place.storage_pool.pool_type in _NETWORK_POOLS:
        return device_xml
    is_new = place.row.pk is None
    chain = () if is_drive or is_new or disk_format(place.format) == "raw" else backing_chain(host, place.path)[1:]
    return with_chain(device_xml, chain)


def check_content(run: Run, type_key: str, place: VolumePlace) -> None:
    """What its first bytes say, right before the machine gets it. Raises: errors.NotPossible, HypervisorError."""
    if type_key == "cdrom":
        check_medium(run, place)
    else:
        check_image(run, place.row)


def _check_no_image(place: VolumePlace) -> None:
    if place.format not in ("iso", "raw"):
        raise NotPossible(
            _("“%(name)s” is no ISO image but a disk image (%(format)s).")
            % {"name": place.name, "format": place.format or "?"}
        )


def _plan_of(volume_id: int, values: Mapping[str, Value]) -> DiskPlan:
    return DiskPlan(
        action=DiskAction.EXISTING,
        source_volume_id=volume_id,
        shareable=values.get("shareable") is True,
        readonly=values.get("readonly") is True,
    )


def _new_plan(given: Mapping[str, Any]) -> DiskPlan:
    try:
        wanted = NewDisk(**{name: value for name, value in given.items() if name in NewDisk.__dataclass_fields__})
    except TypeError as error:
        raise NotPossible(_("Choose a storage pool and a size for the disk.")) from error
    return DiskPlan(
        action=DiskAction.NEW,
        storage_pool_id=wanted.storage_pool_id,
        volume_name=wanted.name,
        capacity_bytes=wanted.capacity_bytes,
        format=wanted.format,
        preallocation=wanted.preallocation,
        overcommitted=wanted.overcommitted,
    )


def _free_name(host: Hypervisor, plan: DiskPlan, machine_name: str) -> str:
    """ "web1.qcow2", "web1-2.qcow2" … Raises: errors.NotPossible."""
    pool = storage_pool_on(host, plan.storage_pool_id)
    for number in range(1, _MOST_NUMBER):
        name = volume_name(plan, machine_name, number)
        try:
            check_name_free(pool, name)
        except NotPossible:
            continue
        return name
    raise NotPossible(_("Give the disk a name."))
