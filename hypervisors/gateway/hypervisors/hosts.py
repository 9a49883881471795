"""What a hypervisor is and how loaded its machine is, https://libvirt.org/html/libvirt-libvirt-host.html."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.libvirtxml.capabilities import ParsedCapabilities, parse_capabilities, parse_processor_name


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """What seldom changes. Empty or None where the hypervisor does not say."""

    host_uuid: UUID | None
    hostname: str
    architecture: str
    cpu_model: str
    cpu_count: int | None
    cpu_sockets: int | None
    cpu_cores_per_socket: int | None
    cpu_threads_per_core: int | None
    memory_kib: int | None
    libvirt_version: str
    qemu_version: str
    # What libvirt says; that a guest really boots under KVM nobody can tell beforehand.
    kvm_available: bool | None
    machine_types: tuple[str, ...]
    cpu_xml: str
    # Network interfaces, bridges among them; None where the hypervisor does not say.
    interface_names: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class HostLoad:
    """Counters since boot: two readings make a percentage. None where the hypervisor does not say."""

    cpu_busy_nanoseconds: int | None
    cpu_total_nanoseconds: int | None
    memory_used_kib: int | None


def check_answers(connection: Connection) -> None:
    """A round trip to the daemon that needs no lock there. Raises: errors.ConnectionLost."""
    with translated("reach the hypervisor"):
        connection.raw.getLibVersion()


def read_host(connection: Connection) -> HostFacts:
    """Raises: errors.HypervisorError."""
    raw = connection.raw
    with translated("read the host's facts"):
        machine, memory_mib, cpu_count, _mhz, nodes, sockets, cores, threads = raw.getInfo()
        capabilities = _capabilities(raw.getCapabilities())
        return HostFacts(
            host_uuid=capabilities.host_uuid,
            hostname=_optional(raw.getHostname, ""),
            architecture=capabilities.architecture or machine,
            cpu_model=_cpu_model(raw, capabilities),
            cpu_count=cpu_count,
            # virNodeInfo counts sockets per NUMA node.
            cpu_sockets=capabilities.cpu_sockets or sockets * nodes,
            cpu_cores_per_socket=capabilities.cpu_cores_per_socket or cores,
            cpu_threads_per_core=capabilities.cpu_threads_per_core or threads,
            # The same source as that of what is used: nodeinfo counts differently.
            memory_kib=_memory_statistics(connection).get("total") or memory_mib * 1024,
            libvirt_version=_version(_optional(raw.getLibVersion, 0)),
            qemu_version=_version(_optional(raw.getVersion, 0)),
            kvm_available=capabilities.kvm_available,
            machine_types=capabilities.machine_types,
            cpu_xml=capabilities.cpu_xml,
            interface_names=_optional(lambda: tuple(sorted(one.name() for one in raw.listAllInterfaces(0))), None),
        )


def read_host_load(connection: Connection) -> HostLoad:
    """Raises: errors.HypervisorError."""
    with translated("read the host's load"):
        cpu = _optional(lambda: connection.raw.getCPUStats(libvirt.VIR_NODE_CPU_STATS_ALL_CPUS), {})
        memory = _memory_statistics(connection)
    busy = sum(cpu.get(name, 0) for name in ("user", "kernel", "intr"))
    total = busy + sum(cpu.get(name, 0) for name in ("idle", "iowait"))
    free = sum(memory.get(name, 0) for name in ("free", "buffers", "cached"))
    return HostLoad(
        cpu_busy_nanoseconds=busy if cpu else None,
        cpu_total_nanoseconds=total if cpu else None,
        memory_used_kib=max(0, memory["total"] - free) if "total" in memory else None,
    )


def _memory_statistics(connection: Connection) -> dict[str, int]:
    """KiB by libvirt's names; empty where the driver has none."""
    found: dict[str, int] = _optional(
        lambda: connection.raw.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS), {}
    )
    return found


def _capabilities(xml: str) -> ParsedCapabilities:
    try:
        return parse_capabilities(xml)
    except ValueError:
        return ParsedCapabilities()


def _cpu_model(raw: "libvirt.virConnect", capabilities: ParsedCapabilities) -> str:
    sold_as = parse_processor_name(_optional(lambda: raw.getSysinfo(0), ""))
    return (sold_as or " ".join(filter(None, (capabilities.cpu_vendor, capabilities.cpu_model))))[:200]


def _optional(call: Callable[[], Any], default: Any) -> Any:
    """The call's answer, or the default where this driver or this machine cannot give it."""
    try:
        return call()
    except libvirt.libvirtError as error:
        if error.get_error_code() in (
            libvirt.VIR_ERR_NO_SUPPORT,
            libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
            libvirt.VIR_ERR_INTERNAL_ERROR,
            libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        ) and error.get_error_domain() not in (libvirt.VIR_FROM_RPC,):
            return default
        raise


def _version(number: int) -> str:
    """ "9.0.0" for 9000000; empty for 0."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}" if number else ""
