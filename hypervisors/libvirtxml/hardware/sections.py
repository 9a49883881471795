"""The sections of a domain that have a form, and their values."""

from hypervisors.libvirtxml.hardware.checks import checked_value
from hypervisors.libvirtxml.hardware.definitions import parse_definition, serialised
from hypervisors.libvirtxml.hardware.fields import Value, Values
from hypervisors.libvirtxml.hardware.parts.general import GENERAL
from hypervisors.libvirtxml.hardware.parts.section import Section
from hypervisors.libvirtxml.hardware.values import read_values, write_values

__all__ = ["SECTIONS", "Section", "change_section", "section_values"]

SECTIONS: dict[str, Section] = {section.key: section for section in (GENERAL,)}


def section_values(xml: str, section_key: str) -> dict[str, Value]:
    """The values of a section's fields. Raises: ValueError when there is no such section, or the XML cannot be read."""
    section, root = _section(section_key), parse_definition(xml)
    spread = {} if section.read is None else section.read(root)
    return read_values(root, section.plain_fields) | spread


def change_section(xml: str, section_key: str, values: Values) -> str:
    """The domain with these values; those that are not named stay. Raises: ValueError in words for people."""
    section, root = _section(section_key), parse_definition(xml)
    before = section_values(xml, section_key)
    write_values(root, section.plain_fields, values)
    if section.write is not None:
        spread = {
            field.name: checked_value(field, values[field.name]) for field in section.fields if field.name in values
        }
        section.write(root, before | spread)
    after = section_values(serialised(root), section_key)
    if section.check is not None:
        section.check(after)
    if section.settle is not None:
        section.settle(root, before, after)
    return serialised(root)


def _section(key: str) -> Section:
    if key not in SECTIONS:
        raise ValueError(f"“{key[:60]}” is no section of a virtual machine.")
    return SECTIONS[key]
