"""Whether the disks of a new machine can be made: sizes, names, sources, and room; from rows alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.inventory.storage.uses import references_to
from hypervisors.libvirtxml.domains import parsed_from_json
from hypervisors.libvirtxml.storage_volumes import VolumeSpec, check_volume_name
from hypervisors.models import DomainDefinition, Hypervisor, StoragePool, Volume
from hypervisors.operations.domains.creation.parameters import (
    FROM_SOURCE,
    CreateDomainParameters,
    DiskAction,
    DiskPlan,
    disk_plan,
)
from hypervisors.operations.domains.creation.places import VolumePlace, storage_pool_on, volume_on
from hypervisors.operations.domains.creation.specs import files_of, files_storage_pool, volume_name
from hypervisors.operations.engine.types import checked_choice
from hypervisors.operations.storage.room import RESERVE_BYTES
from hypervisors.operations.storage.storage_operations import why_no_storage_pool
from hypervisors.operations.storage.volume_users import (
    VolumeUser,
    in_use_text,
    overlays_of,
    volume_users,
    why_in_use,
)

_LEAST_BYTES, _MOST_BYTES = 1024**2, 2**50
_MOST_DISKS = 50
_GIB = 1024**3
_SHOWN = 5
_ACTIONS = {str(action): "" for action in DiskAction}
# What libvirt's qemu-img reads, and guests are given after a copy.
_FOREIGN = frozenset({"vmdk", "vdi", "vpc"})


class DiskProblem(NotPossible):
    """One that says which disk it is about, counted from one: "disks.1" is the first."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)
        self.field = f"disks.{number}"


def checked_disks(hypervisor: Hypervisor, given: Any, machine_name: str) -> list[DiskPlan]:
    """The plans, with the rows of this host, names and sizes. Raises: errors.NotPossible, ValueError."""
    plans = given or []
    if not isinstance(plans, list) or len(plans) > _MOST_DISKS:
        raise NotPossible(_("A machine is made with at most %(most)d disks.") % {"most": _MOST_DISKS})
    found: list[DiskPlan] = []
    for number, one in enumerate(plans):
        try:
            found.append(_checked(hypervisor, one, machine_name, number + 1))
        except (NotPossible, ValueError, TypeError) as error:
            raise DiskProblem(str(error), number + 1) from error
    names = [(plan.storage_pool_id, plan.volume_name) for plan in found if plan.action != DiskAction.EXISTING]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise DiskProblem(_("Two disks cannot both be called “%(name)s”.") % {"name": name[1]}, number + 1)
    return found


def space_problem(hypervisor: Hypervisor, plans: Iterable[DiskPlan]) -> None:
    """Raises: errors.NotPossible when what is made does not fit, or can grow beyond what is free unsaid."""
    wanted: dict[StoragePool, int] = defaultdict(int)
    at_once: dict[StoragePool, int] = defaultdict(int)
    for plan in plans:
        if plan.action == DiskAction.EXISTING:
            continue
        pool = storage_pool_on(hypervisor, plan.storage_pool_id)
        wanted[pool] += 0 if plan.overcommitted else plan.capacity_bytes
        at_once[pool] += _bytes_at_once(hypervisor, plan)
    for pool, needed in at_once.items():
        free = pool.available_bytes
        if needed + RESERVE_BYTES > free:
            raise NotPossible(
                _("It does not fit: %(free).1f GiB are free in “%(pool)s”.") % {"free": free / _GIB, "pool": pool.name}
            )
        if wanted[pool] > free:
            raise NotPossible(
                _(
                    "The disks in “%(pool)s” can grow to %(size).1f GiB, and %(free).1f GiB are free: when the storage "
                    "is full, virtual machines that write to it are paused."
                )
                % {"pool": pool.name, "size": wanted[pool] / _GIB, "free": free / _GIB}
            )


def _bytes_at_once(hypervisor: Hypervisor, plan: DiskPlan) -> int:
    if plan.preallocation == "full":
        return plan.capacity_bytes
    if plan.action in (DiskAction.COPY, DiskAction.IMPORT) and plan.source_volume_id is not None:
        return volume_on(hypervisor, plan.source_volume_id).allocation_bytes
    return 0


def _checked(hypervisor: Hypervisor, given: Any, machine_name: str, number: int) -> DiskPlan:
    if not isinstance(given, Mapping):
        raise NotPossible(_("A disk is given as fields with values."))
    plan = _typed(disk_plan({"action": "", **given}))
    checked_choice(plan.action, _ACTIONS, what=_("kind of disk"))
    if plan.action in FROM_SOURCE and plan.source_volume_id is None:
        raise NotPossible(_("Choose the image or the disk."))
    if plan.action == DiskAction.EXISTING:
        return checked_existing(hypervisor, plan)
    pool = storage_pool_on(hypervisor, plan.storage_pool_id)
    reason = why_no_storage_pool(pool)
    if reason:
        raise NotPossible(_("“%(pool)s”: %(reason)s") % {"pool": pool.name, "reason": reason})
    plan = replace(plan, storage_pool_id=pool.pk, volume_name=volume_name(plan, machine_name, number))
    check_volume_name(plan.volume_name)
    plan = _with_source(hypervisor, plan) if plan.action != DiskAction.NEW else replace(plan, source_volume_id=None)
    _check_capacity(plan.capacity_bytes)
    check_name_free(pool, plan.volume_name)
    spec_of_plan(hypervisor, plan)
    return plan


def _typed(plan: DiskPlan) -> DiskPlan:
    """Raises: errors.NotPossible for a field of another type."""
    for one in fields(plan):
        value, default = getattr(plan, one.name), one.default
        expected = {int, type(None)} if one.name in ("source_volume_id", "boot_order") else {type(default)}
        if one.name != "action" and type(value) not in expected:
            raise NotPossible(_("The field “%(name)s” of a disk is something else.") % {"name": one.name})
    return plan


