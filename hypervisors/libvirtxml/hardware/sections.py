"""The sections of a domain that have a form, and their values."""

from lxml import etree

from hypervisors.libvirtxml.hardware.checks import checked_value
from hypervisors.libvirtxml.hardware.definitions import parse_definition, serialised
from hypervisors.libvirtxml.hardware.fields import Value, Values
from hypervisors.libvirtxml.hardware.parts.boot import BOOT
from hypervisors.libvirtxml.hardware.parts.features import CLOCK, FEATURES
from hypervisors.libvirtxml.hardware.parts.general import GENERAL
from hypervisors.libvirtxml.hardware.parts.memory import MEMORY, NUMA
from hypervisors.libvirtxml.hardware.parts.processor import PROCESSOR
from hypervisors.libvirtxml.hardware.parts.section import Section
from hypervisors.libvirtxml.hardware.parts.system import KERNEL, LIFECYCLE, SYSTEM
from hypervisors.libvirtxml.hardware.parts.tuning import IOTHREADS, TUNING
from hypervisors.libvirtxml.hardware.values import read_values, write_values

__all__ = ["SECTIONS", "Section", "change_section", "section_values", "values_of"]

SECTIONS: dict[str, Section] = {
    section.key: section
    for section in (
        GENERAL,
        PROCESSOR,
        MEMORY,
        NUMA,
        SYSTEM,
        BOOT,
        KERNEL,
        FEATURES,
        CLOCK,
        TUNING,
        LIFECYCLE,
        IOTHREADS,
    )
}


def section_values(xml: str, section_key: str) -> dict[str, Value]:
    """The values of a section's fields. Raises: ValueError when there is no such section, or the XML cannot be read."""
    return values_of(_section(section_key), parse_definition(xml))


def values_of(section: Section, root: etree._Element) -> dict[str, Value]:
    """The same, of XML that was read already."""
    spread = {} if section.read is None else section.read(root)
    return read_values(root, section.plain_fields) | spread


def change_section(xml: str, section_key: str, values: Values) -> str:
    """The domain with these values; those that are not named stay. Raises: ValueError in words for people."""
    section, root = _section(section_key), parse_definition(xml)
    before = values_of(section, root)
    write_values(root, section.plain_fields, values)
    if section.write is not None:
        spread = {
            field.name: checked_value(field, values[field.name]) for field in section.fields if field.name in values
        }
        section.write(root, before | spread)
    if section.settle is not None:
        section.settle(root, before, values_of(section, root))
    if section.check is not None:
        section.check(values_of(section, root))
    return serialised(root)


def _section(key: str) -> Section:
    if key not in SECTIONS:
        raise ValueError(f"“{key[:60]}” is no section of a virtual machine.")
    return SECTIONS[key]
