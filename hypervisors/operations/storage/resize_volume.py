"""Give a volume another size: larger, also while its machine runs; smaller only when that is said and nobody has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.domains.disks import grow_disk
from hypervisors.gateway.storage.volumes import read_volume, resize_volume
from hypervisors.inventory.storage.uses import references_to
from hypervisors.models import Volume, VolumeReference
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import Made, Step, run_steps
from hypervisors.operations.engine.subjects import lock_key
from hypervisors.operations.engine.types import OperationType
from hypervisors.operations.storage.image_checks import check_image, why_quarantined
from hypervisors.operations.storage.latest_volume_users import users_now
from hypervisors.operations.storage.room import beyond_free_text, read_room, size_text
from hypervisors.operations.storage.storage_operations import (
    TellHosts,
    find_volume,
    why_no_storage_pool,
    why_volume_gone,
)
from hypervisors.operations.storage.volume_users import in_use_text, overlays_of, volume_users
from hypervisors.privileges import Privilege

_FORMATS = frozenset({"qcow2", "raw"})
_LEAST_BYTES, _MOST_BYTES, _SECTOR_BYTES = 1024**2, 2**50, 512
_CALL_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class ResizeVolumeParameters:
    """`shrink`: somebody knows that what is beyond a smaller size is lost; `overcommitted`: that it may fill up."""

    capacity_bytes: int
    shrink: bool = False
    overcommitted: bool = False


class ResizeVolume(OperationType[Volume]):
    kind = "resize_volume"
    subject_type = "volume"
    label = gettext_lazy("Resize volume")
    icon = "arrows-diagonal"
    privilege = Privilege.STORAGE_MANAGE
    queue = STORAGE_QUEUE
    Parameters: ClassVar[type[Any]] = ResizeVolumeParameters

    def why_gone(self, volume: Volume) -> str:
        return why_volume_gone(volume)

    def why_not(self, volume: Volume) -> str:
        return (
            self.why_gone(volume)
            or why_no_storage_pool(volume.storage_pool)
            or _why_no_format(volume)
            or why_quarantined(volume)
            or _why_users_forbid(volume)
        )

    def locks(self, volume: Volume, parameters: ResizeVolumeParameters) -> tuple[str, ...]:
        running = running_disk(volume)
        return (lock_key(volume), *([lock_key(running.domain)] if running else []))

    def check(self, volume: Volume, given: Mapping[str, Any]) -> ResizeVolumeParameters:
        capacity = given.get("capacity_bytes")
        if not isinstance(capacity, int) or not _LEAST_BYTES <= capacity <= _MOST_BYTES:
            raise NotPossible(_("A volume has a size between 1 MiB and 1 PiB."))
        capacity = -(-capacity // _SECTOR_BYTES) * _SECTOR_BYTES
        parameters = ResizeVolumeParameters(
            capacity_bytes=capacity,
            shrink=bool(given.get("shrink")),
            overcommitted=bool(given.get("overcommitted")),
        )
        if capacity == volume.capacity_bytes:
            raise NotPossible(_("That is its size already."))
        if capacity < volume.capacity_bytes:
            _check_shrinking(volume, parameters)
        free, growth = volume.storage_pool.available_bytes, capacity - volume.capacity_bytes
        if growth > free and not parameters.overcommitted:
            raise NotPossible(beyond_free_text(growth, free))
        return parameters

    def subject_name(self, volume: Volume, parameters: Any) -> str:
        return f"{volume.storage_pool.name}/{volume.name}"

    def run(self, run: Run) -> Result:
        volume = find_volume(run)
        if volume is None:
            raise NotPossible(_("The volume was removed from vmportal."))
        steps = [_Resize(volume, run.parameters), TellHosts(volume.storage_pool)]
        return run_steps(
            run, steps, done=_("It has %(size)s now.") % {"size": size_text(run.parameters.capacity_bytes)}
        )


class _Resize(Step):
    name = "resize"
    label = gettext_lazy("Resize the volume")

    def __init__(self, volume: Volume, parameters: ResizeVolumeParameters) -> None:
        self._volume = volume
        self._parameters = parameters

    def intend(self, run: Run) -> Made:
        known = self._capacity(run)
        growth = self._parameters.capacity_bytes - known
        if growth < 0 and not self._parameters.shrink:
            raise NotPossible(_("It is larger than that by now: %(size)s.") % {"size": size_text(known)})
        free = read_room(run, self._volume.storage_pool).available_bytes
        if growth > free and not self._parameters.overcommitted:
            raise NotPossible(beyond_free_text(growth, free))
        return {"capacity_bytes": known}

    def do(self, run: Run, intent: Made) -> Made:
        running = self._running(run)
        wanted, uuid, name = self._parameters, self._volume.storage_pool.uuid, self._volume.name
        if running is not None:
            domain = running.domain
            run.ask(
                lambda connection: grow_disk(connection, domain.libvirt_uuid, running.target, wanted.capacity_bytes),
                hypervisor=domain.hypervisor,
                seconds=_CALL_SECONDS,
            )
        else:
            check_image(run, self._volume)
            run.ask(
                lambda connection: resize_volume(connection, uuid, name, wanted.capacity_bytes, shrink=wanted.shrink),
                seconds=_CALL_SECONDS,
            )
        if not self.is_done(run, intent):
            raise HypervisorError(_("The host says that it is done, and the volume has its old size."))
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        capacity, wanted = self._capacity(run), self._parameters.capacity_bytes
        return capacity == wanted if self._parameters.shrink else capacity >= wanted

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """What has grown stays so: it holds all that it held."""

    def _running(self, run: Run) -> VolumeReference | None:
        """The disk of the machine that has it open now; None when it is nobody's. Raises: errors.NotPossible."""
        users, overlays = users_now(run, self._volume, even_when_busy=True)
        active = [user for user in users if user.is_active]
        running = running_disk(self._volume)
        if overlays:
            raise NotPossible(in_use_text([], overlays))
        if self._parameters.shrink and users:
            raise NotPossible(in_use_text(users, []))
        if not active:
            return None
        name, host = (running.domain.name, running.domain.hypervisor) if running else ("", None)
        if host is None or any((user.name, user.host) != (name, host.name) for user in active):
            raise NotPossible(in_use_text(active, []))
        reason = why_unreachable(host)
        if reason:
            raise NotPossible(reason)
        return running

    def _capacity(self, run: Run) -> int:
        uuid, name = self._volume.storage_pool.uuid, self._volume.name
        facts = run.ask(lambda connection: read_volume(connection, uuid, name))
        if facts is None:
            raise NotPossible(_("The volume “%(name)s” is gone.") % {"name": name})
        return facts.capacity_bytes


