"""Rows as the product would have written them."""

from typing import Any

from hypervisors.inventory.addresses import save_card_addresses
from hypervisors.inventory.storage.references import save_references
from hypervisors.libvirtxml.domains import parse_domain
from hypervisors.models import Domain, DomainDefinition, Operation, OperationLock


def make_operation(**fields: Any) -> Operation:
    """An operation on `domain`, with the lock that it holds while it is unfinished."""
    domain = fields.get("domain")
    if domain is not None:
        fields = {"subject_type": "domain", "subject_key": str(domain.uuid), "subject_name": domain.name} | fields
    operation = Operation.objects.create(**fields)
    if not operation.is_finished and domain is not None:
        OperationLock.objects.create(key=f"domain:{domain.uuid}", operation=operation)
    return operation


def define(domain: Domain, *, live_xml: str | None = None, inactive_xml: str | None = None) -> None:
    """Give the domain's row XML, with all that the inventory writes of it; the XML that is None stays."""
    given = {"live": live_xml, "inactive": inactive_xml}
    values: dict[str, Any] = {}
    for at, xml in given.items():
        if xml is not None:
            values |= {f"{at}_xml": xml, f"{at}_parsed": parse_domain(xml).as_json() if xml else {}}
    row, _made = DomainDefinition.objects.update_or_create(domain=domain, defaults=values)
    save_references([(domain.pk, row.live_xml, row.inactive_xml)])
    save_card_addresses([(domain.pk, row.live_parsed, row.inactive_parsed)])


def domain_xml(*disks: str, name: str = "web1") -> str:
    """A domain with these disks: paths of files ("/images/a.qcow2"), or "pool/volume"; vda, vdb …"""
    elements = "".join(_disk(source, f"vd{chr(97 + number)}") for number, source in enumerate(disks))
    return f"<domain type='qemu'><name>{name}</name><devices>{elements}</devices></domain>"


def _disk(source: str, target: str) -> str:
    pool, _slash, volume = source.partition("/")
    named = f"pool='{pool}' volume='{volume}'" if pool else f"file='{source}'"
    kind, format_ = ("volume" if pool else "file"), ("raw" if source.endswith((".img", ".iso")) else "qcow2")
    return (
        f"<disk type='{kind}' device='disk'><driver name='qemu' type='{format_}'/><source {named}/>"
        f"<target dev='{target}'/></disk>"
    )
