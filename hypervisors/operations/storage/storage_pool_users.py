"""Which virtual machines use volumes of a storage pool: from rows, for pages and requests; a worker asks the hosts.

Machines of its own host count; for what would be lost with the volumes, those of every host that may see the storage.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hypervisors.libvirtxml.domain_references import text_in_xml
from hypervisors.libvirtxml.storage_pool_references import StoragePoolPlace, is_any_named
from hypervisors.models import DomainDefinition, StoragePool

_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True, order=True)
class StoragePoolUser:
    name: str
    host: str
    is_active: bool


def storage_pool_users(storage_pool: StoragePool, *, on_every_host: bool = False) -> list[StoragePoolUser]:
    """By name; one query for the storage pool's volumes, and one for the machines."""
    places = [place_of(storage_pool)]
    mentions = Q()
    for place in places:
        for word in _mentioned(place):
            mentions |= Q(live_xml__contains=word) | Q(inactive_xml__contains=word)
    hypervisor = storage_pool.hypervisor
    where = (
        {"domain__hypervisor__hypervisor_pool": hypervisor.hypervisor_pool_id}
        if on_every_host
        else {"domain__hypervisor": hypervisor.pk}
    )
    found = DomainDefinition.objects.filter(mentions, domain__vanished_at=None, **where)
    return sorted(
        StoragePoolUser(
            name=row.domain.name,
            host=row.domain.hypervisor.name if row.domain.hypervisor else "?",
            is_active=row.domain.is_active,
        )
        for row in found.select_related("domain__hypervisor")
        if is_any_named(row.live_xml, places) or is_any_named(row.inactive_xml, places)
    )


def place_of(storage_pool: StoragePool) -> StoragePoolPlace:
    paths = storage_pool.volumes.present().exclude(path="").values_list("path", flat=True)
    return StoragePoolPlace(
        name=storage_pool.name,
        target_path=storage_pool.target_path,
        # Volumes in a folder of its own are found by that.
        volume_paths=frozenset() if _has_folder(storage_pool) else frozenset(paths),
    )


def users_text(users: Iterable[StoragePoolUser]) -> str:
    """ "“web1” on host1 (running), “db” on host2 (off) and 3 more"; "" for none."""
    texts = [_one(user) for user in users]
    shown, more = ", ".join(texts[:_MOST_NAMED]), len(texts) - _MOST_NAMED
    if more <= 0:
        return shown
    return ngettext("%(shown)s and %(more)d more", "%(shown)s and %(more)d more", more) % {"shown": shown, "more": more}


def why_used(users: Iterable[StoragePoolUser]) -> str:
    text = users_text(users)
    return _("Virtual machines use volumes in it: %(users)s.") % {"users": text} if text else ""


def _one(user: StoragePoolUser) -> str:
    text = _("“%(name)s” on %(host)s (running)") if user.is_active else _("“%(name)s” on %(host)s (off)")
    return text % {"name": user.name, "host": user.host}


def _has_folder(storage_pool: StoragePool) -> bool:
    return bool(StoragePoolPlace(name="", target_path=storage_pool.target_path).directory)


def _mentioned(place: StoragePoolPlace) -> list[str]:
    """Texts, one of which is in the XML of whatever uses it."""
    words = [f"pool='{text_in_xml(place.name)}'", f'pool="{text_in_xml(place.name)}"']
    if place.directory:
        return [*words, f"{text_in_xml(place.directory)}/"]
    # Their common beginning: thousands of conditions would be too many.
    return [*words, text_in_xml(place.target_path)] if place.target_path else words
