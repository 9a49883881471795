"""Two texts line by line, side by side: what pages show of a change of XML."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest

_CONTEXT = 3
# Comparing more takes longer than anybody reads.
MOST_LINES = 8000


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of either text, or of both; numbers count from one, None where that text has none."""

    kind: str  # "same", "removed", "added" or "changed"
    old_number: int | None = None
    old: str = ""
    new_number: int | None = None
    new: str = ""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Pieces of both texts around each change; none: they are the same, or (`is_too_long`) nobody has compared them."""

    pieces: tuple[tuple[Line, ...], ...] = ()
    is_too_long: bool = False

    @property
    def added(self) -> int:
        return sum(line.new_number is not None and line.kind != "same" for piece in self.pieces for line in piece)

    @property
    def removed(self) -> int:
        return sum(line.old_number is not None and line.kind != "same" for piece in self.pieces for line in piece)


def difference(old: str, new: str) -> Difference:
    before, after = old.splitlines(), new.splitlines()
    if len(before) + len(after) > MOST_LINES:
        return Difference(is_too_long=True)
    matcher = SequenceMatcher(None, before, after)
    groups = matcher.get_grouped_opcodes(_CONTEXT) if before != after else ()
    return Difference(pieces=tuple(tuple(_piece(group, before, after)) for group in groups))


def _piece(group: list[tuple[str, int, int, int, int]], before: list[str], after: list[str]) -> Iterator[Line]:
    for what, old_start, old_end, new_start, new_end in group:
        pairs = zip_longest(range(old_start, old_end), range(new_start, new_end))
        for old, new in pairs:
            yield _line(what, old, new, before, after)


def _line(what: str, old: int | None, new: int | None, before: list[str], after: list[str]) -> Line:
    kind = "same" if what == "equal" else "added" if old is None else "removed" if new is None else "changed"
    return Line(
        kind=kind,
        old_number=None if old is None else old + 1,
        old="" if old is None else before[old],
        new_number=None if new is None else new + 1,
        new="" if new is None else after[new],
    )
