"""What of a machine goes into a descriptor, and which volumes its disks are."""

import posixpath
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.imaging.ovf_writer import ExportedMachine
from hypervisors.libvirtxml.documents import parse_document
from hypervisors.libvirtxml.domains import ParsedDomain, parsed_from_json
from hypervisors.models import Domain, Volume
from hypervisors.osinfo import find_system

_LIBOSINFO_OS = "{http://libosinfo.org/xmlns/libvirt/domain/1.0}os"
_CARD_MODELS = {"e1000": "E1000", "vmxnet3": "VmxNet3", "pcnet": "PCNet32", "virtio": "VmxNet3"}


@dataclass(frozen=True, kw_only=True)
class DiskSource:
    """A disk of the machine: the volume that it is, and the format that the machine takes it for."""

    target: str
    storage_pool_id: int
    volume_name: str
    format: str


def parsed_machine(domain: Domain) -> ParsedDomain:
    """As it starts next. Raises: errors.NotPossible while nothing is known of it."""
    definition = getattr(domain, "definition", None)
    if definition is None or not definition.inactive_parsed:
        raise NotPossible(_("Its definition was not read yet."))
    return parsed_from_json(definition.inactive_parsed)


def disk_sources(domain: Domain) -> list[DiskSource]:
    """Of its hard disks. Raises: errors.NotPossible for one that is in no storage pool."""
    disks = [disk for disk in parsed_machine(domain).disks if disk.device == "disk"]
    if not disks:
        raise NotPossible(_("It has no disk."))
    return [_source(domain, disk.target, disk.source_kind, disk.source, disk.format) for disk in disks]


def exported_machine(domain: Domain) -> ExportedMachine:
    """As its descriptor says it."""
    parsed = parsed_machine(domain)
    models = {card.model for card in parsed.interfaces}
    return ExportedMachine(
        name=domain.name,
        description=parsed.description,
        system=_system(domain),
        vcpus=parsed.vcpu_count,
        memory_kib=parsed.memory_kib,
        firmware="uefi" if parsed.firmware == "efi" else "bios",
        networks=tuple(card.source or card.kind for card in parsed.interfaces),
        card_model=next((_CARD_MODELS[model] for model in models if model in _CARD_MODELS), "E1000e"),
        cd_drives=sum(1 for disk in parsed.disks if disk.device == "cdrom"),
    )


def _source(domain: Domain, target: str, kind: str, source: str, format_: str) -> DiskSource:
    volumes = Volume.objects.present().filter(
        storage_pool__hypervisor=domain.hypervisor, storage_pool__vanished_at=None, storage_pool__active=True
    )
    if kind == "volume":
        pool_name, _slash, name = source.partition("/")
        volume = volumes.filter(storage_pool__name=pool_name, name=name).first()
    else:
        volume = volumes.filter(path=posixpath.normpath(source)).first() if source else None
    if volume is None:
        raise NotPossible(
            _("Its disk %(target)s (%(source)s) is in no storage pool of its host: it can be exported only from there.")
            % {"target": target, "source": source or "–"}
        )
    return DiskSource(
        target=target, storage_pool_id=volume.storage_pool_id, volume_name=volume.name, format=format_ or "raw"
    )


def _system(domain: Domain) -> str:
    """osinfo's short id, from the identifier in the machine's metadata; "" where nobody recorded it."""
    try:
        root = parse_document(domain.definition.inactive_xml)
    except ValueError:
        return ""
    recorded: Any = next(root.iter(_LIBOSINFO_OS), None)
    identifier = "" if recorded is None else recorded.get("id", "")
    system = find_system(identifier) if identifier else None
    return "" if system is None else system.short_id