def running_disk(volume: Volume) -> VolumeReference | None:
    """The disk of the one active machine that has it; None when none has, or several."""
    found = references_to([volume]).get(volume.pk, [])
    active = [one for one in found if one.domain.is_active]
    disks = {(one.domain_id, one.target): one for one in active if one.role == "disk" and one.target}
    return next(iter(disks.values())) if len(disks) == 1 and len({one.domain_id for one in active}) == 1 else None


def _why_no_format(volume: Volume) -> str:
    if volume.format in _FORMATS and volume.volume_type not in ("dir", "netdir"):
        return ""
    return _("Only qcow2 and raw volumes have a size that can be changed; this one is %(format)s.") % {
        "format": volume.format or volume.volume_type or "?"
    }


def _why_users_forbid(volume: Volume) -> str:
    overlays = overlays_of(volume)
    if overlays:
        return in_use_text([], [overlay.name for overlay in overlays])
    templates = [one.domain.name for one in references_to([volume]).get(volume.pk, []) if one.domain.is_template]
    if templates:
        return _("It is a disk of the template “%(name)s”, which does not change.") % {"name": templates[0]}
    active = [user for user in volume_users(volume) if user.is_active]
    return in_use_text(active, []) if active and running_disk(volume) is None else ""


def _check_shrinking(volume: Volume, parameters: ResizeVolumeParameters) -> None:
    if not parameters.shrink:
        raise NotPossible(
            _("It is smaller than now (%(size)s): what is beyond it would be lost.")
            % {"size": size_text(volume.capacity_bytes)}
        )
    users = volume_users(volume)
    if users:
        raise NotPossible(_("It is not made smaller. %(users)s") % {"users": in_use_text(users, [])})
    if parameters.capacity_bytes < volume.allocation_bytes:
        raise NotPossible(
            _("It is not made smaller than what is written in it: %(size)s.")
            % {"size": size_text(volume.allocation_bytes)}
        )
