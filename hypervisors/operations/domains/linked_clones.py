"""Linked clones: machines whose disks are on top of those of another, which must stay as they are for that."""

import posixpath
from uuid import UUID

from django.utils.translation import gettext as _

from hypervisors.libvirtxml.domains import parsed_from_json
from hypervisors.models import Domain, DomainDefinition, Operation, Volume
from hypervisors.operations.domains.deletion.plan import find_volume
from hypervisors.operations.storage.volume_users import overlays_of, volume_users

_SHOWN = 5


def linked_clones(domain: Domain) -> list[tuple[UUID | None, str]]:
    """UUID and name of the machines on top of its disks; of a volume that no machine has, None and its own name."""
    found: dict[tuple[UUID | None, str], None] = {}
    for volume in own_volumes(domain):
        for overlay in overlays_of(volume):
            users = [(user.domain_uuid, user.name) for user in volume_users(overlay)]
            found |= dict.fromkeys(users or [(None, overlay.name)])
    return sorted(found, key=lambda one: one[1])


def linked_clones_live(domain: Domain) -> str:
    """Why a template cannot go, or change: others need its disks."""
    names = [name for _uuid, name in linked_clones(domain)] if domain.is_template else []
    if not names:
        return ""
    shown = ", ".join(f"“{name}”" for name in names[:_SHOWN])
    if len(names) > _SHOWN:
        shown = _("%(shown)s and %(more)d more") % {"shown": shown, "more": len(names) - _SHOWN}
    return _("Linked clones are on top of its disks: %(names)s.") % {"names": shown}


def clones_under_way(domain: Domain) -> str:
    """Machines are being made of a template without holding it, as many may be at once."""
    if not domain.is_template:
        return ""
    under_way = Operation.objects.unfinished().filter(domain=domain, kind="clone_domain").first()
    under_way = under_way or _creation_on_top(domain)
    if under_way is None:
        return ""
    return _("“%(name)s” is being made of it.") % {"name": under_way.parameters.get("name", "?")}


def _creation_on_top(domain: Domain) -> Operation | None:
    """A creation that puts a disk on top of one of its own."""
    own = {(volume.storage_pool.storage_key, volume.name) for volume in own_volumes(domain)}
    for creation in Operation.objects.unfinished().filter(kind="create_domain"):
        ids = [disk.get("source_volume_id") for disk in creation.parameters.get("disks", ())]
        sources = Volume.objects.filter(pk__in=[one for one in ids if one is not None])
        if any((one.storage_pool.storage_key, one.name) in own for one in sources.select_related("storage_pool")):
            return creation
    return None


def own_volumes(domain: Domain) -> list[Volume]:
    """The volumes of its hard disks, as far as they are known."""
    definition = DomainDefinition.objects.filter(domain=domain).first()
    parsed = parsed_from_json(definition.inactive_parsed or definition.live_parsed) if definition else None
    disks = [disk for disk in parsed.disks if disk.device == "disk" and disk.source] if parsed else []
    found = {}
    for disk in disks:
        volume = find_volume(domain, disk)
        if volume is not None:
            found[posixpath.normpath(volume.path) if volume.path else volume.name] = volume
    return list(found.values())
