"""What snapshots and their files can be called."""

import re
from collections.abc import Collection

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.operations.domains.names import checked_text, name_problem

MOST_NAME_LENGTH = 100
MOST_DESCRIPTION_LENGTH = 4000
# Of the machine's name, and of the snapshot's, in the name of a file.
_MOST_PART_LENGTH = 60


def checked_snapshot_name(name: object, taken: Collection[str]) -> str:
    """Raises: errors.NotPossible, whose text says what is wrong with it."""
    name = checked_text(name, multiline=False, max_length=MOST_NAME_LENGTH, what=_("name of the snapshot"))
    if not name:
        raise NotPossible(_("A snapshot needs a name."))
    problem = name_problem(name)
    if problem:
        raise NotPossible(problem)
    if name.startswith((".", "-")):
        raise NotPossible(_("The name of a snapshot cannot begin with “.” or “-”."))
    if name.isdecimal():
        # QEMU would take it for the number of another one.
        raise NotPossible(_("The name of a snapshot cannot be a number alone."))
    if name in taken:
        raise NotPossible(_("There is a snapshot called “%(name)s” already.") % {"name": name})
    return name


def checked_description(text: object) -> str:
    """Raises: errors.NotPossible."""
    return checked_text(text or "", multiline=True, max_length=MOST_DESCRIPTION_LENGTH, what=_("description"))


def file_name(domain_name: str, part: str, snapshot_name: str, *, suffix: str, taken: Collection[str]) -> str:
    """For what a snapshot keeps outside of a disk: "web1-vda.before-upgrade.qcow2"; with a number where it is taken."""
    stem = f"{_plain(domain_name)}-{_plain(part)}.{_plain(snapshot_name)}"
    name, number = f"{stem}{suffix}", 2
    while name in taken:
        name, number = f"{stem}-{number}{suffix}", number + 1
    return name


def _plain(text: str) -> str:
    """Letters, digits and dashes."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:_MOST_PART_LENGTH] or "x"
