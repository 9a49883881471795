"""Snapshots of domains: libvirt's XML to frozen values and back, https://libvirt.org/formatsnapshot.html."""

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_at, attribute_of, number, parse_document, text_at

INTERNAL, EXTERNAL, NONE = "internal", "external", "no"


@dataclass(frozen=True, kw_only=True)
class SnapshotDisk:
    """What of one disk a snapshot holds. `kind`: "internal", "external" or "no".

    `overlay`: the file that what is written after an external snapshot goes to; libvirt says nothing of the others.
    `is_unfinished`: the merge of a later one into that file was broken off, and has to be finished first.
    """

    target: str
    kind: str = NONE
    overlay: str = ""
    is_unfinished: bool = False


@dataclass(frozen=True, kw_only=True)
class ParsedSnapshot:
    """What libvirt tells of a snapshot. `created_at` is in seconds since 1970; 0 where it does not say."""

    name: str
    parent_name: str = ""
    state: str = ""  # "running", "paused", "shutoff", "disk-snapshot"
    description: str = ""
    created_at: int = 0
    memory: str = NONE
    memory_path: str = ""
    disks: tuple[SnapshotDisk, ...] = ()

    @property
    def kind(self) -> str:
        """ "external" as soon as anything of it is outside of the disks: libvirt then treats it so."""
        kinds = {disk.kind for disk in self.disks} | {self.memory}
        return EXTERNAL if EXTERNAL in kinds else INTERNAL

    @property
    def has_memory(self) -> bool:
        return self.memory in (INTERNAL, EXTERNAL)

    @property
    def overlays(self) -> dict[str, str]:
        """The file of each disk that what was written after it went to, by the disk's target."""
        return {disk.target: disk.overlay for disk in self.disks if disk.overlay}

    @property
    def is_unfinished(self) -> bool:
        return any(disk.is_unfinished for disk in self.disks)


@dataclass(frozen=True, kw_only=True)
class SnapshotSpec:
    """One that is to be taken. `disks` are all that the domain has: one of the kind "no" is left out.

    `memory_path`: the file that an external one keeps the guest's memory in; empty: none is kept.
    """

    name: str
    kind: str
    description: str = ""
    disks: tuple[SnapshotDisk, ...] = ()
    has_memory: bool = False
    memory_path: str = ""


def parse_snapshot(xml: str) -> ParsedSnapshot:
    """Raises: ValueError when it is not well-formed, or has no name."""
    root = parse_document(xml)
    name = text_at(root, "name")
    if root.tag != "domainsnapshot" or not name:
        raise ValueError("This XML is of no snapshot.")
    return ParsedSnapshot(
        name=name,
        parent_name=text_at(root, "parent/name"),
        state=text_at(root, "state"),
        description=text_at(root, "description"),
        created_at=max(0, number(text_at(root, "creationTime")) or 0),
        memory=attribute_at(root, "memory", "snapshot") or _implied_memory(root),
        memory_path=attribute_at(root, "memory", "file"),
        disks=tuple(_disk(element) for element in root.iterfind("disks/disk")),
    )


def held_definitions(xml: str) -> Iterator[str]:
    """The machine as it ran then, and as it was stored, as XML of a domain. What cannot be read names nothing."""
    try:
        root = parse_document(xml)
    except ValueError:
        return
    for tag in ("domain", "inactiveDomain"):
        for element in root.iterfind(tag):
            element.tag = "domain"
            yield etree.tostring(element, encoding="unicode", with_tail=False)


def build_snapshot(spec: SnapshotSpec) -> str:
    """What libvirt takes to make one."""
    root = etree.Element("domainsnapshot")
    etree.SubElement(root, "name").text = spec.name
    if spec.description:
        etree.SubElement(root, "description").text = spec.description
    memory = etree.SubElement(root, "memory", snapshot=_memory_kind(spec))
    if spec.memory_path:
        memory.set("file", spec.memory_path)
    disks = etree.SubElement(root, "disks")
    for disk in spec.disks:
        element = etree.SubElement(disks, "disk", name=disk.target, snapshot=disk.kind)
        if disk.kind == EXTERNAL:
            element.set("type", "file")
            etree.SubElement(element, "driver", type="qcow2")
            etree.SubElement(element, "source", file=disk.overlay)
    return etree.tostring(root, encoding="unicode")


def describe_snapshot(xml: str, description: str) -> str:
    """The same snapshot with another description; all else stays. Raises: ValueError when it is not well-formed."""
    root = parse_document(xml)
    found = root.find("description")
    if not description:
        if found is not None:
            root.remove(found)
        return etree.tostring(root, encoding="unicode")
    if found is None:
        found = etree.Element("description")
        root.insert(1, found)
    found.text = description
    return etree.tostring(root, encoding="unicode")


def _memory_kind(spec: SnapshotSpec) -> str:
    if not spec.has_memory:
        return NONE
    return EXTERNAL if spec.memory_path else INTERNAL


def _implied_memory(root: etree._Element) -> str:
    """Old ones do not say: libvirt kept the memory of what was active."""
    return INTERNAL if text_at(root, "state") in ("running", "paused") else NONE


def _disk(element: etree._Element) -> SnapshotDisk:
    kind = attribute_of(element, "snapshot") or NONE
    path = attribute_at(element, "source", "file") or attribute_at(element, "source", "dev")
    return SnapshotDisk(
        target=attribute_of(element, "name"),
        kind=kind,
        overlay=path if kind == EXTERNAL else "",
        is_unfinished=element.find("snapshotDeleteInProgress") is not None,
    )
