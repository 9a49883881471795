"""What a new machine is made of before anybody changes anything: by its system, and by what the pool's hosts can do.

Disks are not in it: they are made where the storage is known. Everything can be changed; nothing is hidden.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hypervisors.libvirtxml.domain_capabilities import DomainCapabilities
from hypervisors.libvirtxml.domain_spec import DomainSpec, GraphicsSpec, InterfaceSpec
from hypervisors.libvirtxml.host_capabilities import HostCapabilities
from hypervisors.osinfo.systems import GENERIC, Q35, OperatingSystem
from hypervisors.planning import device_defaults as devices
from hypervisors.planning.machines import common_machine
from hypervisors.planning.processors import common_values, safe_processor

_GIB_KIB = 1024**2
_DEFAULT_MEMORY_KIB = 2 * _GIB_KIB
_DEFAULT_VCPUS = 2
# How much more may be plugged in while it runs.
_GROWTH = 4
_MOST_VCPUS = 64
# So many can always be plugged in: vCPUs share what the host has.
_FEW_VCPUS = 8
_MOST_MEMORY_KIB = 1024 * _GIB_KIB
# Red Hat's tenth generation does not start on less than the third level of x86-64.
_V3_PREFIXES = ("rhel10", "centos-stream10", "almalinux10", "rocky10", "ol10", "sles16", "opensuse16")


@dataclass(frozen=True, kw_only=True)
class _Hosts:
    """Those that the machine may run on, and what all of them have."""

    arch: str
    virt_type: str
    capabilities: tuple[HostCapabilities, ...]
    domains: tuple[DomainCapabilities, ...] = ()

    def common(self, values: Callable[[DomainCapabilities], Sequence[str]]) -> frozenset[str]:
        return common_values([values(domain) for domain in self.domains])


def machine_defaults(
    system: OperatingSystem | None,
    capabilities: tuple[HostCapabilities, ...],
    *,
    name: str = "new",
    arch: str = "",
    graphics: str = "vnc",
    firmware: str = "",
    secure_boot: bool | None = None,
    windows_drivers: bool = False,
    networks: Sequence[str] = (),
    memory_kib: int = 0,
    vcpus: int = 0,
) -> DomainSpec:
    """`capabilities` are those of the hosts of the pool; of some, KVM is taken wherever it is.

    `firmware` "" and `secure_boot` None: as the system needs it. `windows_drivers`: virtio's driver ISO is in a drive.
    """
    hosts = _hosts(capabilities, arch)
    machine = common_machine(hosts.capabilities, arch=hosts.arch, alias=_alias(system, hosts.arch))
    hosts = _with_domains(hosts, machine)
    screen = _screen(graphics, hosts)
    uefi = _firmware(system, hosts, firmware) == "uefi"
    spec = DomainSpec(
        name=name,
        system="" if system is None else system.osinfo_id,
        arch=hosts.arch,
        machine=machine,
        virt_type=hosts.virt_type,
        cpu=safe_processor(hosts.domains, virt_type=hosts.virt_type, wants_v3=_wants_v3(system)),
        vcpus=vcpus or _vcpus(system),
        memory_kib=memory_kib or _memory_kib(system),
        firmware="uefi" if uefi else "bios",
        secure_boot=_secure_boot(system, hosts, secure_boot) if uefi else False,
        tpm=_tpm(system, hosts) if uefi else "",
        interfaces=tuple(
            InterfaceSpec(
                source=network,
                model=devices.interface_model(system, machine, windows_drivers=windows_drivers),
            )
            for network in networks
        ),
        graphics=screen,
        video=_video(system, hosts, screen, uefi=uefi),
        sound=_sound(screen, machine),
        usb=devices.usb_controller(system, machine),
        scsi_controller=devices.has_scsi(system, windows_drivers=windows_drivers) or hosts.arch == "aarch64",
        rng=devices.has_rng(system, windows_drivers=windows_drivers),
        agent_channel=devices.has_agent_channel(system, windows_drivers=windows_drivers),
        clock="localtime" if system is not None and system.is_windows else "utc",
        hyperv=devices.hyperv_features(system, hosts.common(lambda domain: domain.hyperv_features)),
    )
    return with_room_to_grow(spec, system, capabilities)


def with_room_to_grow(
    spec: DomainSpec, system: OperatingSystem | None, capabilities: Sequence[HostCapabilities]
) -> DomainSpec:
    """The same with more vCPUs and memory that can be plugged in, as far as the guest and the hosts allow it.

    To be called again after memory or vCPUs were changed.
    """
    fixed = replace(spec, vcpus_maximum=0, memory_maximum_kib=0)
    if system is None or not (system.is_linux or system.is_windows) or spec.arch != "x86_64":
        return fixed
    cpu_count = max(_FEW_VCPUS, min((host.cpu_count for host in capabilities if host.cpu_count), default=0))
    memories = [host.memory_kib for host in capabilities if host.memory_kib]
    vcpus = min(_GROWTH * spec.vcpus, _MOST_VCPUS, cpu_count)
    memory = min(_GROWTH * spec.memory_kib, _MOST_MEMORY_KIB, *(memories or [spec.memory_kib]))
    # Memory is plugged in in modules of 128 MiB and more.
    memory -= memory % _GIB_KIB
    return replace(
        fixed,
        vcpus_maximum=vcpus if vcpus > spec.vcpus and not spec.cpu.sockets else 0,
        memory_maximum_kib=memory if memory > spec.memory_kib else 0,
    )


def _hosts(capabilities: Sequence[HostCapabilities], arch: str) -> _Hosts:
    arch = arch or next((host.arch for host in capabilities if host.arch), "x86_64")
    able = [host for host in capabilities if host.guest(arch) is not None]
    with_kvm = [host for host in able if (guest := host.guest(arch)) is not None and "kvm" in guest.virt_types]
    virt_type = "kvm" if with_kvm else "qemu"
    return _Hosts(arch=arch, virt_type=virt_type, capabilities=tuple(with_kvm or able))


def _with_domains(hosts: _Hosts, machine: str) -> _Hosts:
    found = [host.domain(arch=hosts.arch, virt_type=hosts.virt_type, machine=machine) for host in hosts.capabilities]
    return replace(hosts, domains=tuple(domain for domain in found if domain is not None))


def _alias(system: OperatingSystem | None, arch: str) -> str:
    """q35 where the system is said to know it: AHCI and PCI Express are nothing for what is very old."""
    if arch == "aarch64":
        return "virt"
    return "q35" if system is not None and system.drives(Q35) else "pc"


def _screen(graphics: str, hosts: _Hosts) -> tuple[GraphicsSpec, ...]:
    if not graphics:
        return ()
    if graphics == "spice" and "spice" in hosts.common(lambda domain: domain.graphics):
        return (GraphicsSpec(kind="spice"),)
    return (GraphicsSpec(kind="vnc"),)


def _firmware(system: OperatingSystem | None, hosts: _Hosts, wanted: str) -> str:
    if wanted:
        return wanted
    if hosts.arch == "aarch64" or (system is not None and system.needs_uefi):
        return "uefi"
    is_modern_windows = system is not None and system.is_windows and system.supports_uefi
    return "uefi" if is_modern_windows and "efi" in hosts.common(lambda domain: domain.firmwares) else "bios"


def _secure_boot(system: OperatingSystem | None, hosts: _Hosts, wanted: bool | None) -> bool:
    """Windows alone gets it unasked: an unsigned kernel does not start with it."""
    if wanted is not None:
        return wanted
    is_windows = system is not None and system.is_windows
    return is_windows and bool(hosts.domains) and all(domain.has_secure_boot for domain in hosts.domains)


def _tpm(system: OperatingSystem | None, hosts: _Hosts) -> str:
    if system is None or not (system.is_windows and system.needs_uefi):
        return ""
    has_emulator = "emulator" in hosts.common(lambda domain: domain.tpm_backends)
    return "tpm-crb" if has_emulator and "tpm-crb" in hosts.common(lambda domain: domain.tpm_models) else ""


def _video(system: OperatingSystem | None, hosts: _Hosts, screen: tuple[GraphicsSpec, ...], *, uefi: bool) -> str:
    available = hosts.common(lambda domain: domain.video_models)
    if hosts.arch == "aarch64":
        return "virtio"
    spice = any(graphics.kind == "spice" for graphics in screen)
    return devices.video_model(system, available, spice=spice, uefi=uefi)


def _sound(screen: tuple[GraphicsSpec, ...], machine: str) -> str:
    """Only SPICE carries it to where the person is."""
    if not any(graphics.kind == "spice" for graphics in screen):
        return ""
    return "ich9" if "q35" in machine else "ich6"


def _memory_kib(system: OperatingSystem | None) -> int:
    """Recommended, else twice the minimum."""
    chosen = system or GENERIC
    return chosen.recommended.memory_kib or 2 * (chosen.minimum.memory_kib or 0) or _DEFAULT_MEMORY_KIB


def _vcpus(system: OperatingSystem | None) -> int:
    chosen = system or GENERIC
    return chosen.recommended.vcpus or 2 * (chosen.minimum.vcpus or 0) or _DEFAULT_VCPUS


def _wants_v3(system: OperatingSystem | None) -> bool:
    return system is not None and system.short_id.startswith(_V3_PREFIXES)
