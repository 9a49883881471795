"""What a hypervisor can give new guests, https://libvirt.org/formatdomaincaps.html."""

from collections.abc import Iterator
from dataclasses import dataclass

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.libvirtxml.domain_capabilities import DomainCapabilities, parse_domain_capabilities
from hypervisors.libvirtxml.host_capabilities import GuestArchitecture, HostCapabilities, parse_host_capabilities

# The machine types that new guests get, by processor; others have libvirt's default.
_MACHINES = {"x86_64": ("q35", "pc"), "aarch64": ("virt",)}
_VIRT_TYPES = ("kvm", "qemu")
# What says that there is no such thing here, and not that something is wrong.
_NOT_HERE = (
    libvirt.VIR_ERR_NO_SUPPORT,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    libvirt.VIR_ERR_INVALID_ARG,
    libvirt.VIR_ERR_INTERNAL_ERROR,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
)


@dataclass(frozen=True, kw_only=True)
class CapabilitiesFacts:
    """libvirt's own XML, and all of it that new guests are planned with."""

    xml: str
    capabilities: HostCapabilities


def read_capabilities(connection: Connection) -> CapabilitiesFacts:
    """May take seconds: libvirt starts each QEMU that it has not asked yet. Raises: errors.HypervisorError."""
    with translated("read what the host can give guests"):
        xml = connection.raw.getCapabilities()
        try:
            host = parse_host_capabilities(xml)
            domains = tuple(_domains(connection, host))
            return CapabilitiesFacts(xml=xml, capabilities=parse_host_capabilities(xml, domains))
        except ValueError:
            return CapabilitiesFacts(xml="", capabilities=HostCapabilities())


def _domains(connection: Connection, host: HostCapabilities) -> Iterator[DomainCapabilities]:
    """Of the host's own processor: guests of others are rare, and slow."""
    guest = host.guest(host.arch)
    for virt_type in _VIRT_TYPES if guest is not None else ():
        for machine in _MACHINES.get(host.arch, (None,)):
            if guest is not None and virt_type in guest.virt_types:
                found = _domain(connection, guest, machine, virt_type)
                if found is not None:
                    yield found


def _domain(
    connection: Connection, guest: GuestArchitecture, machine: str | None, virt_type: str
) -> DomainCapabilities | None:
    try:
        xml = connection.raw.getDomainCapabilities(guest.emulator or None, guest.arch, machine, virt_type, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() in _NOT_HERE and error.get_error_domain() != libvirt.VIR_FROM_RPC:
            return None
        raise
    return parse_domain_capabilities(xml)
