"""Files of a hypervisor that are in no storage pool: reached through one that exists only for the moment.

https://libvirt.org/html/libvirt-libvirt-storage.html#virStoragePoolCreateXML
"""

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import libvirt

from hypervisors.errors import StorageBusy
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.failures import is_missing, message_of
from hypervisors.gateway.storage.failures import translated_storage
from hypervisors.libvirtxml.momentary_pools import build_directory_pool, is_momentary_pool, momentary_pool_name
from hypervisors.libvirtxml.storage_pools import parse_storage_pool
from hypervisors.libvirtxml.storage_volumes import VolumeFormat, VolumeSpec, build_volume, parse_volume

_SOURCE_CONFLICT = "source conflict"


def delete_loose_file(connection: Connection, path: str, *, token: str) -> None:
    """Delete the file; one that is gone, with its directory or without, is no error.

    `token` names what is done: a pool that a caller with the same token has left over is used and taken away.
    Raises: errors.StorageBusy, and other HypervisorErrors.
    """
    directory, name = posixpath.split(posixpath.normpath(path))
    with translated_storage(f"delete {path}"):
        try:
            with _pool_of(connection.raw, directory, token) as pool:
                pool.storageVolLookupByName(name).delete(0)
        except libvirt.libvirtError as error:
            if not is_missing(error) and "No such file or directory" not in message_of(error):
                raise


def loose_file_exists(connection: Connection, path: str, *, token: str) -> bool:
    """Whether there is such a file. Raises: errors.HypervisorError."""
    directory, name = posixpath.split(posixpath.normpath(path))
    with translated_storage(f"look for {path}"):
        try:
            with _pool_of(connection.raw, directory, token) as pool:
                return name in pool.listVolumes()
        except libvirt.libvirtError as error:
            if is_missing(error) or "No such file or directory" in message_of(error):
                return False
            raise


def copy_loose_file(connection: Connection, path: str, name: str, *, token: str) -> None:
    """Copy a small file under another name in its directory. Raises: errors.NotFound, NameTaken, StorageBusy …"""
    directory, source_name = posixpath.split(posixpath.normpath(path))
    with translated_storage(f"copy {path}"), _pool_of(connection.raw, directory, token) as pool:
        source = pool.storageVolLookupByName(source_name)
        found = parse_volume(source.XMLDesc(0))
        format_: VolumeFormat = "qcow2" if found.format == "qcow2" else "raw"
        spec = VolumeSpec(name=name, format=format_, capacity_bytes=found.capacity_bytes)
        pool.createXMLFrom(build_volume(spec), source, 0)


@contextmanager
def _pool_of(raw: "libvirt.virConnect", directory: str, token: str) -> Iterator[Any]:
    """The storage pool over the directory: one that is there, else one that is gone afterwards."""
    pool, is_ours = _open(raw, directory, momentary_pool_name(token))
    try:
        yield pool
    finally:
        if is_ours:
            with suppress(libvirt.libvirtError):
                pool.destroy()


def _open(raw: "libvirt.virConnect", directory: str, name: str) -> tuple[Any, bool]:
    with suppress(libvirt.libvirtError):
        return raw.storagePoolLookupByName(name), True
    try:
        return raw.storagePoolCreateXML(build_directory_pool(name, directory), 0), True
    except libvirt.libvirtError as error:
        if _SOURCE_CONFLICT not in message_of(error):
            raise
    return _that_has(raw, directory), False


def _that_has(raw: "libvirt.virConnect", directory: str) -> Any:
    """Raises: errors.StorageBusy when it is somebody's for a moment, or is not started."""
    for pool in raw.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        target = parse_storage_pool(pool.XMLDesc(0)).target_path
        if target and posixpath.normpath(target) == directory and not is_momentary_pool(pool.name()):
            pool.refresh(0)
            return pool
    raise StorageBusy(f"A storage pool holds {directory}, and cannot be used now; try again when it is started.")
