"""Why a snapshot cannot be taken, gone back to or deleted, in the operator's words: from rows alone."""

from collections.abc import Iterable, Sequence

from django.utils.translation import gettext as _

from hypervisors.gateway.domains.snapshots import MOST_SNAPSHOTS
from hypervisors.libvirtxml.capabilities import reverts_to_external_snapshots
from hypervisors.libvirtxml.domain_snapshots import EXTERNAL, ParsedSnapshot
from hypervisors.models import Domain, DomainSnapshot, Hypervisor, HypervisorCapabilities, SnapshotNote
from hypervisors.planning.snapshot_trees import Hindrance, Refusal, SnapshotNode, SnapshotTree

_SHOWN = 5


def tree_of(snapshots: Iterable[DomainSnapshot]) -> SnapshotTree:
    return SnapshotTree(
        SnapshotNode(
            name=snapshot.name,
            parent=snapshot.parent_name,
            is_external=snapshot.is_external,
            is_current=snapshot.is_current,
            created_at=snapshot.created_at,
            is_unfinished=snapshot.is_unfinished,
        )
        for snapshot in snapshots
    )


def tree_of_parsed(snapshots: Iterable[ParsedSnapshot]) -> SnapshotTree:
    """Of what a host has just told."""
    return SnapshotTree(
        SnapshotNode(
            name=one.name,
            parent=one.parent_name,
            is_external=one.kind == EXTERNAL,
            is_unfinished=one.is_unfinished,
        )
        for one in snapshots
    )


def supports_external_revert(hypervisor: Hypervisor | None) -> bool:
    """As the host's capabilities said when they were last read."""
    found = HypervisorCapabilities.objects.filter(hypervisor=hypervisor).values_list("capabilities_xml", flat=True)
    try:
        return any(reverts_to_external_snapshots(xml) for xml in found if xml)
    except ValueError:
        return False


def why_no_new(tree: SnapshotTree, *, external: bool) -> str:
    if len(tree.nodes) >= MOST_SNAPSHOTS:
        return _("It has %(count)d snapshots, and no more are looked after: delete some first.") % {
            "count": len(tree.nodes)
        }
    refusal = tree.why_no_new(external=external)
    if refusal is None:
        return ""
    names = _list(refusal.names)
    if external:
        return _(
            "It has snapshots inside its disks (%(names)s). With files on top of them libvirt could delete neither any "
            "more; delete those first."
        ) % {"names": names}
    return _(
        "It has snapshots outside of its disks (%(names)s). Going back to one inside would leave their files without "
        "their base; delete (merge) those first."
    ) % {"names": names}


def why_no_revert(domain: Domain, snapshot: DomainSnapshot, tree: SnapshotTree) -> str:
    if snapshot.problem:
        return _("It cannot be read: %(problem)s") % {"problem": snapshot.problem}
    refusal = tree.why_no_revert(snapshot.name, external_supported=supports_external_revert(domain.hypervisor))
    return refusal_text(refusal, host=domain.hypervisor.name if domain.hypervisor else "") or why_spoilt(snapshot)


def why_spoilt(snapshot: DomainSnapshot) -> str:
    """That it holds no whole moment any more; "" when it does."""
    if not snapshot.is_external or snapshot.created_at is None:
        return ""
    notes = SnapshotNote.objects.filter(domain=snapshot.domain_id, name=snapshot.name, created_at=snapshot.created_at)
    if not notes.exclude(merge_began_at=None).exists():
        return ""
    return spoilt_text()


def spoilt_text() -> str:
    return _(
        "Merging it had begun and was not finished: part of what was written later is in its files, and it holds no "
        "whole moment any more. The machine has all its data. Delete it to finish."
    )


def why_no_delete(domain: Domain, snapshot: DomainSnapshot, tree: SnapshotTree, *, with_children: bool) -> str:
    if snapshot.problem:
        return _("It cannot be read: %(problem)s") % {"problem": snapshot.problem}
    return refusal_text(tree.why_no_delete(snapshot.name, with_children=with_children, is_active=domain.is_active))


def refusal_text(refusal: Refusal | None, *, host: str = "") -> str:
    """ "" for none."""
    if refusal is None:
        return ""
    texts = {
        Hindrance.UNSUPPORTED: _(
            "The libvirt of %(host)s cannot go back to a snapshot outside of the disks (from libvirt 9.10 on it can). "
            "A machine made of its files can: clone from them."
        ),
        Hindrance.ORPHANS: _(
            "The disks have moved on to files on top of it (%(names)s), which would be left without their base: "
            "all that was written since is lost, and they cannot be deleted any more. Delete (merge) those first."
        ),
        Hindrance.NO_MIX: _(
            "There are snapshots of both kinds (%(names)s): going back would leave files without their base. Delete "
            "those first."
        ),
        Hindrance.HOLDS_OTHERS: _(
            "Snapshots are inside the file that would be merged away, and lost with it: %(names)s. Delete those first, "
            "or with it."
        ),
        Hindrance.ON_INTERNAL: _(
            "It is on top of a snapshot inside the disk (%(names)s); libvirt deletes no such. Merge the disk first."
        ),
        Hindrance.MOVED_ON: _(
            "The disk has moved on to files on top of the one that it is in: %(names)s. Delete (merge) those first."
        ),
        Hindrance.UNFINISHED: _(
            "What was written later is partly merged into its file, and that was broken off. Finish deleting %(names)s "
            "first, or delete it with this one."
        ),
        Hindrance.NEWER_FIRST: _(
            "While the machine is off, libvirt merges the newest only: start it, or delete the newer ones first or "
            "with it (%(names)s)."
        ),
    }
    return texts[refusal.hindrance] % {"names": _list(refusal.names), "host": host}


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(f"“{name}”" for name in names[:_SHOWN])
    if len(names) <= _SHOWN:
        return shown
    return _("%(shown)s and %(more)d more") % {"shown": shown, "more": len(names) - _SHOWN}
