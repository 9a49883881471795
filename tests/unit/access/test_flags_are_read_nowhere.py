"""Rights stand in one place: account flags, and the decorators built on them, are read nowhere else."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
# Where the flags are kept in step, and the migrations that come from them.
ALLOWED = ("hypervisors/access/account_flags.py", "hypervisors/administration/people.py", "hypervisors/migrations/")
FLAGS = re.compile(r"\b(is_staff|is_superuser|has_perms?|staff_member_required|permission_required|user_passes_test)\b")


def sources() -> list[Path]:
    folders = ("hypervisors", "vmportal", "templates")
    return [
        path
        for folder in folders
        for path in sorted((REPOSITORY / folder).rglob("*"))
        if path.suffix in {".py", ".html"}
    ]


def test_no_flag_is_read() -> None:
    found = sources()
    assert len(found) > 200
    names = {path: str(path.relative_to(REPOSITORY)) for path in found}
    others = [path for path, name in names.items() if not name.startswith(ALLOWED)]
    assert not {names[path]: FLAGS.findall(path.read_text()) for path in others if FLAGS.search(path.read_text())}
