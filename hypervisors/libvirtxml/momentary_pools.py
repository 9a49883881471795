"""Storage pools that exist for a moment, to reach files that are in none: known as such by their names."""

from lxml import etree

_PREFIX = "vmportal-moment-"


def momentary_pool_name(token: str) -> str:
    return f"{_PREFIX}{token}"


def is_momentary_pool(name: str) -> bool:
    """Whether it is one of those: nothing that anybody should see or use."""
    return name.startswith(_PREFIX)


def build_directory_pool(name: str, path: str) -> str:
    """The XML for virStoragePoolCreateXML: a pool over a directory that is there."""
    root = etree.Element("pool", type="dir")
    etree.SubElement(root, "name").text = name
    etree.SubElement(etree.SubElement(root, "target"), "path").text = path
    return etree.tostring(root, encoding="unicode")
