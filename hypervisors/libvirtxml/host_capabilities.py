"""What a host can give new guests: its capabilities with those of its emulators, as one value that a row keeps."""

from collections.abc import Iterable
from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.documents import number, parse_document, size_kib, text_at
from hypervisors.libvirtxml.domain_capabilities import DomainCapabilities
from hypervisors.libvirtxml.spec_json import spec_from_json, spec_to_json


@dataclass(frozen=True, kw_only=True)
class GuestArchitecture:
    """One processor that the host can run guests for."""

    arch: str
    emulator: str = ""
    virt_types: tuple[str, ...] = ()  # "qemu", "kvm"
    machines: tuple[str, ...] = ()  # versioned names, sorted
    aliases: tuple[tuple[str, str], ...] = ()  # ("q35", "pc-q35-7.2")


@dataclass(frozen=True, kw_only=True)
class HostCapabilities:
    """A host; `domains` are read for its default machine types."""

    arch: str = ""
    cpu_model: str = ""
    cpu_vendor: str = ""
    cpu_count: int | None = None
    memory_kib: int | None = None
    guests: tuple[GuestArchitecture, ...] = ()
    domains: tuple[DomainCapabilities, ...] = ()

    def guest(self, arch: str) -> GuestArchitecture | None:
        return next((guest for guest in self.guests if guest.arch == arch), None)

    def domain(self, *, arch: str, virt_type: str, machine: str) -> DomainCapabilities | None:
        """What was read for this machine or, since they seldom differ, for another of its family."""
        fitting = [d for d in self.domains if (d.arch, d.virt_type) == (arch, virt_type)]
        exact = (d for d in fitting if d.machine == machine)
        related = (d for d in fitting if ("q35" in d.machine) == ("q35" in machine))
        return next(exact, next(related, None))


def parse_host_capabilities(xml: str, domains: Iterable[DomainCapabilities] = ()) -> HostCapabilities:
    """Raises: ValueError when it is not well-formed."""
    root = parse_document(xml)
    cells = root.findall("host/topology/cells/cell")
    cpu_counts = [number(cell.get("num", "")) or 0 for cell in root.iterfind("host/topology/cells/cell/cpus")]
    return HostCapabilities(
        arch=text_at(root, "host/cpu/arch"),
        cpu_model=text_at(root, "host/cpu/model"),
        cpu_vendor=text_at(root, "host/cpu/vendor"),
        cpu_count=sum(cpu_counts) or None,
        memory_kib=sum(size_kib(cell.find("memory")) for cell in cells) or None,
        guests=tuple(_guest(element) for element in root.iterfind("guest") if text_at(element, "os_type") == "hvm"),
        domains=tuple(domains),
    )


def host_capabilities_to_json(capabilities: HostCapabilities) -> dict[str, object]:
    return spec_to_json(capabilities)


def host_capabilities_from_json(stored: object) -> HostCapabilities:
    """Raises: ValueError when another version wrote it."""
    return spec_from_json(HostCapabilities, stored)


def _guest(element: etree._Element) -> GuestArchitecture:
    arch = element.find("arch")
    if arch is None:
        return GuestArchitecture(arch="")
    # A machine stands under each <domain> too where they differ; names count once.
    machines = list(arch.iterfind(".//machine"))
    names = {(machine.text or "").strip() for machine in machines}
    # Reversed: the general ones, which come first, count more.
    aliases = {(m.text or "").strip(): m.get("canonical", "") for m in reversed(machines) if m.get("canonical")}
    versioned = (names - aliases.keys()) | {machine.get("canonical", "") for machine in machines} - {""}
    return GuestArchitecture(
        arch=arch.get("name", ""),
        emulator=text_at(arch, "emulator"),
        virt_types=tuple(sorted({domain.get("type", "") for domain in arch.iterfind("domain")})),
        machines=tuple(sorted(versioned)),
        aliases=tuple(sorted(aliases.items())),
    )
