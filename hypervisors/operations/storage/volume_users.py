"""Which virtual machines and which other volumes need a volume: from rows alone.

libvirt itself protects no volume in use. The rows are those of all hosts of the hypervisor pool: a machine of
another host may have its disk on shared storage.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q
from django.utils.translation import gettext as _

from hypervisors.libvirtxml.domains import parsed_from_json
from hypervisors.models import Domain, DomainDefinition, StoragePool, Volume


@dataclass(frozen=True, kw_only=True)
class VolumeUser:
    """A virtual machine and which of its disks the volume is; `is_running` as of the last reading."""

    domain: Domain
    disk: str
    is_running: bool


def volume_users(volume: Volume) -> list[VolumeUser]:
    """The machines that have it as a disk or a medium, as they run or as they start next, by name."""
    found = {}
    for definition in _candidates(volume):
        for parsed in (definition.live_parsed, definition.inactive_parsed):
            for disk in parsed_from_json(parsed).disks if parsed else ():
                if _is_of(disk.source, disk.source_kind, volume):
                    domain = definition.domain
                    found[domain.pk, disk.target] = VolumeUser(
                        domain=domain, disk=disk.target, is_running=domain.is_active
                    )
    return sorted(found.values(), key=lambda user: (user.domain.name, user.disk))


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


def _is_of(source: str, source_kind: str, volume: Volume) -> bool:
    if source_kind == "volume":
        return source == f"{volume.storage_pool.name}/{volume.name}"
    return bool(source) and source == volume.path


def _user_text(user: VolumeUser) -> str:
    host = user.domain.hypervisor.name if user.domain.hypervisor else "?"
    state = _("running") if user.is_running else _("off")
    return _("disk %(disk)s of “%(name)s” on %(host)s (%(state)s)") % {
        "disk": user.disk,
        "name": user.domain.name,
        "host": host,
        "state": state,
    }


def _list(texts: Iterable[str], most: int = 5) -> str:
    texts = list(texts)
    shown = ", ".join(texts[:most])
    return (
        shown if len(texts) <= most else _("%(shown)s and %(more)d more") % {"shown": shown, "more": len(texts) - most}
    )
