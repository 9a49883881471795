"""Definitions of domains: their XML, what it says, and by what a change of it is noticed."""

from typing import Any

from hypervisors.gateway.domains.reading import DomainFacts
from hypervisors.inventory.domains.records import Definition, DomainRecord, fingerprint, sha256
from hypervisors.libvirtxml.domains import ParsedDomain, parse_domain, parsed_from_json


def fingerprint_of(facts: DomainFacts) -> int:
    return fingerprint(sha256(facts.live_xml), sha256(facts.inactive_xml))


def definition_of(record: DomainRecord, live_xml: str, inactive_xml: str) -> Definition:
    return Definition(
        live_xml=live_xml,
        inactive_xml=inactive_xml,
        live_parsed=_parsed(record, live_xml),
        inactive_parsed=_parsed(record, inactive_xml),
        live_sha256=sha256(live_xml),
        inactive_sha256=sha256(inactive_xml),
    )


def listed_values(definition: Definition) -> dict[str, Any]:
    """What lists show of it, in the row's own columns."""
    parsed = parsed_from_json(definition.live_parsed or definition.inactive_parsed)
    return {
        "title": parsed.title[:255],
        "description": parsed.description,
        "vcpu_count": parsed.vcpu_count,
        "memory_kib": parsed.memory_kib,
        "os_name": parsed.os_name[:100],
        "is_template": bool(parsed.template),
    }


def _parsed(record: DomainRecord, xml: str) -> dict[str, Any]:
    """What the XML says; a domain whose XML cannot be read still has its name and UUID."""
    if not xml:
        return {}
    try:
        return parse_domain(xml).as_json()
    except ValueError:
        return ParsedDomain(name=record.name, uuid=str(record.uuid)).as_json()
