"""The tree of snapshots, and what may be done to one without losing what others need."""

from datetime import UTC, datetime, timedelta

import pytest

from hypervisors.planning.snapshot_trees import Hindrance, SnapshotNode, SnapshotTree, to_remove

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def _tree(text: str, current: str = "") -> SnapshotTree:
    """ "i1 e1<i1 e2<e1": each with its parent; what begins with e is external. They were taken in this order."""
    nodes = []
    for number, word in enumerate(text.split()):
        name, _sign, parent = word.partition("<")
        nodes.append(
            SnapshotNode(
                name=name,
                parent=parent,
                is_external=name.startswith("e"),
                is_current=name == current,
                created_at=EPOCH + timedelta(minutes=number),
            )
        )
    return SnapshotTree(nodes)


def _shown(tree: SnapshotTree) -> str:
    """Each row's name ("here" for the present state) with its lane."""
    return " ".join(f"{row.node.name if row.node else 'here'}:{row.lane}" for row in tree.rows())


@pytest.mark.parametrize(
    ("text", "current", "shown"),
    [
        ("", "", ""),
        ("i1 i2<i1 i3<i2", "i3", "i1:0 i2:0 i3:0 here:0"),
        ("i1 i2<i1 i3<i2 i4<i1 i5<i4", "i5", "i1:0 i2:1 i3:1 i4:1 i5:1 here:1"),
        ("i1 i2<i1 i3<i2", "i1", "i1:0 i2:1 i3:1 here:1"),
        ("i1 i2<i1 i3<i2", "i2", "i1:0 i2:0 i3:1 here:1"),
        ("i1", "", "i1:1 here:1"),
        ("i1 i2<gone i3<i2", "i3", "i1:1 i2:1 i3:1 here:1"),
        ("i1<i1", "i1", "i1:0 here:0"),
        ("i1<i2 i2<i1 i3<i2", "", "i1:1 i2:1 i3:1 here:1"),
    ],
)
def test_the_tree_is_shown_from_the_oldest_on_and_ends_whatever_the_parents_say(
    text: str, current: str, shown: str
) -> None:
    assert _shown(_tree(text, current)) == shown


def test_lanes_that_go_on_below_are_told() -> None:
    rows = _tree("i1 i2<i1 i3<i2 i4<i3 i5<i3 i6<i1", "i6").rows()
    told = {row.node.name if row.node else "here": row.rails for row in rows}
    # i1 forks into i2 and i6; below i2, i3 forks into i4 and i5.
    assert told == {"i1": (), "i2": (0,), "i3": (0,), "i4": (0, 1), "i5": (0,), "i6": (), "here": ()}
    ends = [row.node.name if row.node else "here" for row in rows if row.is_end]
    assert ends == ["i4", "i5", "here"]


def test_a_very_long_chain_is_no_deep_recursion() -> None:
    chain = " ".join(["i0", *(f"i{n}<i{n - 1}" for n in range(1, 256))])
    tree = _tree(chain, "i255")
    assert {row.lane for row in tree.rows()} == {0}
    assert len(tree.to_delete("i0", with_children=True)) == 256


def test_what_is_below_is_deleted_before_what_is_above() -> None:
    tree = _tree("i1 i2<i1 i3<i2 i4<i1")
    assert tree.to_delete("i1", with_children=True) == ["i4", "i3", "i2", "i1"]
    assert tree.to_delete("i1", with_children=False) == ["i1"]


def test_two_kinds_are_not_mixed() -> None:
    assert _tree("").why_no_new(external=True) is None
    assert _tree("i1 i2<i1").why_no_new(external=False) is None
    refusal = _tree("i1 i2<i1").why_no_new(external=True)
    assert refusal is not None
    assert (refusal.hindrance, refusal.names) == (Hindrance.NO_MIX, ("i1", "i2"))
    refusal = _tree("e1").why_no_new(external=False)
    assert refusal is not None
    assert refusal.names == ("e1",)


@pytest.mark.parametrize(
    ("text", "name", "supported", "hindrance"),
    [
        ("i1 i2<i1", "i1", False, None),
        ("i1 e1<i1", "i1", True, Hindrance.ORPHANS),
        ("e1 i1<e1", "i1", True, Hindrance.ORPHANS),
        ("e1 e2<e1", "e1", False, Hindrance.UNSUPPORTED),
        ("e1 e2<e1", "e1", True, None),
        ("i1 e1<i1", "e1", True, Hindrance.NO_MIX),
    ],
)
def test_nothing_is_gone_back_to_that_would_orphan_files(
    text: str, name: str, supported: bool, hindrance: Hindrance | None
) -> None:
    refusal = _tree(text).why_no_revert(name, external_supported=supported)
    assert (refusal.hindrance if refusal else None) == hindrance


@pytest.mark.parametrize(
    ("text", "name", "with_children", "is_active", "hindrance"),
    [
        ("i1 i2<i1 i3<i2", "i2", False, True, None),
        ("i1 i2<i1 i3<i2", "i1", True, False, None),
        ("e1 e2<e1 e3<e2", "e2", False, True, None),
        ("e1 e2<e1 e3<e2", "e2", False, False, Hindrance.NEWER_FIRST),
        ("e1 e2<e1 e3<e2", "e3", False, False, None),
        ("e1 e2<e1 e3<e2", "e1", True, False, None),
        ("i1 e1<i1", "e1", False, True, Hindrance.ON_INTERNAL),
        ("i1 e1<i1", "i1", False, True, Hindrance.MOVED_ON),
        ("i1 e1<i1", "i1", True, True, Hindrance.ON_INTERNAL),
        ("e1 i1<e1", "e1", False, True, Hindrance.HOLDS_OTHERS),
        ("e1 i1<e1", "i1", False, True, None),
        ("e1 i1<e1", "e1", True, True, None),
    ],
)
def test_nothing_is_deleted_that_others_need(
    text: str, name: str, with_children: bool, is_active: bool, hindrance: Hindrance | None
) -> None:
    refusal = _tree(text).why_no_delete(name, with_children=with_children, is_active=is_active)
    assert (refusal.hindrance if refusal else None) == hindrance


def test_the_present_state_is_known() -> None:
    current = _tree("i1 i2<i1", current="i1").current
    assert current is not None
    assert current.name == "i1"
    assert _tree("i1").current is None


@pytest.mark.parametrize(("keep", "removed"), [(1, ["i1", "i2"]), (2, ["i1"]), (3, []), (9, [])])
def test_the_oldest_go_first_when_there_are_too_many(keep: int, removed: list[str]) -> None:
    nodes = list(_tree("i1 i2<i1 i3<i2").nodes.values())
    assert to_remove(list(reversed(nodes)), keep=keep) == removed
