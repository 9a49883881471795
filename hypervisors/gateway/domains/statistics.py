"""The counters of all running domains in one call, https://libvirt.org/html/libvirt-libvirt-domain.html#virConnectGetAllDomainStats."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.libvirtxml.memory_balloons import ParsedMemoryBalloon, parse_memory_balloon

_GROUPS = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_VCPU
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
# NOWAIT: a domain whose QEMU is busy or hung comes back with what needs no answer of it. The very first such call
# after a QEMU hangs blocks nevertheless, hence a connection and a watchdog of their own for this.
_FLAGS = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainStatistics:
    """One running domain's counters since it was started (bytes, nanoseconds); None where nothing was said."""

    uuid: UUID
    # libvirt's number of this run of it; another one after it was started anew.
    run: int
    cpu_nanoseconds: int | None
    vcpu_count: int
    # What its balloon's driver said last, which may be long ago: inside the guest, without caches.
    memory_used_kib: int | None
    # When that was, by the host's clock; None when it never said anything.
    memory_told_at: int | None
    disk_read_bytes: int
    disk_write_bytes: int
    net_receive_bytes: int
    net_transmit_bytes: int
    # False when what only its QEMU can tell is missing: it is busy, or it hangs.
    is_complete: bool


def read_domain_statistics(connection: Connection) -> list[DomainStatistics]:
    """Raises: errors.HypervisorError. May block for as long as one QEMU hangs."""
    with translated("read the statistics of the virtual machines"):
        return [_statistics(domain, record) for domain, record in raw_statistics(connection)]


def read_memory_balloon(connection: Connection, uuid: UUID) -> ParsedMemoryBalloon:
    """As the running domain has it now. Raises: errors.HypervisorError."""
    with translated("read the memory balloon of a virtual machine"):
        return parse_memory_balloon(connection.raw.lookupByUUID(uuid.bytes).XMLDesc(0))


def request_memory_statistics(connection: Connection, uuid: UUID, *, period_seconds: int) -> None:
    """Have the balloon's driver tell every so often; for this run of the domain only, not in its definition.

    Waits for the domain's QEMU. Raises: errors.HypervisorError.
    """
    with translated("ask a virtual machine for its memory statistics"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        domain.setMemoryStatsPeriod(period_seconds, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def raw_statistics(connection: Connection) -> list[tuple[Any, dict[str, Any]]]:
    """libvirt's records as they are."""
    records: list[tuple[Any, dict[str, Any]]] = connection.raw.getAllDomainStats(_GROUPS, _FLAGS)
    return records


def _statistics(domain: Any, record: dict[str, Any]) -> DomainStatistics:
    return DomainStatistics(
        uuid=UUID(bytes=domain.UUID()),
        run=domain.ID(),
        cpu_nanoseconds=record.get("cpu.time"),
        vcpu_count=record.get("vcpu.current") or 1,
        memory_used_kib=_memory_used_kib(record),
        memory_told_at=record.get("balloon.last-update") or None,
        disk_read_bytes=_sum(record, "block", "rd.bytes"),
        disk_write_bytes=_sum(record, "block", "wr.bytes"),
        net_receive_bytes=_sum(record, "net", "rx.bytes"),
        net_transmit_bytes=_sum(record, "net", "tx.bytes"),
        is_complete=_is_complete(record),
    )


def _memory_used_kib(record: dict[str, Any]) -> int | None:
    available = record.get("balloon.available")
    unused = record.get("balloon.usable", record.get("balloon.unused"))
    return max(0, int(available) - int(unused)) if available and unused is not None else None


def _sum(record: dict[str, Any], group: str, counter: str) -> int:
    return sum(record.get(f"{group}.{i}.{counter}", 0) for i in range(record.get(f"{group}.count", 0)))


def _is_complete(record: dict[str, Any]) -> bool:
    """Without the domain's job lock, which a hung QEMU holds, libvirt 9 leaves out what QEMU's process occupies.

    The test driver gives state.* alone, which is all it has.
    """
    return "balloon.rss" in record or "cpu.time" not in record
