"""libvirt's job on a domain (a migration, a save): how far it is, and how to end it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated

_BUSY_JOB_TYPES = {libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED}


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """A running or completed job; None where libvirt does not say."""

    total_bytes: int | None = None
    transferred_bytes: int | None = None
    remaining_bytes: int | None = None
    bytes_per_second: int | None = None
    remaining_seconds: float | None = None
    elapsed_milliseconds: int | None = None
    downtime_milliseconds: int | None = None


def read_job(connection: Connection, uuid: UUID) -> JobProgress | None:
    """The job that runs now, if one does. About a millisecond. Raises: errors.HypervisorError."""
    return _progress(_statistics(connection, uuid, 0))


def read_completed_job(connection: Connection, uuid: UUID) -> JobProgress | None:
    """How the last job went: after a migration, asked of the target."""
    flags = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
    statistics = _statistics(connection, uuid, flags)
    return None if statistics.get("type") != libvirt.VIR_DOMAIN_JOB_COMPLETED else _values(statistics)


def abort_job(connection: Connection, uuid: UUID) -> None:
    """Ask the job to end; the call that runs it raises errors.OperationAborted soon. Raises: errors.HypervisorError."""
    with translated("cancel what the virtual machine is doing"):
        connection.raw.lookupByUUID(uuid.bytes).abortJob()


def _statistics(connection: Connection, uuid: UUID, flags: int) -> dict[str, Any]:
    with translated("read how far it is"):
        statistics: dict[str, Any] = connection.raw.lookupByUUID(uuid.bytes).jobStats(flags)
        return statistics


def _progress(statistics: dict[str, Any]) -> JobProgress | None:
    return _values(statistics) if statistics.get("type") in _BUSY_JOB_TYPES else None


def _values(statistics: dict[str, Any]) -> JobProgress:
    remaining, speed = statistics.get("data_remaining"), _speed(statistics)
    seconds = statistics["time_remaining"] / 1000 if statistics.get("time_remaining") else None
    if seconds is None and speed and remaining is not None:
        seconds = remaining / speed
    return JobProgress(
        total_bytes=statistics.get("data_total"),
        transferred_bytes=statistics.get("data_processed"),
        remaining_bytes=remaining,
        bytes_per_second=speed,
        remaining_seconds=None if seconds is None else round(seconds, 1),
        elapsed_milliseconds=statistics.get("time_elapsed"),
        downtime_milliseconds=statistics.get("downtime"),
    )


def _speed(statistics: dict[str, Any]) -> int | None:
    speeds = [statistics[name] for name in ("memory_bps", "disk_bps") if name in statistics]
    return sum(speeds) if speeds else None