def _check_capacity(capacity_bytes: int) -> None:
    if not _LEAST_BYTES <= capacity_bytes <= _MOST_BYTES:
        raise NotPossible(_("A disk has a size between 1 MiB and 1 PiB."))


def check_name_free(pool: StoragePool, name: str) -> None:
    """Raises: errors.NotPossible."""
    same = StoragePool.objects.present().same_storage_as(pool)
    if Volume.objects.present().filter(storage_pool__in=same, name=name).exists():
        raise NotPossible(
            _("There is a volume called “%(name)s” in the storage pool “%(pool)s” already.")
            % {"name": name, "pool": pool.name}
        )


def _with_source(hypervisor: Hypervisor, plan: DiskPlan) -> DiskPlan:
    source = volume_on(hypervisor, plan.source_volume_id or 0)
    _check_format(plan, source)
    capacity = plan.capacity_bytes or source.capacity_bytes
    if capacity < source.capacity_bytes:
        raise NotPossible(
            _("It would cut “%(name)s” off, which has %(size).1f GiB: choose a larger size.")
            % {"name": source.name, "size": source.capacity_bytes / _GIB}
        )
    if plan.action != DiskAction.OVERLAY:
        return replace(plan, capacity_bytes=capacity)
    if plan.format != "qcow2":
        raise NotPossible(_("Only a qcow2 disk can be on top of an image."))
    reason = why_no_base(source.row)
    if reason:
        raise NotPossible(reason)
    return replace(plan, capacity_bytes=capacity, preallocation="off")


def _check_format(plan: DiskPlan, source: VolumePlace) -> None:
    if source.format in ("qcow2", "raw") or (source.format in _FOREIGN and plan.action == DiskAction.IMPORT):
        return
    if source.format in _FOREIGN:
        text = _("“%(name)s” is of the format %(format)s: it has to be converted, not used as it is.")
    else:
        text = _("“%(name)s” (%(format)s) is no disk that can be used.")
    raise NotPossible(text % {"name": source.name, "format": source.format or "?"})


def checked_existing(hypervisor: Hypervisor, plan: DiskPlan) -> DiskPlan:
    source = volume_on(hypervisor, plan.source_volume_id or 0)
    _check_format(plan, source)
    volume = (
        Volume.objects.present()
        .filter(pk=plan.source_volume_id or 0)
        .select_related("storage_pool__hypervisor")
        .first()
    )
    if volume is None:
        raise NotPossible(_("The volume that was chosen is gone."))
    _check_users(volume, plan)
    return replace(
        plan,
        storage_pool_id=source.storage_pool.pk,
        volume_name=source.name,
        capacity_bytes=source.capacity_bytes,
        format="qcow2" if source.format == "qcow2" else "raw",
    )


def _check_users(volume: Volume, plan: DiskPlan) -> None:
    """That nobody loses anything by its being given to one more machine. Raises: errors.NotPossible."""
    users = volume_users(volume)
    if users and not (plan.shareable and all(is_shared_by(user, volume) for user in users)):
        raise NotPossible(why_in_use(volume))
    overlays = overlays_of(volume)
    if overlays and not plan.readonly:
        # Others are on top of it: they would be destroyed by the first byte written.
        raise NotPossible(in_use_text([], [overlay.name for overlay in overlays]))


def is_shared_by(user: VolumeUser, volume: Volume) -> bool:
    """Whether the machine says that others may use its disk at the same time; a template never does."""
    if user.domain_uuid is None:
        return False
    definition = DomainDefinition.objects.filter(domain__uuid=user.domain_uuid, domain__is_template=False).first()
    parses = (definition.live_parsed, definition.inactive_parsed) if definition is not None else ()
    disks = [disk for parse in parses if parse for disk in parsed_from_json(parse).disks if disk.target == user.role]
    return bool(disks) and all(disk.shareable for disk in disks)


def why_no_base(volume: Volume) -> str:
    """Why nothing can be put on top of it: a machine, but for a template, writes to it. "" when nothing can."""
    references = references_to([volume]).get(volume.pk, [])
    writers = {one.domain.pk: one.domain for one in references if one.role == "disk" and not one.domain.is_template}
    named = sorted({domain.name for domain in writers.values()})
    if not named:
        return ""
    return _("“%(name)s” is a disk of %(machines)s, which changes it: copy it, or make a template of that machine.") % {
        "name": volume.name,
        "machines": ", ".join(f"“{name}”" for name in named[:_SHOWN]),
    }


def spec_of_plan(hypervisor: Hypervisor, plan: DiskPlan) -> VolumeSpec:
    """The volume to make for it. Raises: ValueError, errors.NotPossible."""
    overlay = plan.action == DiskAction.OVERLAY and plan.source_volume_id is not None
    source = volume_on(hypervisor, plan.source_volume_id or 0) if overlay else None
    return VolumeSpec(
        name=plan.volume_name,
        format=plan.format,  # type: ignore[arg-type]
        capacity_bytes=plan.capacity_bytes,
        preallocation=plan.preallocation,  # type: ignore[arg-type]
        backing_path=source.path if source else "",
        backing_format=("qcow2" if source.format == "qcow2" else "raw") if source else "",
    )


def check_files_free(hypervisor: Hypervisor, parameters: CreateDomainParameters) -> None:
    """That seed, kernel and initrd can be made. Raises: errors.NotPossible."""
    files = files_of(parameters)
    for name in filter(None, (files.seed, files.kernel, files.initrd)):
        check_name_free(files_storage_pool(parameters, hypervisor), name)
