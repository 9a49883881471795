"""Which volume it is that a host's domain, or another volume, names: the one answer that pages and operations share.

A path or a name is a place on one host. It is a volume of another host's storage pool when both share the storage, and
when nobody can tell that they do not: only storage pools that are alike on both hosts and known to be two are told
apart.
"""

import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from hypervisors.inventory.storage.storage_pools import shared_identity
from hypervisors.libvirtxml.domain_references import is_backed_by
from hypervisors.models import StoragePool, Volume, VolumeReference

_BATCH = 500
_JSON = "json:"


def references_to(volumes: Iterable[Volume]) -> dict[int, list[VolumeReference]]:
    """What names each of the volumes (with their storage pools and hypervisors), by primary key; two queries.

    Each reference comes with its domain and its hypervisor; of present domains alone.
    """
    named = _by_name(volumes)
    places = StoragePlaces(_pools_of(named))
    found: dict[int, list[VolumeReference]] = defaultdict(list)
    for reference in _references(named, places.hypervisor_pools):
        for volume in named[reference.name]:
            if places.is_volume(
                volume,
                hypervisor_id=reference.domain.hypervisor_id,
                name=reference.name,
                path=reference.path,
                storage_pool_name=reference.storage_pool_name,
            ):
                found[volume.pk].append(reference)
    return dict(found)


def overlays_on(volumes: Iterable[Volume]) -> dict[int, list[Volume]]:
    """The volumes on top of each, by primary key and name, each of shared storage once; two queries."""
    named = _by_name(volumes)
    places = StoragePlaces(_pools_of(named))
    on_top = Volume.objects.present().exclude(backing_path="")
    rows = on_top.filter(storage_pool__hypervisor__hypervisor_pool__in=places.hypervisor_pools)
    found: dict[int, dict[Any, Volume]] = defaultdict(dict)
    for overlay in rows.select_related("storage_pool").order_by("name", "pk"):
        for volume in _candidates(overlay.backing_path, named):
            if _is_on(overlay, volume, places):
                pool = overlay.storage_pool
                found[volume.pk].setdefault((pool.storage_key, overlay.name), overlay)
    return {pk: list(overlays.values()) for pk, overlays in found.items()}


class StoragePlaces:
    """The storage pools of some hypervisor pools, to tell what a place on a host is."""

    def __init__(self, hypervisor_pools: Collection[int]) -> None:
        self.hypervisor_pools = hypervisor_pools
        self._by_name: dict[tuple[int, str], StoragePool] = {}
        self._by_directory: dict[tuple[int, str], StoragePool] = {}
        self._names_of: dict[str, set[str]] = defaultdict(set)
        for pool in StoragePool.objects.present().filter(hypervisor__hypervisor_pool__in=hypervisor_pools):
            self._by_name[pool.hypervisor_id, pool.name] = pool
            if pool.target_path:
                directory = posixpath.normpath(pool.target_path)
                self._by_directory[pool.hypervisor_id, directory] = pool
                self._names_of[directory].add(pool.name)

    def is_volume(
        self, volume: Volume, *, hypervisor_id: int | None, name: str, path: str, storage_pool_name: str = ""
    ) -> bool:
        """Whether what a host calls so is the volume, as far as anybody can tell."""
        own = volume.storage_pool
        there = self._pool_there(hypervisor_id or 0, path, storage_pool_name)
        if there is not None and _is_one_storage(own, there):
            return name == volume.name
        if not path and there is not None and there.target_path:
            path = posixpath.join(posixpath.normpath(there.target_path), name)
        if path:
            is_path = bool(volume.path) and posixpath.normpath(volume.path) == posixpath.normpath(path)
            return is_path and (hypervisor_id == own.hypervisor_id or not _are_told_apart(own, there))
        return name == volume.name and storage_pool_name in self._names_at(own)

    def _pool_there(self, hypervisor_id: int, path: str, storage_pool_name: str) -> StoragePool | None:
        if storage_pool_name:
            return self._by_name.get((hypervisor_id, storage_pool_name))
        return self._by_directory.get((hypervisor_id, posixpath.dirname(path)))

    def _names_at(self, own: StoragePool) -> set[str]:
        """What the storage pools of its directory are called anywhere."""
        directory = posixpath.normpath(own.target_path) if own.target_path else ""
        return {own.name} | self._names_of.get(directory, set())


def _is_one_storage(one: StoragePool, other: StoragePool) -> bool:
    return one.pk == other.pk or one.storage_key == other.storage_key


def _are_told_apart(own: StoragePool, there: StoragePool | None) -> bool:
    """Whether they were proved to be two, or are alike, and would be one if nothing spoke against it."""
    if there is None:
        return False
    if own.shared_storage_id is not None and own.shared_storage_id == there.shared_storage_id:
        return own.is_another or there.is_another
    return own.name == there.name and bool(_identity(own) and _identity(there))


def _identity(pool: StoragePool) -> str:
    return shared_identity(pool_type=pool.pool_type, name=pool.name, target_path=pool.target_path, source=pool.source)


def _by_name(volumes: Iterable[Volume]) -> dict[str, list[Volume]]:
    """By their names, and by those of their files where these are others."""
    named: dict[str, list[Volume]] = defaultdict(list)
    for volume in volumes:
        for name in {volume.name, posixpath.basename(posixpath.normpath(volume.path))} - {"", "."}:
            named[name].append(volume)
    return named


def _pools_of(named: Mapping[str, list[Volume]]) -> set[int]:
    return {one.storage_pool.hypervisor.hypervisor_pool_id for volumes in named.values() for one in volumes}


def _references(named: Mapping[str, list[Volume]], hypervisor_pools: Collection[int]) -> Iterable[VolumeReference]:
    rows = VolumeReference.objects.filter(
        domain__vanished_at=None, domain__hypervisor__hypervisor_pool__in=hypervisor_pools
    )
    rows = rows.select_related("domain__hypervisor").defer(
        "domain__description", "domain__hypervisor__cpu_xml", "domain__hypervisor__machine_types"
    )
    names = sorted(named)
    for start in range(0, len(names), _BATCH):
        yield from rows.filter(name__in=names[start : start + _BATCH]).order_by("domain__name", "target", "role", "pk")


def _candidates(backing_path: str, named: Mapping[str, list[Volume]]) -> Iterable[Volume]:
    """QEMU's "json:{…}" may name a file in many ways: any that has the file's name in it counts."""
    if backing_path.startswith(_JSON):
        return (one for name, volumes in named.items() if name in backing_path for one in volumes)
    return named.get(posixpath.basename(posixpath.normpath(backing_path)), ())


def _is_on(overlay: Volume, volume: Volume, places: StoragePlaces) -> bool:
    if overlay.backing_path.startswith(_JSON):
        return is_backed_by(overlay.backing_path, volume.path)
    path = posixpath.normpath(overlay.backing_path)
    return places.is_volume(
        volume, hypervisor_id=overlay.storage_pool.hypervisor_id, name=posixpath.basename(path), path=path
    )
