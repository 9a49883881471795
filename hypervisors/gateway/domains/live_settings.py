"""What of a running domain is set by calls of its own, not by its devices' XML.

https://libvirt.org/html/libvirt-libvirt-domain.html; each changes what runs and nothing that is stored, and raises
errors.HypervisorError.
"""

from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.libvirtxml.documents import parse_document

_AGENT_CHANNEL, _AGENT_SECONDS = "org.qemu.guest_agent.0", 5
_LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
_LIFECYCLE = {
    "on_poweroff": libvirt.VIR_DOMAIN_LIFECYCLE_POWEROFF,
    "on_reboot": libvirt.VIR_DOMAIN_LIFECYCLE_REBOOT,
    "on_crash": libvirt.VIR_DOMAIN_LIFECYCLE_CRASH,
}
_ACTIONS = {
    "destroy": libvirt.VIR_DOMAIN_LIFECYCLE_ACTION_DESTROY,
    "restart": libvirt.VIR_DOMAIN_LIFECYCLE_ACTION_RESTART,
    "rename-restart": libvirt.VIR_DOMAIN_LIFECYCLE_ACTION_RESTART_RENAME,
    "preserve": libvirt.VIR_DOMAIN_LIFECYCLE_ACTION_PRESERVE,
    "coredump-destroy": libvirt.VIR_DOMAIN_LIFECYCLE_ACTION_COREDUMP_DESTROY,
    "coredump-restart": libvirt.VIR_DOMAIN_LIFECYCLE_ACTION_COREDUMP_RESTART,
}


def plug_vcpus(connection: Connection, uuid: UUID, count: int) -> None:
    """So many are plugged in, more than now."""
    with translated("plug in vCPUs"):
        _domain(connection, uuid).setVcpusFlags(count, _LIVE)


def unplug_vcpus(connection: Connection, uuid: UUID, count: int) -> None:
    """So many are left. The guest has to let go of the others, which it never does with those of its start: where it
    has an agent, that switches them off first, and what it does not let go of then is gone from the next start on."""
    with translated("take vCPUs out"):
        domain = _domain(connection, uuid)
        if has_agent(domain):
            domain.agentSetResponseTimeout(_AGENT_SECONDS)
            domain.setVcpusFlags(count, _LIVE | libvirt.VIR_DOMAIN_VCPU_GUEST)
            with suppress(libvirt.libvirtError):
                domain.setVcpusFlags(count, _LIVE)
        else:
            domain.setVcpusFlags(count, _LIVE)


def has_agent(domain: "libvirt.virDomain") -> bool:
    """Whether a guest agent is connected, as far as libvirt knows."""
    channels = parse_document(domain.XMLDesc(0)).iterfind("devices/channel/target")
    return any(one.get("name") == _AGENT_CHANNEL and one.get("state") == "connected" for one in channels)


def set_memory(connection: Connection, uuid: UUID, memory_kib: int) -> None:
    """The balloon's target; what the guest gives comes in steps, within seconds."""
    with translated("change the memory"):
        _domain(connection, uuid).setMemoryFlags(memory_kib, _LIVE)


def set_memory_report_period(connection: Connection, uuid: UUID, seconds: int) -> None:
    with translated("change how often the guest reports its memory"):
        _domain(connection, uuid).setMemoryStatsPeriod(seconds, _LIVE)


def set_scheduling(connection: Connection, uuid: UUID, parameters: Mapping[str, int]) -> None:
    """ "cpu_shares", "vcpu_period", "vcpu_quota", "emulator_period" … as libvirt names them."""
    with translated("change the share of the processors"):
        _domain(connection, uuid).setSchedulerParametersFlags(dict(parameters), _LIVE)


def set_memory_limits(connection: Connection, uuid: UUID, parameters: Mapping[str, int]) -> None:
    """ "hard_limit", "soft_limit", "swap_hard_limit" in KiB."""
    with translated("change the limits of the memory"):
        _domain(connection, uuid).setMemoryParameters(dict(parameters), _LIVE)


def set_disk_weight(connection: Connection, uuid: UUID, weight: int) -> None:
    with translated("change the share of the disks"):
        _domain(connection, uuid).setBlkioParameters({"weight": weight}, _LIVE)


def set_disk_limits(connection: Connection, uuid: UUID, target: str, parameters: Mapping[str, int]) -> None:
    """ "total_bytes_sec", "read_iops_sec" …; 0: no limit."""
    with translated(f"change the limits of {target}"):
        _domain(connection, uuid).setBlockIoTune(target, dict(parameters), _LIVE)


def pin_vcpu(connection: Connection, uuid: UUID, *, vcpu: int, cpus: frozenset[int] | None) -> None:
    """Have a vCPU run on these processors of the host; None: on any."""
    with translated(f"pin vCPU {vcpu}"):
        _domain(connection, uuid).pinVcpuFlags(vcpu, _cpu_map(connection, cpus), _LIVE)


def pin_emulator(connection: Connection, uuid: UUID, cpus: frozenset[int] | None) -> None:
    with translated("pin the emulator"):
        _domain(connection, uuid).pinEmulator(_cpu_map(connection, cpus), _LIVE)


def set_lifecycle_action(connection: Connection, uuid: UUID, *, event: str, action: str) -> None:
    """ "on_poweroff" and "restart", as in the XML."""
    with translated("change what follows an end"):
        _domain(connection, uuid).setLifecycleAction(_LIFECYCLE[event], _ACTIONS[action], _LIVE)


def set_text(connection: Connection, uuid: UUID, *, title: str | None = None, description: str | None = None) -> None:
    """None: it stays; "": it is removed."""
    texts = {
        libvirt.VIR_DOMAIN_METADATA_TITLE: title,
        libvirt.VIR_DOMAIN_METADATA_DESCRIPTION: description,
    }
    with translated("describe the virtual machine"):
        domain = _domain(connection, uuid)
        for kind, text in texts.items():
            if text is not None:
                domain.setMetadata(kind, text or None, None, None, _LIVE)


def set_io_threads(connection: Connection, uuid: UUID, *, before: int, after: int) -> None:
    """Threads are numbered from one; those that a disk uses cannot go."""
    with translated("change the number of I/O threads"):
        domain = _domain(connection, uuid)
        for number in range(before + 1, after + 1):
            domain.addIOThread(number, _LIVE)
        for number in range(before, after, -1):
            domain.delIOThread(number, _LIVE)


def _cpu_map(connection: Connection, cpus: frozenset[int] | None) -> tuple[bool, ...]:
    count = connection.raw.getCPUMap()[0]
    return tuple(cpus is None or cpu in cpus for cpu in range(count))


def _domain(connection: Connection, uuid: UUID) -> "libvirt.virDomain":
    return connection.raw.lookupByUUID(uuid.bytes)
