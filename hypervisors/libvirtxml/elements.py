"""Adding elements to XML that is built; attributes that are empty or None are left out."""

from lxml import etree


def add(parent: etree._Element, tag: str, /, **attributes: str | int | None) -> etree._Element:
    """A child with these attributes."""
    given = {name.rstrip("_"): str(value) for name, value in attributes.items() if value is not None and value != ""}
    return etree.SubElement(parent, tag, given)


def add_text(parent: etree._Element, tag: str, text: str, /, **attributes: str | int | None) -> etree._Element:
    """A child with this text."""
    child = add(parent, tag, **attributes)
    child.text = text
    return child
