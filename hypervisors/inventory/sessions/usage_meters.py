"""Counters turned into usage: percentages and bytes per second between two readings."""

import time
from collections.abc import Iterable
from uuid import UUID

from hypervisors.gateway.domains.statistics import DomainStatistics
from hypervisors.gateway.hypervisors.hosts import HostLoad
from hypervisors.models.usage import UsageSample


class UsageMeter:
    """Remembers the reading before. A counter that went back (the guest was started anew) gives 0, never less."""

    def __init__(self) -> None:
        self._before: dict[UUID, tuple[float, DomainStatistics]] = {}
        self._host_before: HostLoad | None = None

    def measure(self, readings: Iterable[DomainStatistics], *, epoch: int, now: float) -> dict[UUID, UsageSample]:
        """Samples of the domains that were in the reading before too. `now` is time.monotonic()."""
        samples: dict[UUID, UsageSample] = {}
        current: dict[UUID, tuple[float, DomainStatistics]] = {}
        for reading in readings:
            before = self._before.get(reading.uuid)
            if not reading.is_complete:
                # What is missing would read as counters that went back.
                if before is not None:
                    current[reading.uuid] = before
                continue
            current[reading.uuid] = (now, reading)
            if before is not None and reading.cpu_nanoseconds is not None and now > before[0]:
                samples[reading.uuid] = _sample(before[1], reading, epoch=epoch, seconds=now - before[0])
        self._before = current
        return samples

    def measure_host(self, load: HostLoad, domains: Iterable[UsageSample], *, epoch: int) -> UsageSample | None:
        """The host's CPU and memory, and the sum of its domains' disk and network traffic; None the first time."""
        before, self._host_before = self._host_before, load
        percent = None if before is None else _host_percent(before, load)
        if percent is None:
            return None
        domains = list(domains)
        return UsageSample(
            epoch=epoch,
            cpu_percent=percent,
            memory_kib=load.memory_used_kib,
            disk_read_bytes_per_second=sum(d.disk_read_bytes_per_second for d in domains),
            disk_write_bytes_per_second=sum(d.disk_write_bytes_per_second for d in domains),
            net_receive_bytes_per_second=sum(d.net_receive_bytes_per_second for d in domains),
            net_transmit_bytes_per_second=sum(d.net_transmit_bytes_per_second for d in domains),
        )


class AnswerJudge:
    """Tells which domains' QEMU stopped answering: those whose statistics stay incomplete twice running."""

    def __init__(self) -> None:
        # How many sweeps in a row were incomplete, of every domain in the last one.
        self._incomplete: dict[UUID, int] = {}

    def judge(self, readings: Iterable[DomainStatistics]) -> dict[UUID, bool]:
        """The changes since the last call; and those met for the first time that answer: a row may say otherwise."""
        before = self._incomplete
        self._incomplete = {
            reading.uuid: 0 if reading.is_complete else before.get(reading.uuid, 0) + 1 for reading in readings
        }
        changes: dict[UUID, bool] = {}
        for uuid, count in self._incomplete.items():
            if count == 0 and before.get(uuid) != 0:
                changes[uuid] = True
            elif count == _SWEEPS_TO_BELIEVE:
                changes[uuid] = False
        return changes


# A job such as a migration may hold the monitor for one sweep.
_SWEEPS_TO_BELIEVE = 2


def _sample(before: DomainStatistics, after: DomainStatistics, *, epoch: int, seconds: float) -> UsageSample:
    cpu_seconds = _gain(before.cpu_nanoseconds, after.cpu_nanoseconds) / 1e9
    return UsageSample(
        epoch=epoch,
        cpu_percent=min(100.0, 100.0 * cpu_seconds / seconds / max(1, after.vcpu_count)),
        memory_kib=after.memory_used_kib,
        disk_read_bytes_per_second=_gain(before.disk_read_bytes, after.disk_read_bytes) / seconds,
        disk_write_bytes_per_second=_gain(before.disk_write_bytes, after.disk_write_bytes) / seconds,
        net_receive_bytes_per_second=_gain(before.net_receive_bytes, after.net_receive_bytes) / seconds,
        net_transmit_bytes_per_second=_gain(before.net_transmit_bytes, after.net_transmit_bytes) / seconds,
    )


def _gain(before: int | None, after: int | None) -> int:
    return 0 if before is None or after is None else max(0, after - before)


def _host_percent(before: HostLoad, after: HostLoad) -> float | None:
    if after.cpu_busy_nanoseconds is None or before.cpu_busy_nanoseconds is None:
        return None
    total = _gain(before.cpu_total_nanoseconds, after.cpu_total_nanoseconds)
    busy = _gain(before.cpu_busy_nanoseconds, after.cpu_busy_nanoseconds)
    return min(100.0, 100.0 * busy / total) if total else 0.0


def monotonic_and_epoch() -> tuple[float, int]:
    """Both clocks of one moment."""
    return time.monotonic(), int(time.time())
