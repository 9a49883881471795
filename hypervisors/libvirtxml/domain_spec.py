"""A domain that is to be made, as one frozen value; `domain_builder` makes XML of it.

Plain values throughout: `to_json` and `domain_spec_from_json` take it into an operation's row and back.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from lxml import etree

from hypervisors.libvirtxml.device_specs import (
    VIDEO_MODELS,
    BackingSpec,
    DiskSpec,
    GraphicsSpec,
    InterfaceSpec,
    NetworkSource,
)
from hypervisors.libvirtxml.documents import parse_document
from hypervisors.libvirtxml.spec_checks import (
    check_between,
    check_line,
    check_name,
    check_one_of,
    check_path,
    check_text,
    check_word,
)
from hypervisors.libvirtxml.spec_json import spec_from_json, spec_to_json

__all__ = [
    "BackingSpec",
    "CpuSpec",
    "DiskSpec",
    "DomainSpec",
    "GraphicsSpec",
    "InterfaceSpec",
    "NetworkSource",
    "domain_spec_from_json",
]

CPU_MODES = ("", "host-model", "host-passthrough", "maximum", "custom")
HYPERV_FEATURES = (
    "relaxed", "vapic", "spinlocks", "vpindex", "runtime", "synic", "stimer", "reset", "frequencies",
    "reenlightenment", "tlbflush", "ipi", "evmcs",
)  # fmt: skip
_MIN_MEMORY_KIB = 16 * 1024
_MAX_MEMORY_KIB = 64 * 1024**3
_MAX_VCPUS = 4096
_MAX_DEVICES = 200


@dataclass(frozen=True, kw_only=True)
class CpuSpec:
    """The processor that the guest sees. Zeros: one socket with as many cores as the most vCPUs."""

    mode: str = "host-model"  # empty: the hypervisor's default
    model: str = ""  # of "custom", for example "Skylake-Client"
    sockets: int = 0
    cores: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        check_one_of(self.mode, CPU_MODES, "CPU mode")
        check_word(self.model, "CPU model", may_be_empty=True)
        if (self.mode == "custom") != bool(self.model):
            raise ValueError("A CPU model is named exactly where the CPU mode is “custom”.")
        for count, what in ((self.sockets, "sockets"), (self.cores, "cores"), (self.threads, "threads")):
            check_between(count, 0, _MAX_VCPUS, f"number of {what}")
        if len({bool(self.sockets), bool(self.cores), bool(self.threads)}) > 1:
            raise ValueError("A CPU topology is given as sockets, cores and threads, or not at all.")


@dataclass(frozen=True, kw_only=True)
class DomainSpec:
    """Everything of a new domain. Raises: ValueError, fit for an operator, when it cannot be one.

    The boot order is that of the devices (`boot_order`); with none given, the disks in their order and then the rest.
    """

    name: str
    uuid: str = ""  # empty: libvirt chooses one
    title: str = ""
    description: str = ""
    system: str = ""  # libosinfo's identifier of the guest's system, "http://debian.org/debian/11"

    arch: str = "x86_64"
    machine: str = "q35"
    virt_type: str = "kvm"  # "qemu": plain emulation
    emulator: str = ""  # empty: the hypervisor's own

    vcpus: int = 1
    vcpus_maximum: int = 0  # what may be plugged in while it runs; 0: no more than `vcpus`
    cpu: CpuSpec = CpuSpec()
    memory_kib: int = 1024 * 1024
    memory_maximum_kib: int = 0  # as `vcpus_maximum`
    memory_slots: int = 16

    firmware: str = "bios"  # or "uefi"
    secure_boot: bool = False
    enrolled_keys: bool | None = None  # None: exactly with secure boot
    tpm: str = ""  # "tpm-crb", "tpm-tis": emulated, version 2.0

    kernel_path: str = ""  # booted directly, past the firmware
    initrd_path: str = ""
    cmdline: str = ""

    disks: tuple[DiskSpec, ...] = ()
    interfaces: tuple[InterfaceSpec, ...] = ()
    graphics: tuple[GraphicsSpec, ...] = (GraphicsSpec(),)
    video: str = "virtio"
    sound: str = ""  # "ich9", …
    usb: str = "qemu-xhci"  # the USB controller; empty: none
    tablet: bool = True
    scsi_controller: bool = True  # virtio-scsi, so that disks can be plugged in by the hundred
    rng: bool = True
    agent_channel: bool = True
    balloon: bool = True
    watchdog: str = ""  # "i6300esb", "itco"

    acpi: bool = True
    clock: str = "utc"  # or "localtime"
    hyperv: tuple[str, ...] = ()
    on_reboot: str = "restart"  # "destroy": an installer's reboot powers it off
    spare_root_ports: int = 8  # free after all devices have theirs; of PCI Express machines only
    legacy_pci_bridge: bool = True  # so that devices of conventional PCI can be plugged in too

    autostart: bool = False  # not in the XML: libvirt is told by itself
    metadata: tuple[str, ...] = ()  # XML elements, each of a namespace of its own, as texts

    def __post_init__(self) -> None:
        self._check_identity()
        self._check_machine()
        self._check_sizes()
        self._check_firmware()
        self._check_devices()
        check_metadata(self.metadata)

    @property
    def most_vcpus(self) -> int:
        return max(self.vcpus, self.vcpus_maximum)

    @property
    def most_memory_kib(self) -> int:
        return max(self.memory_kib, self.memory_maximum_kib)

    @property
    def is_pci_express(self) -> bool:
        return self.machine == "q35" or "-q35-" in self.machine or self.machine.split("-")[0] == "virt"

    def to_json(self) -> dict[str, Any]:
        return spec_to_json(self)

    def _check_identity(self) -> None:
        check_name(self.name)
        check_line(self.title, "title")
        check_text(self.description, "description")
        check_line(self.system, "identifier of the system")
        if self.uuid:
            try:
                UUID(self.uuid)
            except ValueError:
                raise ValueError("A virtual machine's UUID has 32 hexadecimal digits.") from None

    def _check_machine(self) -> None:
        check_word(self.arch, "architecture")
        check_word(self.machine, "machine type")
        check_one_of(self.virt_type, ("kvm", "qemu"), "way to run a virtual machine")
        if self.emulator:
            check_path(self.emulator, "emulator")
        check_one_of(self.clock, ("utc", "localtime"), "clock")
        check_one_of(self.on_reboot, ("restart", "destroy"), "way to reboot")
        for feature in self.hyperv:
            check_one_of(feature, HYPERV_FEATURES, "Hyper-V enlightenment")

    def _check_sizes(self) -> None:
        check_between(self.vcpus, 1, _MAX_VCPUS, "number of vCPUs")
        check_between(self.vcpus_maximum, 0, _MAX_VCPUS, "largest number of vCPUs")
        check_between(self.memory_kib, _MIN_MEMORY_KIB, _MAX_MEMORY_KIB, "memory in KiB")
        check_between(self.memory_maximum_kib, 0, _MAX_MEMORY_KIB, "largest memory in KiB")
        check_between(self.memory_slots, 1, 255, "number of memory slots")
        check_between(self.spare_root_ports, 0, 32, "number of spare PCI Express ports")
        topology = self.cpu.sockets * self.cpu.cores * self.cpu.threads
        if topology and topology != self.most_vcpus:
            raise ValueError(
                f"{self.cpu.sockets} sockets with {self.cpu.cores} cores of {self.cpu.threads} threads make "
                f"{topology} vCPUs, not {self.most_vcpus}."
            )

    def _check_firmware(self) -> None:
        check_one_of(self.firmware, ("bios", "uefi"), "firmware")
        check_one_of(self.tpm, ("", "tpm-crb", "tpm-tis"), "model of a TPM")
        if self.secure_boot and self.firmware != "uefi":
            raise ValueError("Secure Boot needs UEFI.")
        if self.secure_boot and not self.is_pci_express:
            raise ValueError("Secure Boot needs a q35 machine.")
        for path, what in ((self.kernel_path, "kernel"), (self.initrd_path, "initial RAM disk")):
            if path:
                check_path(path, what)
        check_line(self.cmdline, "kernel's command line")
        if (self.initrd_path or self.cmdline) and not self.kernel_path:
            raise ValueError("An initial RAM disk or a command line needs a kernel.")

    def _check_devices(self) -> None:
        check_one_of(self.video, VIDEO_MODELS, "video model")
        check_word(self.sound, "sound model", may_be_empty=True)
        check_word(self.usb, "USB controller", may_be_empty=True)
        check_one_of(self.watchdog, ("", "i6300esb", "itco", "ib700"), "watchdog")
        if self.watchdog == "itco" and not self.is_pci_express:
            raise ValueError("The iTCO watchdog is part of q35 machines.")
        if self.tablet and not self.usb:
            raise ValueError("A tablet needs a USB controller.")
        if len(self.disks) + len(self.interfaces) > _MAX_DEVICES:
            raise ValueError(f"A virtual machine is made with at most {_MAX_DEVICES} disks and network cards.")
        if self.is_pci_express and any(disk.bus == "ide" for disk in self.disks):
            raise ValueError("A PCI Express machine has no IDE; SATA is the nearest to it.")
        orders = [disk.boot_order for disk in self.disks] + [interface.boot_order for interface in self.interfaces]
        if repeated := _repeated(order for order in orders if order is not None):
            raise ValueError(f"Two devices cannot both be number {repeated[0]} in the boot order.")
        if repeated := _repeated(interface.mac.lower() for interface in self.interfaces if interface.mac):
            raise ValueError(f"Two network cards cannot both have the address {repeated[0]}.")
        if repeated := _repeated(disk.path for disk in self.disks if disk.path and not disk.readonly):
            raise ValueError(f"The same image stands twice among the disks: {repeated[0]}")


def domain_spec_from_json(stored: object) -> DomainSpec:
    """What `to_json` gave. Raises: ValueError, fit for an operator."""
    return spec_from_json(DomainSpec, stored)


def check_metadata(elements: Iterable[str]) -> tuple[etree._Element, ...]:
    """The elements, each of a namespace of its own: libvirt keeps one of each. Raises: ValueError."""
    parsed = tuple(parse_document(element) for element in elements)
    namespaces = [etree.QName(element).namespace for element in parsed]
    if None in namespaces or _repeated(namespaces) or _LIBOSINFO in namespaces:
        raise ValueError("Each element of a virtual machine's metadata has a namespace of its own.")
    return parsed


_LIBOSINFO = "http://libosinfo.org/xmlns/libvirt/domain/1.0"


def _repeated(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]
