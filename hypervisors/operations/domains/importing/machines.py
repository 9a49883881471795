"""The machine that an appliance becomes here: our defaults for its system, with the hardware that it asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hypervisors.imaging.ovf import Appliance, ApplianceCard
from hypervisors.libvirtxml.device_specs import DiskSpec, InterfaceSpec
from hypervisors.libvirtxml.domain_spec import DomainSpec
from hypervisors.libvirtxml.host_capabilities import HostCapabilities
from hypervisors.osinfo import OperatingSystem, find_system
from hypervisors.osinfo.systems import VIRTIO_BLOCK
from hypervisors.planning.machine_defaults import machine_defaults, with_room_to_grow

AUTOMATIC = "auto"
BUSES = (AUTOMATIC, "virtio", "scsi", "sata", "ide")
_MOST_IDE_DISKS, _MOST_DRIVES = 3, 4
# What VMware and VirtualBox call their cards; the guest has a driver for the one that it had.
_CARD_MODELS = {
    "e1000": "e1000",
    "e1000e": "e1000e",
    "vmxnet3": "vmxnet3",
    "pcnet32": "pcnet",
    "virtio": "virtio",
    "virtio-net": "virtio",
}


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the person chose. Zeros and "" stand for what the appliance asks for."""

    name: str
    system: str = ""
    vcpus: int = 0
    memory_kib: int = 0
    firmware: str = ""
    bus: str = AUTOMATIC
    start: bool = True


def system_of(appliance: Appliance, wishes: Wishes) -> OperatingSystem | None:
    return find_system(wishes.system or appliance.system)


def imported_spec(
    appliance: Appliance,
    wishes: Wishes,
    *,
    networks: Mapping[str, str],
    capabilities: Sequence[HostCapabilities],
) -> DomainSpec:
    """Without its hard disks, see with_disks().

    `networks`: which of ours stands for each of the appliance's; a card on one that has none is left out.
    Raises: ValueError, fit for people.
    """
    system = system_of(appliance, wishes)
    firmware = wishes.firmware or appliance.firmware
    spec = machine_defaults(
        system,
        tuple(capabilities),
        name=wishes.name,
        firmware=firmware,
        secure_boot=appliance.secure_boot and firmware == "uefi",
        memory_kib=wishes.memory_kib or appliance.memory_kib,
        vcpus=wishes.vcpus or appliance.vcpus,
    )
    spec = replace(
        spec,
        description=appliance.description,
        interfaces=tuple(_card(card, system, networks) for card in appliance.cards if networks.get(card.network)),
        disks=tuple(_drive(spec) for _ in range(min(appliance.cd_drives, _MOST_DRIVES))),
    )
    return with_room_to_grow(spec, system, capabilities)


def disk_bus(spec: DomainSpec, appliance: Appliance, wishes: Wishes) -> str:
    """What the disks are plugged into: a system without virtio's drivers would not find them there."""
    if wishes.bus == "ide" and spec.is_pci_express:
        return "sata"
    if wishes.bus != AUTOMATIC:
        return wishes.bus
    system = system_of(appliance, wishes)
    if system is not None and system.is_linux and system.drives(VIRTIO_BLOCK):
        return "virtio"
    few = len(appliance.disks) + len(spec.disks) <= _MOST_IDE_DISKS
    return "ide" if few and not spec.is_pci_express else "sata"


def with_disks(spec: DomainSpec, paths: Sequence[str], *, bus: str, is_block: bool = False) -> DomainSpec:
    """With these qcow2 images as its hard disks, of which the first is booted."""
    disks = tuple(
        DiskSpec(path=path, format="qcow2", bus=bus, boot_order=1 if number == 0 else None, discard="unmap")
        for number, path in enumerate(paths)
    )
    return replace(spec, disks=(*disks, *spec.disks))


def _card(card: ApplianceCard, system: OperatingSystem | None, networks: Mapping[str, str]) -> InterfaceSpec:
    return InterfaceSpec(source=networks[card.network], model=card_model(card, system))


def card_model(card: ApplianceCard, system: OperatingSystem | None) -> str:
    """virtio for Linux, which has its driver; for all others the card that they had."""
    if system is not None and system.is_linux and system.short_id != "generic":
        return "virtio"
    return _CARD_MODELS.get(card.model.lower(), "e1000")


def _drive(spec: DomainSpec) -> DiskSpec:
    return DiskSpec(device="cdrom", bus="sata" if spec.is_pci_express else "ide", format="raw", readonly=True)
