"""Who needs some files of a host at this moment, together: asked of the hosts, not of rows (see latest_volume_users).

For what changes several files at once: each storage pool and each host is asked once.
"""

import posixpath
import time
from collections.abc import Callable, Collection, Iterable

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.storage.volume_users import (
    DomainReference,
    VolumePlace,
    read_overlay_paths,
    read_references,
)
from hypervisors.models import Domain, Hypervisor, StoragePool, Volume
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.storage.latest_volume_users import (
    OTHERS_SECONDS,
    OWN_POOL_SECONDS,
    Questions,
    places_of,
    users_among,
)
from hypervisors.operations.storage.storage_operations import storage_pools_of
from hypervisors.operations.storage.volume_users import in_use_text


def why_files_needed_now(run: Run, paths: Collection[str], *, own_paths: Collection[str], apart_from: Domain) -> str:
    """Which other machines name one of the files, or which volumes are on top of one; "" when nobody needs them.

    `own_paths`: files that are the domain's own, and may be on top. The run's host has to answer; for another that does
    not, nothing is known. Raises: errors.HypervisorError of the run's host.
    """
    if not paths:
        return ""
    volumes = _volumes_at(run.source, [*paths, *own_paths])
    places = [place for path in paths for place in _places(path, volumes)]
    own = {posixpath.normpath(place.path) for path in own_paths for place in _places(path, volumes)}
    references = Questions[list[DomainReference]]()
    in_pool = Hypervisor.objects.filter(hypervisor_pool=run.source.hypervisor_pool_id)
    for hypervisor in in_pool.exclude(pk=run.source.pk):
        if not why_unreachable(hypervisor):
            references.begin(hypervisor, lambda connection: read_references(connection, places))
    overlays = _overlays(run, {place.path for place in places}, [volumes[path] for path in paths if path in volumes])
    names = sorted({posixpath.basename(path) for path in overlays if posixpath.normpath(path) not in own})
    users = users_among(run.source, run.ask(lambda connection: read_references(connection, places)), apart_from)
    for hypervisor, named in references.answers(time.monotonic() + OTHERS_SECONDS):
        users += users_among(hypervisor, named, apart_from)
    return in_use_text(sorted(users, key=lambda user: (user.name, user.role)), names)


def _overlays(run: Run, paths: Collection[str], volumes: Iterable[Volume]) -> list[str]:
    """What is on top of one of these, wherever: the storage pools that the files are in have to answer."""
    here = {volume.storage_pool_id: volume.storage_pool for volume in volumes}
    active = StoragePool.objects.present().filter(hypervisor=run.source, active=True, trouble="")
    asked = {pool.pk: pool for pool in active.exclude(pk__in=here).select_related("hypervisor")}
    asked |= {one.pk: one for pool in here.values() for one in storage_pools_of(pool) if one.pk != pool.pk}
    found: list[str] = []
    others = Questions[list[str]]()
    for pool in (one for one in asked.values() if not one.trouble):
        others.begin(pool.hypervisor, _question(pool, paths))
    for pool in here.values():
        found += run.ask(_question(pool, paths), seconds=OWN_POOL_SECONDS)
    for _hypervisor, told in others.answers(time.monotonic() + OTHERS_SECONDS):
        found += told
    return found


def _question(storage_pool: StoragePool, paths: Collection[str]) -> Callable[[Connection], list[str]]:
    uuid = storage_pool.uuid
    return lambda connection: read_overlay_paths(connection, uuid, paths, even_when_busy=True)


def _volumes_at(hypervisor: Hypervisor, paths: Collection[str]) -> dict[str, Volume]:
    """The host's rows of what is at these paths, as far as there are any."""
    wanted = {posixpath.normpath(path): path for path in paths if path}
    rows = Volume.objects.present().filter(storage_pool__hypervisor=hypervisor, path__in={*wanted, *paths})
    found = {posixpath.normpath(row.path): row for row in rows.select_related("storage_pool__hypervisor")}
    return {path: found[normal] for path in paths if (normal := posixpath.normpath(path or "?")) in found}


def _places(path: str, volumes: dict[str, Volume]) -> list[VolumePlace]:
    itself = VolumePlace(storage_pool="", volume="", path=path)
    return [itself, *places_of(volumes[path])] if path in volumes else [itself]
