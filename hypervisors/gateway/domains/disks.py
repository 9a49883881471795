"""A domain's disks while it runs, https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainBlockResize."""

from uuid import UUID

import libvirt

from hypervisors.errors import NotPossible
from hypervisors.gateway.connections import Connection, translated


def disk_capacity(connection: Connection, domain_uuid: UUID, target: str) -> int:
    """What the guest takes for the size of a disk ("vda"), in bytes. Raises: errors.HypervisorError."""
    with translated(f"read the size of {target}"):
        return int(connection.raw.lookupByUUID(domain_uuid.bytes).blockInfo(target, 0)[0])


def grow_disk(connection: Connection, domain_uuid: UUID, target: str, capacity_bytes: int) -> None:
    """Make a disk of a running domain larger; the guest is told.

    Raises: errors.NotPossible for a smaller size (libvirt would cut the disk off without a word); HypervisorError.
    """
    if disk_capacity(connection, domain_uuid, target) > capacity_bytes:
        raise NotPossible(f"{target} is larger than that: a disk never shrinks while its virtual machine runs.")
    with translated(f"resize {target}"):
        domain = connection.raw.lookupByUUID(domain_uuid.bytes)
        domain.blockResize(target, capacity_bytes, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
