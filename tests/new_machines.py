"""New machines of many systems, as tests build them; `python -m tests.new_machines` rewrites the golden files."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hypervisors.libvirtxml.domain_builder import build_domain
from hypervisors.libvirtxml.domain_capabilities import DomainCapabilities, parse_domain_capabilities
from hypervisors.libvirtxml.domain_spec import DiskSpec, DomainSpec
from hypervisors.libvirtxml.host_capabilities import HostCapabilities, parse_host_capabilities
from hypervisors.osinfo import find_system
from hypervisors.planning.device_defaults import cdrom_bus, disk_bus
from hypervisors.planning.machine_defaults import machine_defaults

# Each in the database of Debian 12, so that virt-install knows them too.
KNOWN_SYSTEMS = (
    "fedora37", "ubuntu22.04", "rhel9.1", "centos-stream9", "debian11", "opensuse15.4", "alpinelinux3.17", "linux2022",
    "freebsd13.1", "generic", "win10", "win11", "win2k22",
)  # fmt: skip
NEWER_SYSTEMS = ("debian12", "ubuntu24.04", "fedora42", "rhel10.0", "win2k25")
GOLDEN = Path(__file__).parent / "unit" / "libvirtxml" / "golden"
_WITH_KVM = ("debian12", "fedora42", "win11")


def new_machine(
    short_id: str, capabilities: HostCapabilities, *, image: str = "/srv/images/new.qcow2", graphics: str = "vnc"
) -> DomainSpec:
    """With one disk, one empty drive and one network card."""
    system = find_system(short_id)
    assert system is not None, short_id
    spec = machine_defaults(system, (capabilities,), networks=("default",), graphics=graphics)
    return replace(
        spec,
        disks=(
            DiskSpec(bus=disk_bus(system, spec.machine), path=image, discard="unmap", boot_order=1),
            DiskSpec(device="cdrom", bus=cdrom_bus(spec.machine), format="raw", boot_order=2),
        ),
    )


def emulating_host() -> HostCapabilities:
    """One without KVM: Debian 12's libvirt and QEMU."""
    hosts = GOLDEN / "hosts"
    domains = [parse_domain_capabilities((hosts / f"emulating-{name}.xml").read_text()) for name in ("q35", "pc")]
    return parse_host_capabilities((hosts / "emulating.xml").read_text(), domains)


def kvm_host() -> HostCapabilities:
    """The same with KVM, and what that brings."""
    host = emulating_host()
    guests = tuple(replace(guest, virt_types=("kvm", "qemu")) for guest in host.guests)
    return replace(host, guests=guests, domains=(*host.domains, *(_under_kvm(domain) for domain in host.domains)))


def golden_files() -> Iterator[tuple[Path, str]]:
    """Each with the XML that belongs into it."""
    for short_id in (*KNOWN_SYSTEMS, *NEWER_SYSTEMS):
        yield GOLDEN / "new" / f"{short_id}.xml", build_domain(new_machine(short_id, emulating_host()))
    for short_id in _WITH_KVM:
        yield GOLDEN / "new" / f"{short_id}-kvm.xml", build_domain(new_machine(short_id, kvm_host()))
    yield GOLDEN / "new" / "win10-spice.xml", build_domain(new_machine("win10", kvm_host(), graphics="spice"))


def _under_kvm(domain: DomainCapabilities) -> DomainCapabilities:
    hyperv = (
        "relaxed", "vapic", "spinlocks", "vpindex", "runtime", "synic", "stimer", "reset", "frequencies", "tlbflush",
        "ipi", "evmcs",
    )  # fmt: skip
    return replace(
        domain,
        virt_type="kvm",
        cpu_modes=("host-passthrough", "maximum", "host-model", "custom"),
        hyperv_features=hyperv,
    )


if __name__ == "__main__":
    for path, xml in golden_files():
        path.write_text(xml)
