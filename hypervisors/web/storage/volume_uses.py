"""Which virtual machines use which volumes of a storage pool, for its page: from what their XML says.

This is for people to see. What is about to delete a volume asks anew (operations), and of more than disks.
"""

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q, QuerySet

from hypervisors.access import permitted
from hypervisors.libvirtxml.domain_references import text_in_xml
from hypervisors.models import Domain, DomainDefinition, StoragePool, Volume
from hypervisors.models.rights import Requester
from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class VolumeUse:
    """A virtual machine that has the volume as a disk or medium. `host` is empty when it is the page's own."""

    uuid: str
    name: str
    state: str
    disk: str
    host: str


def uses_of(storage_pool: StoragePool, volumes: Iterable[Volume], user: Requester) -> dict[int, list[VolumeUse]]:
    """By volume, the machines that the person may see; one query.

    On storage that several hosts seem to share, machines of all of them count.
    """
    volumes = list(volumes)
    by_path = {posixpath.normpath(volume.path): volume.pk for volume in volumes if volume.path}
    by_name = {volume.name: volume.pk for volume in volumes}
    uses: dict[int, dict[tuple[str, str], VolumeUse]] = defaultdict(dict)
    for row in _definitions(storage_pool, user).values(*_COLUMNS, **_DISKS):
        for disk in (*(row["live_disks"] or ()), *(row["inactive_disks"] or ())):
            pk = _volume_of(disk, storage_pool, by_path, by_name)
            if pk is not None:
                use = _use(row, disk, storage_pool)
                uses[pk][use.uuid, use.disk] = use
    return {pk: sorted(found.values(), key=lambda use: (use.name, use.disk)) for pk, found in uses.items()}


def overlay_counts(storage_pool: StoragePool, volumes: Iterable[Volume]) -> dict[str, int]:
    """How many volumes of the same storage pool are on top of each path; one query."""
    paths = {volume.path for volume in volumes if volume.path}
    backing = storage_pool.volumes.present().exclude(backing_path="").values_list("backing_path", flat=True)
    counts: dict[str, int] = defaultdict(int)
    for path in backing:
        if path in paths:
            counts[path] += 1
    return counts


_COLUMNS = ("domain__uuid", "domain__name", "domain__state", "domain__hypervisor", "domain__hypervisor__name")
_DISKS = {"live_disks": F("live_parsed__disks"), "inactive_disks": F("inactive_parsed__disks")}


def _definitions(storage_pool: StoragePool, user: Requester) -> "QuerySet[DomainDefinition]":
    """Those whose XML names the storage pool or its path at all."""
    pattern = text_in_xml(storage_pool.target_path or storage_pool.name)
    mentions = Q(live_xml__contains=pattern) | Q(inactive_xml__contains=pattern)
    if storage_pool.target_path:
        mentions |= Q(live_xml__contains=_pool_attribute(storage_pool))
        mentions |= Q(inactive_xml__contains=_pool_attribute(storage_pool))
    domains = permitted(user, Privilege.DOMAIN_VIEW, Domain.objects.present())
    if storage_pool.shared_storage_id is None:
        domains = domains.filter(hypervisor=storage_pool.hypervisor_id)
    else:
        domains = domains.filter(hypervisor__hypervisor_pool=storage_pool.hypervisor.hypervisor_pool_id)
    return DomainDefinition.objects.filter(mentions, domain__in=domains.values("pk"))


def _pool_attribute(storage_pool: StoragePool) -> str:
    return f"pool='{text_in_xml(storage_pool.name)}'"


def _volume_of(
    disk: Mapping[str, Any], storage_pool: StoragePool, by_path: Mapping[str, int], by_name: Mapping[str, int]
) -> int | None:
    source = disk.get("source") or ""
    if disk.get("source_kind") == "volume":
        pool_name, _slash, name = source.partition("/")
        return by_name.get(name) if pool_name == storage_pool.name else None
    return by_path.get(posixpath.normpath(source)) if source else None


def _use(row: Mapping[str, Any], disk: Mapping[str, Any], storage_pool: StoragePool) -> VolumeUse:
    is_here = row["domain__hypervisor"] == storage_pool.hypervisor_id
    return VolumeUse(
        uuid=str(row["domain__uuid"]),
        name=row["domain__name"],
        state=row["domain__state"],
        disk=disk.get("target") or "",
        host="" if is_here else row["domain__hypervisor__name"] or "",
    )
