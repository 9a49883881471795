"""Backup jobs: copies of a running domain's disks as they are at one moment; its own disks stay as they are.

https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainBackupBegin
"""

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.libvirtxml.domain_backups import BackupTarget, build_backup
from hypervisors.libvirtxml.domains import parse_domain


def begin_backup(connection: Connection, uuid: UUID, targets: Sequence[BackupTarget]) -> None:
    """Begin to copy these disks, all as of the same moment, into files that must not be there yet; returns at once.

    The job is read and ended like any other, see `jobs`. Raises: errors.HypervisorError.
    """
    with translated("copy the disks of the running virtual machine"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        chosen = {target.disk for target in targets}
        disks = parse_domain(domain.XMLDesc(0)).disks
        # An empty drive can be in no backup, and is not named in one.
        others = [disk.target for disk in disks if disk.source and disk.target not in chosen]
        domain.backupBegin(build_backup(targets, others=others), None)


def has_backed_up(connection: Connection, uuid: UUID) -> bool:
    """Whether the last job that ended was a backup, and ended well. Raises: errors.HypervisorError."""
    flags = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
    with translated("read how the copy went"):
        statistics = connection.raw.lookupByUUID(uuid.bytes).jobStats(flags)
    is_backup = statistics.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP
    return bool(is_backup and statistics.get("type") == libvirt.VIR_DOMAIN_JOB_COMPLETED)


def freeze_file_systems(connection: Connection, uuid: UUID) -> bool:
    """Have the guest write down all it has and hold still, by its agent; False where there is none that can."""
    with suppress(libvirt.libvirtError):
        connection.raw.lookupByUUID(uuid.bytes).fsFreeze()
        return True
    return False


def thaw_file_systems(connection: Connection, uuid: UUID) -> None:
    """Let it go on; no error where it was not frozen, or is gone."""
    with suppress(libvirt.libvirtError):
        connection.raw.lookupByUUID(uuid.bytes).fsThaw()
