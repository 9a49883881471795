"""Snapshots as a tree, and what may be done to one of them without losing what others need: values in, reasons out.

Measured with libvirt 9.0 and QEMU 7.2. An internal snapshot is inside the image file that was current when it was
taken; an external one keeps that file as it was, and what is written later goes to another file on top of it. Deleting
an external one merges the two. So
 - going back to an internal one while external ones exist succeeds, and leaves all later files without their base;
 - deleting an external one loses the internal ones in the file that is merged away, without a word;
 - an external one on top of an internal one can be deleted by nobody, and neither can that;
 - while the machine is off, only the newest external one can be deleted;
 - an external one into whose file the merge of a later one was broken off can be deleted when that is finished.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, kw_only=True)
class SnapshotNode:
    """One snapshot. `parent`: "" for one that none is above."""

    name: str
    parent: str = ""
    is_external: bool = False
    is_current: bool = False
    created_at: datetime | None = None
    # The merge of a later one into its file was broken off.
    is_unfinished: bool = False


@dataclass(frozen=True, kw_only=True)
class TreeRow:
    """A line of the tree as it is shown. `node`: None is the machine's present state, "you are here".

    `lane`: how many forks are above it. What was taken one after the other stays in one lane.
    """

    node: SnapshotNode | None
    lane: int = 0
    # Whether a lane begins with it.
    is_fork: bool = False
    # Whether its lane ends with it.
    is_end: bool = False
    # Lanes further out that go on below it: others that were taken from the same one follow.
    rails: tuple[int, ...] = ()


class Hindrance(StrEnum):
    """Why something is refused; `Refusal.names` says which snapshots are in the way."""

    UNSUPPORTED = "unsupported"  # this libvirt cannot go back to external ones
    ORPHANS = "orphans"  # files on top of it would be left without their base
    HOLDS_OTHERS = "holds_others"  # internal ones are in the file that would be merged away
    ON_INTERNAL = "on_internal"  # it is on top of internal ones
    MOVED_ON = "moved_on"  # the disk's present file is another than that which it is in
    NEWER_FIRST = "newer_first"  # the machine is off, and there are newer ones
    UNFINISHED = "unfinished"  # the merge of a later one into its file was broken off
    NO_MIX = "no_mix"  # there are snapshots of the other kind


@dataclass(frozen=True, kw_only=True)
class Refusal:
    hindrance: Hindrance
    names: tuple[str, ...] = ()


class SnapshotTree:
    """The snapshots of one machine. Parents that are not there, or go round in circles, count as none."""

    def __init__(self, nodes: Iterable[SnapshotNode]) -> None:
        self.nodes = {node.name: node for node in sorted(nodes, key=_age)}
        self._children: dict[str, list[SnapshotNode]] = defaultdict(list)
        for node in self.nodes.values():
            self._children[self._parent_of(node)].append(node)

    @property
    def current(self) -> SnapshotNode | None:
        """The one that the machine's present state began with."""
        return next((node for node in self.nodes.values() if node.is_current), None)

    def rows(self) -> list[TreeRow]:
        """From the oldest on, each fork followed by the whole of its first lane, then the next."""
        found: list[TreeRow] = []
        waiting = self._branches("", lane=0)
        while waiting:
            row = waiting.pop()
            rails = {later.lane - 1 for later in waiting if later.is_fork}
            branches = self._branches(row.node.name, lane=row.lane) if row.node is not None else []
            found.append(replace(row, rails=tuple(sorted(rails)), is_end=not branches))
            waiting += branches
        return found

    def below(self, name: str) -> list[SnapshotNode]:
        """All that were taken from it, or from one of those: the deepest first, so that each may be deleted in turn."""
        found: list[SnapshotNode] = []
        for child in reversed(self._children[name]):
            found += [*self.below(child.name), child]
        return found

    def above(self, name: str) -> Iterator[SnapshotNode]:
        """Its parent, the parent's parent …"""
        node = self.nodes.get(self._parent_of(self.nodes[name]))
        while node is not None:
            yield node
            node = self.nodes.get(self._parent_of(node))

    def why_no_new(self, *, external: bool) -> Refusal | None:
        """Why none of that kind can be taken now."""
        others = _names(node for node in self.nodes.values() if node.is_external != external)
        return Refusal(hindrance=Hindrance.NO_MIX, names=others) if others else None

    def why_no_revert(self, name: str, *, external_supported: bool) -> Refusal | None:
        """Why the machine cannot go back to it."""
        node = self.nodes[name]
        if node.is_external and not external_supported:
            return Refusal(hindrance=Hindrance.UNSUPPORTED)
        if node.is_unfinished and self._children[name]:
            return Refusal(hindrance=Hindrance.UNFINISHED, names=_names(self._children[name]))
        others = _names(other for other in self.nodes.values() if other.is_external != node.is_external)
        if others:
            return Refusal(hindrance=Hindrance.NO_MIX if node.is_external else Hindrance.ORPHANS, names=others)
        return None

    def why_no_delete(self, name: str, *, with_children: bool, is_active: bool) -> Refusal | None:
        """Why it, or what was taken from it too, cannot be deleted."""
        remaining = self
        for doomed in self.to_delete(name, with_children=with_children):
            refusal = remaining._why_no_single_delete(doomed, is_active=is_active)
            if refusal is not None:
                return refusal
            remaining = remaining._without(doomed)
        return None

    def to_delete(self, name: str, *, with_children: bool) -> list[str]:
        """In the order in which they are deleted."""
        return [*(node.name for node in self.below(name) if with_children), name]

    def _why_no_single_delete(self, name: str, *, is_active: bool) -> Refusal | None:
        below = self.below(name)
        external, internal = (_names(node for node in below if node.is_external == kind) for kind in (True, False))
        if not self.nodes[name].is_external:
            return Refusal(hindrance=Hindrance.MOVED_ON, names=external) if external else None
        if internal:
            return Refusal(hindrance=Hindrance.HOLDS_OTHERS, names=internal)
        parent = next(self.above(name), None)
        if parent is not None and not parent.is_external:
            return Refusal(hindrance=Hindrance.ON_INTERNAL, names=(parent.name,))
        if self.nodes[name].is_unfinished and external:
            return Refusal(hindrance=Hindrance.UNFINISHED, names=_names(self._children[name]))
        if external and not is_active:
            return Refusal(hindrance=Hindrance.NEWER_FIRST, names=external)
        return None

    def _without(self, name: str) -> "SnapshotTree":
        """As libvirt leaves it: what was taken from it belongs to its parent then."""
        parent = self._parent_of(self.nodes[name])
        return SnapshotTree(
            replace(node, parent=parent if node.parent == name else node.parent)
            for node in self.nodes.values()
            if node.name != name
        )

    def _parent_of(self, node: SnapshotNode) -> str:
        """ "" too where following its parents leads back to itself."""
        seen, parent = {node.name}, self.nodes.get(node.parent)
        while parent is not None:
            if parent.name in seen:
                return ""
            seen.add(parent.name)
            parent = self.nodes.get(parent.parent)
        return node.parent if node.parent in self.nodes else ""

    def _branches(self, name: str, *, lane: int) -> list[TreeRow]:
        """What follows on it, the oldest last."""
        nodes: list[SnapshotNode | None] = list(self._children[name])
        current = self.current
        if (current.name if current else "") == name and self.nodes:
            nodes.append(None)
        is_fork = len(nodes) > 1
        return [TreeRow(node=node, lane=lane + is_fork, is_fork=is_fork) for node in reversed(nodes)]


def _age(node: SnapshotNode) -> tuple[float, str]:
    return (node.created_at.timestamp() if node.created_at else 0.0, node.name)


def _names(nodes: Iterable[SnapshotNode]) -> tuple[str, ...]:
    return tuple(node.name for node in nodes)


def to_remove(own: Sequence[SnapshotNode], *, keep: int) -> list[str]:
    """Of a schedule's own snapshots those that are too many, oldest first."""
    ordered = sorted(own, key=_age)
    return [node.name for node in ordered[: max(0, len(ordered) - keep)]]
