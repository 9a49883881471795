"""Where a machine's disks and media are on another host, as far as rows tell.

That a storage pool of the same path is there proves nothing: see models/shared_storage.py. Of a machine that is shut
off, the worker looks at the files themselves on both hosts before anything moves (migration_checks.py).
"""

import posixpath
from collections import defaultdict
from collections.abc import Iterator

from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisors.libvirtxml.domain_devices import Disk
from hypervisors.libvirtxml.domains import ParsedDomain
from hypervisors.models import Hypervisor, StoragePool, Volume
from hypervisors.operations.domains.unmovable import is_data
from hypervisors.operations.engine.locks import clock


class MovedDisks:
    """The disks of one machine. `source` has its storage pools with their shared storage."""

    def __init__(self, parsed: ParsedDomain, source: Hypervisor | None, *, is_active: bool) -> None:
        self._disks = [disk for disk in parsed.disks if disk.source and disk.source_kind in _LOCAL_KINDS]
        self._source = source
        self._is_active = is_active
        self._volumes: dict[int, dict[str, Volume]] | None = None

    def obstacles(self, target: Hypervisor) -> Iterator[str]:
        for disk in self._disks:
            found = [*_place_obstacles(disk, target), *self._disproved_obstacles(disk, target)]
            yield from found
            if not found and not self._is_active and is_data(disk):
                yield from self._sharing_obstacles(disk, target)

    def warnings(self, target: Hypervisor) -> Iterator[str]:
        """What cannot be told from rows."""
        for disk in self._disks:
            here, there = self._pool(disk), _pool_of(disk, target)
            if here is None or there is None:
                continue
            if self._is_listed_only_here(disk, here, there):
                yield _(
                    "%(path)s is not in the list of storage pool “%(pool)s” on that host; it is looked for again."
                ) % {
                    "path": disk.source,
                    "pool": there.name,
                }
            elif not self._is_active and is_data(disk) and not _is_proved(here, there):
                text = _(
                    "Whether disk %(disk)s is the same file there is looked at before it moves; if that cannot be "
                    "told, nothing moves."
                ) % {"disk": disk.target}
                yield f"{text} {there.unproved_reason}".strip()

    def _disproved_obstacles(self, disk: Disk, target: Hypervisor) -> Iterator[str]:
        here, there = self._pool(disk), _pool_of(disk, target)
        if there is not None and _is_disproved(here, there):
            yield _(
                "%(host)s does not see the storage of disk %(disk)s: its storage pool “%(pool)s” is another one, "
                "as was proved at %(time)s."
            ) % {
                "host": target.name,
                "disk": disk.target,
                "pool": there.name,
                "time": clock(there.looked_at or timezone.now()),
            }

    def _sharing_obstacles(self, disk: Disk, target: Hypervisor) -> Iterator[str]:
        here, there = self._pool(disk), _pool_of(disk, target)
        if here is not None and there is not None and _is_proved(here, there):
            return
        if here is None or there is None or here.shared_storage_id is None:
            differs = True
        else:
            differs = here.shared_storage_id != there.shared_storage_id or self._differs(disk, here, there)
        if differs:
            yield _(
                "Disk %(disk)s (%(path)s) is not on shared storage as far as is known: that host may have another file "
                "of that name. Start the machine and move it while it runs, or copy the disk."
            ) % {"disk": disk.target, "path": disk.source}

    def _differs(self, disk: Disk, here: StoragePool, there: StoragePool) -> bool:
        mine, other = self._volume(disk, here), self._volume(disk, there)
        return mine is not None and other is not None and mine.capacity_bytes != other.capacity_bytes

    def _is_listed_only_here(self, disk: Disk, here: StoragePool, there: StoragePool) -> bool:
        if here.volumes_read_at is None or there.volumes_read_at is None:
            return False
        return self._volume(disk, here) is not None and self._volume(disk, there) is None

    def _volume(self, disk: Disk, storage_pool: StoragePool) -> Volume | None:
        if self._volumes is None:
            self._volumes = defaultdict(dict)
            names = {_volume_name(disk) for disk in self._disks}
            pools = StoragePool.objects.filter(hypervisor__hypervisor_pool=self._hypervisor_pool_id)
            rows = Volume.objects.present().filter(name__in=names, storage_pool__in=pools)
            for row in rows.only("name", "storage_pool", "capacity_bytes"):
                self._volumes[row.storage_pool_id][row.name] = row
        return self._volumes.get(storage_pool.pk, {}).get(_volume_name(disk))

    @property
    def _hypervisor_pool_id(self) -> int | None:
        return None if self._source is None else self._source.hypervisor_pool_id

    def _pool(self, disk: Disk) -> StoragePool | None:
        return None if self._source is None else _pool_of(disk, self._source)


_LOCAL_KINDS = ("file", "block", "dir", "volume")


def _is_proved(here: StoragePool, there: StoragePool) -> bool:
    return here.is_proved_same_as(there)


def _is_disproved(here: StoragePool | None, there: StoragePool | None) -> bool:
    """Whether a look found that they are not the same storage, although they look like it."""
    if here is None or there is None or here.shared_storage_id is None:
        return False
    is_alike = here.shared_storage_id == there.shared_storage_id and here.pk != there.pk
    return is_alike and (here.is_another or there.is_another)


def _volume_name(disk: Disk) -> str:
    return disk.source.partition("/")[2] if disk.source_kind == "volume" else posixpath.basename(disk.source)


def _pool_of(disk: Disk, hypervisor: Hypervisor) -> StoragePool | None:
    """The active storage pool there that its path is in."""
    active = [pool for pool in hypervisor.storage_pools.all() if pool.active]
    if disk.source_kind == "volume":
        name = disk.source.partition("/")[0]
        return next((pool for pool in active if pool.name == name), None)
    by_path = {posixpath.normpath(pool.target_path): pool for pool in active if pool.target_path}
    # The innermost first.
    return next((by_path[path] for path in _parents(disk.source) if path in by_path), None)


def _place_obstacles(disk: Disk, target: Hypervisor) -> Iterator[str]:
    if _pool_of(disk, target) is not None:
        return
    if disk.source_kind == "volume":
        yield _("Disk %(disk)s is in the storage pool “%(pool)s”, which is not active there.") % {
            "disk": disk.target,
            "pool": disk.source.partition("/")[0],
        }
        return
    idle = {posixpath.normpath(p.target_path): p.name for p in target.storage_pools.all() if p.target_path}
    directory = next((path for path in _parents(disk.source) if path in idle), None)
    values = {"disk": disk.target, "path": disk.source}
    if directory is not None:
        yield _("The storage pool “%(pool)s” with disk %(disk)s (%(path)s) is not active there.") % {
            "pool": idle[directory],
            **values,
        }
    elif not is_data(disk):
        if disk.startup_policy != "optional":
            yield _("The medium in drive %(disk)s (%(path)s) is not on this host; eject it first.") % values
    else:
        yield _("Disk %(disk)s (%(path)s) is in no storage pool of this host.") % values


def _parents(path: str) -> Iterator[str]:
    while path not in ("/", "", "."):
        path = posixpath.dirname(posixpath.normpath(path))
        if path != "/":
            yield path
