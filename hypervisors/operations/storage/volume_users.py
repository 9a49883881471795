"""Which virtual machines and which other volumes need a volume: from rows alone.

libvirt itself protects no volume in use. The rows are those of all hosts of the hypervisor pool: a machine of
another host may have its disk on shared storage.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q
from django.utils.translation import gettext as _

from hypervisors.libvirtxml.domain_references import volume_references
from hypervisors.models import Domain, DomainDefinition, StoragePool, Volume


@dataclass(frozen=True, kw_only=True)
class VolumeUser:
    """A virtual machine and what the volume is to it: a disk's target, "kernel" and the like."""

    domain: Domain
    role: str


def volume_users(volume: Volume) -> list[VolumeUser]:
    """The machines whose XML names it anywhere, as they run or as they start next, by name."""
    found = {}
    for definition in _candidates(volume):
        for xml in (definition.live_xml, definition.inactive_xml):
            for role in _roles(xml, volume):
                found[definition.domain.pk, role] = VolumeUser(domain=definition.domain, role=role)
    return sorted(found.values(), key=lambda user: (user.domain.name, user.role))


def overlays_of(volume: Volume) -> list[Volume]:
    """The volumes that are on top of it: without it they cannot be read any more."""
    pools = StoragePool.objects.present().filter(
        hypervisor__hypervisor_pool=volume.storage_pool.hypervisor.hypervisor_pool_id
    )
    if not volume.path:
        return []
    overlays = Volume.objects.present().filter(storage_pool__in=pools, backing_path=volume.path)
    return list(overlays.select_related("storage_pool__hypervisor").order_by("name"))


def why_in_use(volume: Volume) -> str:
    """Who needs it, by name and host; "" when nobody does."""
    users = volume_users(volume)
    if users:
        return _("It is in use: %(users)s.") % {"users": _list(_user_text(user) for user in users)}
    overlays = overlays_of(volume)
    if overlays:
        names = _list(f"“{name}”" for name in dict.fromkeys(overlay.name for overlay in overlays))
        return _("Other volumes are on top of it, and cannot be read without it: %(names)s.") % {"names": names}
    return ""


def _candidates(volume: Volume) -> Iterable[DomainDefinition]:
    """The definitions whose XML names it at all: few, so that only these are looked at closely."""
    mentions = Q(live_xml__contains=volume.name) | Q(inactive_xml__contains=volume.name)
    if volume.path:
        mentions |= Q(live_xml__contains=volume.path) | Q(inactive_xml__contains=volume.path)
    in_pool = Q(domain__hypervisor__hypervisor_pool=volume.storage_pool.hypervisor.hypervisor_pool_id)
    return (
        DomainDefinition.objects.filter(in_pool & mentions, domain__vanished_at=None)
        .select_related("domain__hypervisor")
        .order_by("domain__name")
    )


def _roles(xml: str, volume: Volume) -> list[str]:
    if not xml:
        return []
    try:
        return volume_references(xml, path=volume.path, storage_pool=volume.storage_pool.name, volume=volume.name)
    except ValueError:
        # It mentions the volume and cannot be read: what cannot be ruled out counts.
        return ["?"]


def _user_text(user: VolumeUser) -> str:
    return _("%(role)s of “%(name)s” on %(host)s (%(state)s)") % {
        "role": user.role,
        "name": user.domain.name,
        "host": user.domain.hypervisor.name if user.domain.hypervisor else "?",
        "state": _("running") if user.domain.is_active else _("off"),
    }


def _list(texts: Iterable[str], most: int = 5) -> str:
    texts = list(texts)
    shown = ", ".join(texts[:most])
    return (
        shown if len(texts) <= most else _("%(shown)s and %(more)d more") % {"shown": shown, "more": len(texts) - most}
    )
