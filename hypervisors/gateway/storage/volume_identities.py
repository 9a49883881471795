"""Whether two hypervisors see one and the same volume, https://libvirt.org/formatstorage.html#storage-volume-xml.

A path proves nothing: each host has a /var/lib/libvirt/images of its own. One and the same file has one time of its
last change (ctime), which nobody can set, to the nanosecond; storage on the network has one source.
"""

import ipaddress
import posixpath
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import libvirt

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.storage.failures import translated_storage
from hypervisors.libvirtxml.storage_pools import parse_storage_pool
from hypervisors.libvirtxml.storage_volumes import parse_volume

# Types whose volumes are known by the storage pool's source, the same from wherever it is reached.
_NETWORK_TYPES = frozenset({"netfs", "rbd", "gluster", "iscsi", "iscsi-direct"})
_MOST_BACKING_FILES = 64


@dataclass(frozen=True, kw_only=True)
class VolumeIdentity:
    """What tells a volume from another of its name."""

    name: str
    path: str
    pool_type: str
    # "nas1:/export"; empty for what is local, or comes from the host itself.
    pool_source: str
    capacity_bytes: int
    # Seconds with nanoseconds; empty for what is no file.
    changed_at: str
    backing_path: str

    def is_same_as(self, other: "VolumeIdentity") -> bool:
        """Whether it is proved to be the other; False says only that it is not proved."""
        if self.capacity_bytes != other.capacity_bytes or self.backing_path != other.backing_path:
            return False
        if self.pool_source and (self.pool_type, self.pool_source) == (other.pool_type, other.pool_source):
            return self.name == other.name
        return _is_precise(self.changed_at) and self.changed_at == other.changed_at


def read_volume_chain(connection: Connection, source: str) -> tuple[VolumeIdentity, ...]:
    """The volume at a path or at "pool/volume", and the backing files under it.

    Empty when the volume is in no active storage pool. A backing file that is in none ends the chain, which shows: the
    last one still has a `backing_path`. Storage pools that do not know the file yet are refreshed.
    Raises: errors.HypervisorError.
    """
    chain: list[VolumeIdentity] = []
    with translated_storage(f"look for {source}"):
        while source and len(chain) < _MOST_BACKING_FILES:
            volume = _find(connection.raw, source)
            if volume is None:
                break
            chain.append(_identity(volume))
            source = chain[-1].backing_path
    return tuple(chain)


def is_same_chain(here: tuple[VolumeIdentity, ...], there: tuple[VolumeIdentity, ...]) -> bool:
    """Whether both are proved to be the same files, from the top to the last backing file."""
    if not here or len(here) != len(there) or here[-1].backing_path:
        return False
    return all(mine.is_same_as(other) for mine, other in zip(here, there, strict=True))


def is_own_address(host: str) -> bool:
    """Whether each host that reads this name takes it for itself."""
    name = host.rsplit(":", 1)[0] if host.count(":") == 1 else host
    name = name.strip("[]").rstrip(".").lower()
    with suppress(ValueError):
        address = ipaddress.ip_address(name)
        return address.is_loopback or address.is_unspecified
    return name in ("", "localhost") or name.endswith(".localhost") or name.startswith("localhost.")


def _is_precise(changed_at: str) -> bool:
    """A file system that counts whole seconds lets two files be changed at the same time."""
    fraction = changed_at.partition(".")[2]
    return bool(fraction.strip("0"))


def _find(raw: "libvirt.virConnect", source: str) -> Any:
    """The virStorageVol, or None."""
    if not source.startswith("/"):
        pool_name, _slash, name = source.partition("/")
        return _look_up(lambda: _refreshed(raw.storagePoolLookupByName(pool_name)).storageVolLookupByName(name))
    found = _look_up(lambda: raw.storageVolLookupByPath(source))
    if found is None:
        for pool in _pools_around(raw, source):
            _refreshed(pool)
        found = _look_up(lambda: raw.storageVolLookupByPath(source))
    return found


def _look_up(call: Any) -> Any:
    try:
        return call()
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_NO_STORAGE_POOL):
            return None
        raise


def _refreshed(pool: Any) -> Any:
    # One that is being written to cannot be refreshed, and is no worse for it.
    with suppress(libvirt.libvirtError):
        pool.refresh(0)
    return pool


def _pools_around(raw: "libvirt.virConnect", path: str) -> Iterator[Any]:
    directory = posixpath.dirname(posixpath.normpath(path))
    for pool in raw.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        target = parse_storage_pool(pool.XMLDesc(0)).target_path
        if target and posixpath.normpath(target) == directory:
            yield pool


def _identity(volume: Any) -> VolumeIdentity:
    parsed = parse_volume(volume.XMLDesc(0))
    pool = parse_storage_pool(volume.storagePoolLookupByVolume().XMLDesc(0))
    hosts, colon, _place = pool.source.partition(":")
    is_network = pool.pool_type in _NETWORK_TYPES and bool(colon) and not is_own_address(hosts)
    return VolumeIdentity(
        name=parsed.name or volume.name(),
        path=parsed.path or volume.path(),
        pool_type=pool.pool_type,
        pool_source=pool.source if is_network else "",
        capacity_bytes=parsed.capacity_bytes,
        changed_at=parsed.changed_at,
        backing_path=parsed.backing_path,
    )
