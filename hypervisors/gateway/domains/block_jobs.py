"""Jobs on a running domain's disk: copy it elsewhere, merge what is above a file into it, or what is below into it.

https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainBlockCopy. A job outlives who asked for it, and ends with
its QEMU. One that mirrors (a copy, a commit of what is written to) ends only when the domain goes over to the other
file, or the job is ended.
"""

from dataclasses import dataclass
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.libvirtxml.disk_layers import DiskLayer, DiskMirror, disk_layers, disk_mirror

_NOT_READY = libvirt.VIR_ERR_BLOCK_COPY_ACTIVE


@dataclass(frozen=True, kw_only=True)
class DiskJob:
    """How far it is. `mirror` is None for jobs that end by themselves."""

    done_bytes: int
    total_bytes: int
    mirror: DiskMirror | None

    @property
    def is_ready(self) -> bool:
        return self.mirror is not None and self.mirror.is_ready


def read_disk_job(connection: Connection, uuid: UUID, target: str) -> DiskJob | None:
    """The job on the disk ("vda") of a running domain; None where there is none.

    Raises: errors.OperationRefused when the domain is off or has no such disk; other HypervisorErrors.
    """
    with translated(f"read how far the work on {target} is"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        job = domain.blockJobInfo(target, 0)
        if not job:
            return None
        mirror = disk_mirror(domain.XMLDesc(0), target)
    return DiskJob(done_bytes=job["cur"], total_bytes=job["end"], mirror=mirror)


def read_disk_layers(connection: Connection, uuid: UUID, target: str) -> tuple[DiskLayer, ...]:
    """The images of a running disk, the one that is written to first. Raises: errors.HypervisorError."""
    with translated(f"read what {target} is made of"):
        return disk_layers(connection.raw.lookupByUUID(uuid.bytes).XMLDesc(0), target)


def begin_copy(
    connection: Connection, uuid: UUID, target: str, destination_xml: str, *, bytes_per_second: int = 0
) -> None:
    """Copy all that the disk holds into an image of its size that is there already; writes go to both from then on.

    `bytes_per_second`: at most; 0 for as fast as it goes. The job is lost with the domain; then the disk is what it
    was. Raises: errors.HypervisorError.
    """
    parameters = {libvirt.VIR_DOMAIN_BLOCK_COPY_BANDWIDTH: bytes_per_second} if bytes_per_second else {}
    flags = libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
    with translated(f"copy {target}"):
        connection.raw.lookupByUUID(uuid.bytes).blockCopy(target, destination_xml, parameters, flags)


def begin_commit(connection: Connection, uuid: UUID, target: str, *, base_path: str) -> None:
    """Write all that is above the file at `base_path` into it. Raises: errors.HypervisorError."""
    with translated(f"merge {target} into {base_path}"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        domain.blockCommit(target, base_path, None, 0, libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE)


def begin_pull(connection: Connection, uuid: UUID, target: str) -> None:
    """Write all that is below the disk's own image into that. Raises: errors.HypervisorError."""
    with translated(f"make {target} independent"):
        connection.raw.lookupByUUID(uuid.bytes).blockPull(target, 0, 0)


def go_over(connection: Connection, uuid: UUID, target: str) -> bool:
    """Have the domain use the other file from now on, as it runs and as it starts; False while it is not ready.

    Raises: errors.HypervisorError.
    """
    with translated(f"go over to the other image of {target}"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        try:
            domain.blockJobAbort(target, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
        except libvirt.libvirtError as error:
            if error.get_error_code() == _NOT_READY:
                return False
            raise
    return True


def end_disk_job(connection: Connection, uuid: UUID, target: str) -> None:
    """Break it off: the disk stays what it was. None, or a domain that is off, is no error. Raises: HypervisorError."""
    with translated(f"break off the work on {target}"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        if domain.isActive() and domain.blockJobInfo(target, 0):
            domain.blockJobAbort(target, 0)
