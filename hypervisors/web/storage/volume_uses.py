"""Who uses volumes, for pages: what operations refuse by, less the names of machines that the person may not see."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from hypervisors.access import permitted
from hypervisors.inventory.storage.uses import overlays_on
from hypervisors.models import Domain, Volume
from hypervisors.models.rights import Requester
from hypervisors.operations.storage.volume_users import VolumeUser, users_of
from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class VolumeUse:
    """A virtual machine that has the volume. `host` is empty when it is the page's own; `name`, when it is hidden."""

    uuid: str
    name: str
    state: str
    disk: str
    host: str


def add_uses(volumes: Collection[Volume], user: Requester) -> None:
    """Give each volume its `uses` and its `overlay_count`; five queries at most.

    The volumes come with their storage pools and hypervisors.
    """
    users, overlays = users_of(volumes), overlays_on(volumes)
    seen = _visible({one.domain_uuid for found in users.values() for one in found if one.domain_uuid}, user)
    for volume in volumes:
        own = volume.storage_pool.hypervisor.name
        uses = [_use(one, own, seen) for one in users.get(volume.pk, ())]
        volume.uses = list(dict.fromkeys(uses))  # type: ignore[attr-defined]
        volume.overlay_count = len(overlays.get(volume.pk, ()))  # type: ignore[attr-defined]


def _visible(uuids: Collection[UUID], user: Requester) -> set[UUID]:
    if not uuids:
        return set()
    domains = permitted(user, Privilege.DOMAIN_VIEW, Domain.objects.filter(uuid__in=uuids))
    return set(domains.values_list("uuid", flat=True))


def _use(one: VolumeUser, own_host: str, seen: Collection[UUID]) -> VolumeUse:
    host = "" if one.host == own_host else one.host
    if one.domain_uuid not in seen:
        return VolumeUse(uuid="", name="", state="", disk="", host=host)
    return VolumeUse(uuid=str(one.domain_uuid), name=one.name, state=one.state, disk=one.role, host=host)
