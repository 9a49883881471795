"""What the XML of networks, network filters and storage pools has in common: how it begins, is known, and written."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from lxml import etree

from hypervisors.libvirtxml.documents import child_at, parse_document


class DefinitionSpec(Protocol):
    """What people are asked for of one, as a frozen value."""

    @property
    def name(self) -> str: ...

    @property
    def uuid(self) -> str: ...

    def to_json(self) -> dict[str, Any]: ...


Spec = TypeVar("Spec", bound=DefinitionSpec)


@dataclass(frozen=True, kw_only=True)
class DefinitionXml(Generic[Spec]):
    """One noun's XML; those that take XML raise ValueError when it is not of that noun."""

    # The name of its first element.
    root: str
    read: Callable[[str], Spec]
    build: Callable[[Spec], str]
    edit: Callable[[str, Spec], str]
    with_identity: Callable[..., str]
    digest: Callable[[str], str]
    from_json: Callable[[Mapping[str, Any]], Spec]
    # What is wrong with a spec, by field, and with a name.
    problems: Callable[[Spec], dict[str, str]]
    name_problem: Callable[[str], str]
    # Of XML that somebody typed: what libvirt would take, and its host should not be told.
    check_typed: Callable[[str], object] = parse_document

    def says(self, now: str, wanted: str) -> bool:
        """Whether all that is known of both is the same: libvirt adds what goes without saying."""
        try:
            said, asked = self.read(now), self.read(wanted)
        except ValueError:
            return False
        return all(getattr(said, name) == value or not value for name, value in vars(asked).items())

    def new_problems(self, spec: Spec, before: Spec) -> dict[str, str]:
        """What was so before, made by others, is nobody's mistake now."""
        known = self.problems(before).values()
        return {name: text for name, text in self.problems(spec).items() if text not in known}


def root_of(xml: str, tag: str, noun: str) -> etree._Element:
    """Raises: ValueError."""
    root = parse_document(xml)
    if root.tag != tag:
        raise ValueError(f"A {noun}'s XML begins with <{tag}>.")
    return root


def digest_of(root: etree._Element) -> str:
    """The same for the same definition, whatever the spaces between its elements; SHA-256. Indents it."""
    etree.indent(root)
    return hashlib.sha256(etree.tostring(root, method="c14n2")).hexdigest()


def set_text(parent: etree._Element, tag: str, text: str) -> None:
    """Without a text there is no such element."""
    element = child_at(parent, tag)
    if not text:
        if element is not None:
            parent.remove(element)
        return
    (etree.SubElement(parent, tag) if element is None else element).text = text


def indented(root: etree._Element) -> str:
    etree.indent(root)
    return etree.tostring(root, encoding="unicode", pretty_print=True)
