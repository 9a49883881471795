"""New machines' XML as it was when somebody last looked at it: `python -m tests.new_machines` writes it anew."""

from tests.new_machines import GOLDEN, golden_files


def test_new_machines_are_built_as_they_were_looked_at() -> None:
    built = dict(golden_files())
    assert len(built) >= 12
    differing = [path.name for path, xml in built.items() if not path.exists() or path.read_text() != xml]
    assert differing == [], "look at `git diff` after `python -m tests.new_machines`"


def test_no_golden_file_is_left_over() -> None:
    assert set((GOLDEN / "new").iterdir()) == {path for path, _xml in golden_files()}
