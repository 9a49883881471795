"""What can be chosen in a form, from rows: volumes, storage pools and networks of the machine's host."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser, User
from django.utils.translation import gettext as _

from hypervisors.access import can, permitted
from hypervisors.models import Domain, Network, NetworkFilter, StoragePool, Volume
from hypervisors.operations.storage.volume_users import users_of
from hypervisors.privileges import Privilege
from hypervisors.templatetags.units import size
from hypervisors.web.domains.creation.choices import is_medium
from hypervisors.web.domains.creation.fields import Option
from hypervisors.web.naming import natural_key, visible

# Beyond this many nobody finds anything in a menu.
_MOST_VOLUMES = 500
_NO_STORAGE_FOR_IMAGES = ("scsi", "mpath", "iscsi", "iscsi-direct")


@dataclass(frozen=True, kw_only=True)
class DiskChoices:
    """Of a disk or a drive: where a new volume can be made, and the volumes that there are."""

    storage_pools: tuple[Option, ...] = ()
    volumes: tuple[Option, ...] = ()
    # Who may not see the storage chooses nothing of it.
    is_allowed: bool = False


def disk_choices(domain: Domain, user: User | AnonymousUser) -> DiskChoices:
    """For a hard disk: what another machine has is shown with its name, and cannot be chosen."""
    pools = storage_pools_for(domain, user)
    if not pools:
        return DiskChoices(is_allowed=_may_see_storage(domain, user))
    volumes = [one for one in _volumes(pools) if not is_medium(one)]
    used = users_of(volumes)
    options = tuple(
        Option(
            value=str(one.pk),
            text=_volume_text(one, _used_text(user.name for user in used.get(one.pk, ()))),
            is_disabled=bool(one.quarantine or used.get(one.pk)),
        )
        for one in volumes
    )
    return DiskChoices(storage_pools=tuple(_pool_option(one) for one in pools), volumes=options, is_allowed=True)


def media_choices(domain: Domain, user: User | AnonymousUser) -> tuple[Option, ...]:
    """What goes into a drive; many machines may read the same."""
    volumes = [one for one in _volumes(storage_pools_for(domain, user)) if is_medium(one) or _is_floppy(one)]
    return tuple(
        Option(value=str(one.pk), text=_volume_text(one, visible(one.quarantine)), is_disabled=bool(one.quarantine))
        for one in volumes
    )


def network_options(domain: Domain, user: User | AnonymousUser) -> tuple[Option, ...]:
    """The networks of its host."""
    rows = sorted(_networks(domain, user), key=lambda one: natural_key(one.name))
    return tuple(Option(value=one.name, text=_network_text(one)) for one in rows)


def bridge_options(domain: Domain, user: User | AnonymousUser) -> tuple[Option, ...]:
    """Bridges that its host's networks name; others can be typed."""
    names = {one.bridge for one in _networks(domain, user) if one.bridge}
    return tuple(Option(value=name, text=name) for name in sorted(names, key=natural_key))


def filter_options(domain: Domain, user: User | AnonymousUser) -> tuple[Option, ...]:
    """The network filters of its host."""
    rows = permitted(user, Privilege.NETWORK_VIEW, NetworkFilter.objects.filter(hypervisor=domain.hypervisor_id))
    names = sorted(rows.values_list("name", flat=True), key=natural_key)
    return tuple(Option(value=name, text=visible(name)) for name in names)


def storage_pools_for(domain: Domain, user: User | AnonymousUser) -> list[StoragePool]:
    """Those of its host that can hold images now, by name."""
    if domain.hypervisor_id is None or not _may_see_storage(domain, user):
        return []
    rows = StoragePool.objects.present().filter(hypervisor=domain.hypervisor_id, active=True, trouble="")
    found = rows.exclude(pool_type__in=_NO_STORAGE_FOR_IMAGES).select_related("hypervisor", "shared_storage")
    return sorted(found, key=lambda one: natural_key(one.name))


def _may_see_storage(domain: Domain, user: User | AnonymousUser) -> bool:
    return domain.hypervisor is not None and can(user, Privilege.STORAGE_VIEW, domain.hypervisor)


def _volumes(pools: Iterable[StoragePool]) -> list[Volume]:
    by_key = {pool.pk: pool for pool in pools}
    rows = Volume.objects.present().whole().filter(storage_pool__in=by_key).exclude(volume_type="dir")
    found = list(rows.order_by("name", "pk")[:_MOST_VOLUMES])
    for one in found:
        one.storage_pool = by_key[one.storage_pool_id]
    return sorted(found, key=lambda one: natural_key(one.name))


def _networks(domain: Domain, user: User | AnonymousUser) -> Iterable[Network]:
    rows = Network.objects.present().filter(hypervisor=domain.hypervisor_id)
    return permitted(user, Privilege.NETWORK_VIEW, rows)


def _is_floppy(volume: Volume) -> bool:
    return volume.name.casefold().endswith((".img", ".flp", ".vfd")) and volume.capacity_bytes <= 2_949_120


def _volume_text(volume: Volume, about: str) -> str:
    text = f"{visible(volume.name)} · {size(volume.capacity_bytes)} · {visible(volume.storage_pool.name)}"
    return f"{text} · {about}" if about else text


def _used_text(names: Iterable[str]) -> str:
    known = list(dict.fromkeys(names))
    return _("used by %(name)s") % {"name": ", ".join(visible(name) for name in known[:3])} if known else ""


def _pool_option(pool: StoragePool) -> Option:
    free = _("%(free)s free") % {"free": size(pool.available_bytes)}
    return Option(value=str(pool.pk), text=f"{visible(pool.name)} · {free}")


def _network_text(network: Network) -> str:
    words = {"nat": "NAT", "isolated": _("isolated"), "route": _("routed"), "open": _("open"), "bridge": _("bridge")}
    kind = words.get(network.forward_mode, network.forward_mode)
    text = f"{visible(network.name)} · {kind}"
    return text if network.active else f"{text} · {_('stopped')}"
