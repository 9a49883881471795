"""A snapshot's XML as a person typed it: what of it may be other than it is."""

from django.utils.translation import gettext as _
from lxml import etree

from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.documents import attribute_at, parse_document
from hypervisors.libvirtxml.domain_snapshots import held_definitions
from hypervisors.libvirtxml.typed_documents import read_typed, written
from hypervisors.models import Domain, DomainSnapshot
from hypervisors.operations.domains.named_storage import named_volumes, storage_problem

# What libvirt wrote when it was taken, beside the machine and what people say of it.
_FIXED = ("name", "state", "creationTime", "parent", "memory", "disks", "cookie", "active")
_DEFINITIONS = ("domain", "inactiveDomain")


def checked_snapshot_xml(domain: Domain, snapshot: DomainSnapshot, text: str) -> str:
    """Written anew. Raises: errors.NotPossible, whose text says what may not be so."""
    try:
        root = read_typed(text, root="domainsnapshot")
    except ValueError as error:
        raise NotPossible(str(error)) from error
    before = parse_document(snapshot.xml)
    if _canonical([root]) == _canonical([before]):
        raise NotPossible(_("Nothing is changed. (libvirt keeps no comments.)"))
    for tag in _FIXED:
        if _canonical(root.findall(tag)) != _canonical(before.findall(tag)):
            raise NotPossible(_why_fixed(tag, snapshot))
    _check_held_disks(root, before, snapshot)
    xml = written(root)
    problem = _storage_problem(domain, xml, snapshot.xml)
    if problem:
        raise NotPossible(problem)
    return xml


def _why_fixed(tag: str, snapshot: DomainSnapshot) -> str:
    if tag == "name":
        return _(
            "Its name stays “%(name)s”: libvirt, and its states inside the disks, are known by that. With another it "
            "would be another snapshot, which holds nothing."
        ) % {"name": snapshot.name}
    if tag in ("disks", "memory"):
        return _(
            "<%(tag)s> stays as it is: what it holds is where it says, and would be left there, found by nobody."
        ) % {"tag": tag}
    if tag == "parent":
        return _("What it was taken from stays: by that it is known which files are on top of which.")
    return _("<%(tag)s> stays as it is: libvirt wrote it when the snapshot was taken.") % {"tag": tag}


def _check_held_disks(root: etree._Element, before: etree._Element, snapshot: DomainSnapshot) -> None:
    """Raises: errors.NotPossible where the machine would not find on them what was held."""
    for tag in _DEFINITIONS:
        if len(root.findall(tag)) != len(before.findall(tag)):
            raise NotPossible(_("<%(tag)s> belongs to it: that is the machine which comes back.") % {"tag": tag})
        for old, new in zip(before.findall(tag), root.findall(tag), strict=True):
            was, becomes = _sources(old), _sources(new)
            for target in snapshot.held_targets:
                if was.get(target) != becomes.get(target):
                    raise NotPossible(
                        _(
                            "The snapshot holds the disk “%(disk)s”: in <%(tag)s> its file and format stay as they "
                            "are, since in another file is nothing of that moment."
                        )
                        % {"disk": target, "tag": tag}
                    )


def _sources(definition: etree._Element) -> dict[str, tuple[str, str, str]]:
    """Of each disk, by its target: what it is on, and as what that is read."""
    return {
        attribute_at(disk, "target", "dev"): (
            disk.get("type", ""),
            attribute_at(disk, "driver", "type"),
            _canonical(disk.findall("source") + disk.findall("backingStore")),
        )
        for disk in definition.iterfind("devices/disk")
    }


def _storage_problem(domain: Domain, xml: str, before: str) -> str:
    """Of other disks that it names now."""
    host = domain.hypervisor
    if host is None:
        return _("No host has it any more.")
    for new, old in zip(held_definitions(xml), held_definitions(before), strict=False):
        problem = storage_problem(named_volumes(host, new, before=old), domain=domain)
        if problem:
            return problem
    return ""


def _canonical(elements: list[etree._Element]) -> str:
    """The same for what says the same, however it is written."""
    return "".join(str(etree.canonicalize(written(one), strip_text=True)) for one in elements)
