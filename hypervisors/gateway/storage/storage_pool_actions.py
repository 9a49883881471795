"""What is done to a storage pool itself, https://libvirt.org/html/libvirt-libvirt-storage.html#virStoragePoolPtr.

libvirt deletes no file when it stops or undefines one. Starting and building may wait as long as the storage does.
"""

from contextlib import AbstractContextManager
from typing import Any, Literal
from uuid import UUID

import libvirt

from hypervisors import errors
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.failure_rules import rule, translated_by
from hypervisors.gateway.failures import is_missing
from hypervisors.gateway.storage.storage_pools import definition_xml, read_storage_pool
from hypervisors.libvirtxml.storage_pools import parse_storage_pool


def find_storage_pool_uuid(connection: Connection, name: str) -> UUID | None:
    """By its name; None when there is none. Raises: errors.HypervisorError."""
    with _translated(f"look for storage pool {name}"):
        try:
            return UUID(bytes=connection.raw.storagePoolLookupByName(name).UUID())
        except libvirt.libvirtError as error:
            if is_missing(error):
                return None
            raise


def find_storage_pool_at(connection: Connection, target_path: str) -> str | None:
    """The name of an active storage pool with this target path; None when there is none.

    libvirt itself refuses it only when both are started. Raises: errors.HypervisorError.
    """
    with _translated("look which storage pools there are"):
        for pool in connection.raw.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            try:
                if target_path and parse_storage_pool(pool.XMLDesc(0)).target_path.rstrip("/") == target_path:
                    return str(pool.name())
            except (libvirt.libvirtError, ValueError):
                # Gone meanwhile, or not ours to judge.
                continue
    return None


def read_definition(connection: Connection, pool_uuid: UUID) -> str | None:
    """The XML that it is defined by; None when there is no such storage pool. Raises: errors.HypervisorError."""
    with _translated("read the storage pool's definition"):
        pool = _find(connection, pool_uuid)
        return None if pool is None else definition_xml(pool)


def define_storage_pool(connection: Connection, xml: str) -> UUID:
    """Define it, or change the definition of the one that has its UUID. Raises: errors.NameTaken, and others."""
    with _translated("define the storage pool"):
        return UUID(bytes=connection.raw.storagePoolDefineXML(xml, 0).UUID())


def undefine_storage_pool(connection: Connection, pool_uuid: UUID) -> None:
    """One that is stopped. One that is not there is gone already: no error."""
    with _translated("remove the storage pool's definition"):
        pool = _find(connection, pool_uuid)
        if pool is not None:
            pool.undefine()


Building = Literal["folder", "format", "overwrite"]


def build_storage_pool(connection: Connection, pool_uuid: UUID, building: Building) -> None:
    """Make the folder; "format" writes onto the disk what the type needs, "overwrite" also where it holds something.

    Raises: errors.StorageHoldsData, and others.
    """
    with _translated("build the storage pool"):
        _get(connection, pool_uuid).build(_BUILD_FLAGS[building])


_BUILD_FLAGS = {
    "folder": 0,
    "format": libvirt.VIR_STORAGE_POOL_BUILD_NO_OVERWRITE,
    "overwrite": libvirt.VIR_STORAGE_POOL_BUILD_OVERWRITE,
}


def start_storage_pool(connection: Connection, pool_uuid: UUID) -> None:
    """One that is started already stays so: no error. Raises: errors.FolderMissing, StorageConflict, and others."""
    with _translated("start the storage pool"):
        pool = _get(connection, pool_uuid)
        if not pool.isActive():
            pool.create(0)


def stop_storage_pool(connection: Connection, pool_uuid: UUID) -> None:
    """One that is stopped, or gone, is no error. Raises: errors.StorageBusy while volumes are made, and others."""
    with _translated("stop the storage pool"):
        pool = _find(connection, pool_uuid)
        if pool is not None and pool.isActive():
            pool.destroy()


def delete_storage_behind(connection: Connection, pool_uuid: UUID) -> None:
    """Delete what a stopped storage pool is made of: its empty folder, its volume group. Nothing brings it back."""
    with _translated("delete the storage behind the storage pool"):
        pool = _find(connection, pool_uuid)
        if pool is not None:
            pool.delete(0)


def set_storage_pool_autostart(connection: Connection, pool_uuid: UUID, *, autostart: bool) -> None:
    with _translated("change whether the storage pool starts with its host"):
        _get(connection, pool_uuid).setAutostart(int(autostart))


def is_storage_pool_active(connection: Connection, pool_uuid: UUID) -> bool:
    """False for one that is not there."""
    facts = read_storage_pool(connection, pool_uuid)
    return facts is not None and facts.active


def _get(connection: Connection, pool_uuid: UUID) -> Any:
    return connection.raw.storagePoolLookupByUUID(pool_uuid.bytes)


def _find(connection: Connection, pool_uuid: UUID) -> Any:
    try:
        return _get(connection, pool_uuid)
    except libvirt.libvirtError as error:
        if is_missing(error):
            return None
        raise


def _translated(what: str) -> AbstractContextManager[None]:
    return translated_by(_RULES, what)


# The first match wins.
_RULES = [
    rule(
        "asynchronous jobs running",
        errors.StorageBusy,
        "A volume of this storage pool is being made or copied; try again when that has ended.",
    ),
    rule(
        "source conflict",
        errors.StorageConflict,
        "Another storage pool of this host is on the same storage: use that one, or stop it first.",
    ),
    rule(
        "already exists with uuid|already defined",
        errors.NameTaken,
        "A storage pool of this host has that name already.",
    ),
    rule(
        "pool already built|forced overwrite",
        errors.StorageHoldsData,
        "Nothing was written. Use it as it is, without formatting, or choose to overwrite what is on it.",
        code=libvirt.VIR_ERR_STORAGE_POOL_BUILT,
    ),
    rule(
        "missing backend for pool type",
        errors.OperationRefused,
        "The host's libvirt cannot do this type: install its storage driver there "
        "(on Debian libvirt-daemon-driver-storage-… of that type).",
    ),
    rule("mount point does not exist", errors.FolderMissing, "Have the folder created."),
    rule("cannot open directory .*no such file", errors.FolderMissing, "Have the folder created."),
    rule(
        "special device .* does not exist|source device does not exist|device path .* doesn't exist"
        "|could not open .*no such file",
        errors.DeviceMissing,
        "Check its path on that host.",
    ),
    rule(
        "unknown filesystem type",
        errors.OperationRefused,
        "The host cannot mount this kind: its mount helper is not installed (for NFS, on Debian, nfs-common).",
    ),
    rule(
        "wrong fs type|does not match the expected format",
        errors.OperationRefused,
        "What is on the disk is not of that format: have it formatted, or choose another format.",
    ),
    rule(
        "directory not empty",
        errors.StorageHoldsData,
        "Something is in it that is no volume; look at it on the host.",
    ),
    rule(
        "(target|device) is busy|logical volume .* in use",
        errors.OperationRefused,
        "Something on the host still uses it: a virtual machine, or somebody's shell in that folder.",
    ),
    rule(
        r"cannot execute binary|unexpected exit status 127",
        errors.OperationRefused,
        "A program that this type needs is not installed on the host.",
    ),
]
