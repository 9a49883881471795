"""A host's capabilities XML as frozen values, https://libvirt.org/formatcaps.html."""

from dataclasses import dataclass
from uuid import UUID

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_at, number, parse_document, text_at


@dataclass(frozen=True, kw_only=True)
class ParsedCapabilities:
    """What a host is and can run; fields are empty or None where the host does not say."""

    host_uuid: UUID | None = None
    architecture: str = ""
    cpu_vendor: str = ""
    cpu_model: str = ""  # libvirt's nearest model, for example "Skylake-Client-IBRS"
    cpu_sockets: int | None = None
    cpu_cores_per_socket: int | None = None
    cpu_threads_per_core: int | None = None
    cpu_xml: str = ""
    # Whether guests of the host's own architecture can run under KVM; None when it runs no such guests at all.
    kvm_available: bool | None = None
    machine_types: tuple[str, ...] = ()


def parse_capabilities(xml: str) -> ParsedCapabilities:
    """Raises: ValueError when it is not well-formed."""
    root = parse_document(xml)
    architecture = text_at(root, "host/cpu/arch")
    cpu = root.find("host/cpu")
    guest = next((arch for arch in root.iterfind("guest/arch") if arch.get("name") == architecture), None)
    return ParsedCapabilities(
        host_uuid=_uuid(text_at(root, "host/uuid")),
        architecture=architecture,
        cpu_vendor=text_at(cpu, "vendor"),
        cpu_model=text_at(cpu, "model"),
        cpu_sockets=number(attribute_at(cpu, "topology", "sockets")),
        cpu_cores_per_socket=number(attribute_at(cpu, "topology", "cores")),
        cpu_threads_per_core=number(attribute_at(cpu, "topology", "threads")),
        cpu_xml="" if cpu is None else etree.tostring(cpu, encoding="unicode", with_tail=False),
        kvm_available=None if guest is None else any(d.get("type") == "kvm" for d in guest.findall("domain")),
        machine_types=() if guest is None else _machine_types(guest),
    )


def parse_processor_name(sysinfo_xml: str) -> str:
    """The processor's name as sold ("Intel(R) Xeon(R) …") from virConnectGetSysinfo; empty when it is not there."""
    try:
        root = parse_document(sysinfo_xml)
    except ValueError:
        return ""
    names = (entry.text or "" for entry in root.iterfind("processor/entry") if entry.get("name") == "version")
    return " ".join(next(names, "").split())


def _machine_types(guest: etree._Element) -> tuple[str, ...]:
    machines = list(guest.iterfind("machine"))
    names = {(machine.text or "").strip() for machine in machines} | {m.get("canonical", "") for m in machines}
    return tuple(sorted(names - {""}))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def reverts_to_external_snapshots(xml: str) -> bool:
    """Whether the host's libvirt (from 9.10 on) can go back to a snapshot that is outside of the disks.

    Raises: ValueError when it is not well-formed.
    """
    return parse_document(xml).find("guest/features/externalSnapshot") is not None
