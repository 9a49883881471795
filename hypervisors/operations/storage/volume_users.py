"""Which virtual machines and which other volumes need a volume: from rows alone, which may be minutes old.

libvirt itself protects no volume in use. The rows are those of all hosts of the hypervisor pool: a machine of
another host may have its disk on shared storage. What is about to change one asks the hosts too (latest_volume_users).
"""

import posixpath
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _

from hypervisors.inventory.storage.uses import overlays_on, references_to
from hypervisors.models import StoragePool, Volume, VolumeReference


@dataclass(frozen=True, kw_only=True)
class VolumeUser:
    """A virtual machine and what the volume is to it: a disk's target, "kernel" and the like.

    `domain_uuid` and `state` are empty where a host was asked rather than our rows.
    """

    name: str
    role: str
    host: str
    is_active: bool
    domain_uuid: UUID | None = None
    state: str = ""


def volume_users(volume: Volume) -> list[VolumeUser]:
    """The machines whose XML names it anywhere, as they run or as they start next, by name."""
    return users_of([volume]).get(volume.pk, [])


def users_of(volumes: Iterable[Volume]) -> dict[int, list[VolumeUser]]:
    """The same of many, by primary key; two queries. The volumes come with their storage pools and hypervisors."""
    found = references_to(volumes)
    return {
        pk: list(dict.fromkeys(sorted(map(_user, references), key=lambda user: (user.name, user.role))))
        for pk, references in found.items()
    }


def overlays_of(volume: Volume) -> list[Volume]:
    """The volumes that are on top of it: without it they cannot be read any more."""
    return overlays_on([volume]).get(volume.pk, [])


def names_of_its_storage(volume: Volume) -> list[str]:
    """What the storage pools of its directory are called on any host of the hypervisor pool, its own first."""
    own = volume.storage_pool
    others = StoragePool.objects.present().filter(hypervisor__hypervisor_pool=own.hypervisor.hypervisor_pool_id)
    here = posixpath.normpath(own.target_path) if own.target_path else ""
    named = others.exclude(target_path="").values_list("name", "target_path")
    return list(dict.fromkeys([own.name, *(name for name, path in named if posixpath.normpath(path) == here)]))


def why_in_use(volume: Volume) -> str:
    """Who needs it, by name and host; "" when nobody does."""
    return in_use_text(volume_users(volume), [overlay.name for overlay in overlays_of(volume)])


def why_running(volume: Volume) -> str:
    """Which active machines write to it; "" when none does: it can be read and copied."""
    overlays = overlays_of(volume)
    if is_only_read(volume, overlays):
        return ""
    return in_use_text([user for user in volume_users(volume) if user.is_active], [])


def is_only_read(volume: Volume, overlays: Collection[object]) -> bool:
    """Nothing is written to a medium, nor to what other volumes are on top of."""
    return volume.format == "iso" or bool(overlays)


def in_use_text(users: Collection[VolumeUser], overlay_names: Collection[str]) -> str:
    """ "" when there are none."""
    if users:
        return _("It is in use: %(users)s.") % {"users": _list(_user_text(user) for user in users)}
    if overlay_names:
        names = _list(f"“{name}”" for name in dict.fromkeys(overlay_names))
        return _("Other volumes are on top of it, and cannot be read without it: %(names)s.") % {"names": names}
    return ""


def _user(reference: VolumeReference) -> VolumeUser:
    domain = reference.domain
    return VolumeUser(
        name=domain.name,
        role=reference.target or reference.role,
        host=domain.hypervisor.name if domain.hypervisor else "?",
        is_active=domain.is_active,
        domain_uuid=domain.uuid,
        state=domain.state,
    )


def _user_text(user: VolumeUser) -> str:
    return _("%(role)s of “%(name)s” on %(host)s (%(state)s)") % {
        "role": user.role,
        "name": user.name,
        "host": user.host,
        "state": _("running") if user.is_active else _("off"),
    }


def _list(texts: Iterable[str], most: int = 5) -> str:
    texts = list(texts)
    shown = ", ".join(texts[:most])
    return (
        shown if len(texts) <= most else _("%(shown)s and %(more)d more") % {"shown": shown, "more": len(texts) - most}
    )
