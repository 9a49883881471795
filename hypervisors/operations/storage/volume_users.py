"""Which virtual machines and which other volumes need a volume: from rows alone, which may be minutes old.

libvirt itself protects no volume in use. The rows are those of all hosts of the hypervisor pool: a machine of
another host may have its disk on shared storage. What is about to delete one asks the hosts too (latest_volume_users).
"""

import posixpath
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db.models import Q
from django.utils.translation import gettext as _

from hypervisors.libvirtxml.domain_references import is_backed_by, text_in_xml, volume_references
from hypervisors.models import DomainDefinition, StoragePool, Volume


@dataclass(frozen=True, kw_only=True)
class VolumeUser:
    """A virtual machine and what the volume is to it: a disk's target, "kernel" and the like."""

    name: str
    role: str
    host: str
    is_active: bool


def volume_users(volume: Volume) -> list[VolumeUser]:
    """The machines whose XML names it anywhere, as they run or as they start next, by name."""
    found = {}
    storage_pools = names_of_its_storage(volume)
    for definition in _candidates(volume):
        domain = definition.domain
        texts = (definition.live_xml, definition.inactive_xml)
        for role in (role for xml in texts for role in _roles(xml, volume, storage_pools)):
            host = domain.hypervisor.name if domain.hypervisor else "?"
            found[domain.pk, role] = VolumeUser(name=domain.name, role=role, host=host, is_active=domain.is_active)
    return sorted(found.values(), key=lambda user: (user.name, user.role))


def overlays_of(volume: Volume) -> list[Volume]:
    """The volumes that are on top of it: without it they cannot be read any more."""
    pools = StoragePool.objects.present().filter(
        hypervisor__hypervisor_pool=volume.storage_pool.hypervisor.hypervisor_pool_id
    )
    if not volume.path:
        return []
    # A path that is relative in the file's header reaches us with its "..".
    mentions = Q(backing_path__contains=posixpath.basename(posixpath.normpath(volume.path)))
    overlays = Volume.objects.present().filter(mentions, storage_pool__in=pools)
    found = overlays.select_related("storage_pool__hypervisor").order_by("name")
    return [overlay for overlay in found if is_backed_by(overlay.backing_path, volume.path)]


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


def in_use_text(users: Collection[VolumeUser], overlay_names: Collection[str]) -> str:
    """ "" when there are none."""
    if users:
        return _("It is in use: %(users)s.") % {"users": _list(_user_text(user) for user in users)}
    if overlay_names:
        names = _list(f"“{name}”" for name in dict.fromkeys(overlay_names))
        return _("Other volumes are on top of it, and cannot be read without it: %(names)s.") % {"names": names}
    return ""


def _candidates(volume: Volume) -> Iterable[DomainDefinition]:
    """The definitions whose XML names it at all: few, so that only these are looked at closely."""
    mentions = Q()
    for text in filter(None, (volume.name, posixpath.basename(volume.path))):
        written = text_in_xml(text)
        mentions |= Q(live_xml__contains=written) | Q(inactive_xml__contains=written)
    in_pool = Q(domain__hypervisor__hypervisor_pool=volume.storage_pool.hypervisor.hypervisor_pool_id)
    return (
        DomainDefinition.objects.filter(in_pool & mentions, domain__vanished_at=None)
        .select_related("domain__hypervisor")
        .order_by("domain__name")
    )


def _roles(xml: str, volume: Volume, storage_pools: Collection[str]) -> list[str]:
    found: dict[str, None] = {}
    for storage_pool in storage_pools if xml else ():
        try:
            roles = volume_references(xml, path=volume.path, storage_pool=storage_pool, volume=volume.name)
        except ValueError:
            # It mentions the volume and cannot be read: what cannot be ruled out counts.
            roles = ["?"]
        found |= dict.fromkeys(roles)
    return list(found)


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
