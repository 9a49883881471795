"""What is done to a storage pool itself, https://libvirt.org/html/libvirt-libvirt-storage.html#virStoragePoolPtr.

libvirt deletes no file when it stops or undefines one. Starting and building may wait as long as the storage does.
"""

from typing import Literal
from uuid import UUID

import libvirt

from hypervisors import errors
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.definitions import Definitions
from hypervisors.gateway.failure_rules import rule
from hypervisors.gateway.storage.storage_pools import definition_xml, read_storage_pool
from hypervisors.libvirtxml.storage_pools import parse_storage_pool


def find_storage_pool_at(connection: Connection, target_path: str) -> str | None:
    """The name of an active storage pool with this target path; None when there is none.

    libvirt itself refuses it only when both are started. Raises: errors.HypervisorError.
    """
    with STORAGE_POOLS.translated("look which storage pools there are"):
        for pool in connection.raw.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            try:
                if target_path and parse_storage_pool(pool.XMLDesc(0)).target_path.rstrip("/") == target_path:
                    return str(pool.name())
            except (libvirt.libvirtError, ValueError):
                # Gone meanwhile, or not ours to judge.
                continue
    return None


Building = Literal["folder", "format", "overwrite"]


def build_storage_pool(connection: Connection, pool_uuid: UUID, building: Building) -> None:
    """Make the folder; "format" writes onto the disk what the type needs, "overwrite" also where it holds something.

    Raises: errors.StorageHoldsData, and others.
    """
    with STORAGE_POOLS.translated("build the storage pool"):
        STORAGE_POOLS.get(connection, pool_uuid).build(_BUILD_FLAGS[building])


_BUILD_FLAGS = {
    "folder": 0,
    "format": libvirt.VIR_STORAGE_POOL_BUILD_NO_OVERWRITE,
    "overwrite": libvirt.VIR_STORAGE_POOL_BUILD_OVERWRITE,
}


def delete_storage_behind(connection: Connection, pool_uuid: UUID) -> None:
    """Delete what a stopped storage pool is made of: its empty folder, its volume group. Nothing brings it back."""
    with STORAGE_POOLS.translated("delete the storage behind the storage pool"):
        pool = STORAGE_POOLS.find(connection, pool_uuid)
        if pool is not None:
            pool.delete(0)


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

STORAGE_POOLS = Definitions(
    noun="storage pool",
    by_uuid=libvirt.virConnect.storagePoolLookupByUUID,
    by_name=libvirt.virConnect.storagePoolLookupByName,
    define_xml=libvirt.virConnect.storagePoolDefineXML,
    definition_of=definition_xml,
    read=read_storage_pool,
    rules=_RULES,
)
