"""What a hypervisor sees of a storage pool that it may share with others: probes, and the identities of its volumes.

A probe is an empty volume of one hypervisor that the others look for. Whoever made one in a folder on the network
reads that folder anew: its own change makes what it had cached worthless. So each makes one of its own.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import libvirt

from hypervisors.errors import NameTaken
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.storage.failures import translated_storage
from hypervisors.gateway.storage.volumes import create_volume, delete_volume
from hypervisors.libvirtxml.storage_pools import is_probe
from hypervisors.libvirtxml.storage_volumes import VolumeSpec, parse_volume

# Enough to find some that another hypervisor has too.
_MOST_IDENTITIES = 100


@dataclass(frozen=True, kw_only=True)
class SharingView:
    """The names of all probes there are, and when volumes were changed: seconds with nanoseconds, by name."""

    probes: frozenset[str]
    changed_at: Mapping[str, str]

    def shows_same_files_as(self, other: "SharingView") -> bool:
        """Whether a file of both was changed at the same nanosecond: nobody can set that time (ctime)."""
        common = self.changed_at.keys() & other.changed_at.keys()
        return any(self.changed_at[name] == other.changed_at[name] for name in common)


def write_probe(connection: Connection, pool_uuid: UUID, name: str) -> None:
    """Make an empty volume; one that is there already is as good. Raises: errors.HypervisorError."""
    with suppress(NameTaken):
        create_volume(connection, pool_uuid, VolumeSpec(name=name, format="raw", capacity_bytes=0))


def remove_probe(connection: Connection, pool_uuid: UUID, name: str) -> None:
    """One that is gone already is no error. Raises: errors.HypervisorError."""
    delete_volume(connection, pool_uuid, name)


def read_sharing(connection: Connection, pool_uuid: UUID) -> SharingView:
    """As libvirt sees it after a look at the storage. Raises: errors.HypervisorError."""
    probes: set[str] = set()
    changed_at: dict[str, str] = {}
    with translated_storage("look what is in the storage pool"):
        pool = connection.raw.storagePoolLookupByUUID(pool_uuid.bytes)
        pool.refresh(0)
        for volume in pool.listAllVolumes():
            # One that is gone meanwhile, or whose name is no text.
            with suppress(libvirt.libvirtError, ValueError):
                name = volume.name()
                if is_probe(name):
                    probes.add(name)
                elif len(changed_at) < _MOST_IDENTITIES:
                    changed_at[name] = parse_volume(volume.XMLDesc(0)).changed_at
    precise = {name: time for name, time in changed_at.items() if _is_precise(time)}
    return SharingView(probes=frozenset(probes), changed_at=precise)


def _is_precise(changed_at: str) -> bool:
    """A file system that counts whole seconds lets two files be changed at the same time."""
    return bool(changed_at.partition(".")[2].strip("0"))
