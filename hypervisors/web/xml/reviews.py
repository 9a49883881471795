"""What is to be seen before typed XML is applied: what it changes, what others changed, and what speaks against it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.errors import Conflict, NotPossible
from hypervisors.libvirtxml.typed_documents import MalformedXml, read_typed
from hypervisors.models.xml_versions import digest
from hypervisors.operations.engine.registry import operation_type
from hypervisors.schemas.relax_ng import SchemaFault, schema_faults
from hypervisors.web.xml.differences import Difference, difference
from hypervisors.web.xml.subjects import XmlSubject


@dataclass(frozen=True, kw_only=True)
class Review:
    """`reviewed` is of the text that was looked at: nothing else is applied."""

    reviewed: str
    base: str
    # Not well-formed, or not what belongs here: said at its line.
    malformed: str = ""
    line: int = 0
    # Why it cannot be done, for people.
    problem: str = ""
    # None: there is no schema here, or it was not asked.
    faults: tuple[SchemaFault, ...] | None = None
    mine: Difference = field(default_factory=Difference)
    # What others changed since it was opened; None: nothing.
    theirs: Difference | None = None

    @property
    def is_conflict(self) -> bool:
        return self.theirs is not None

    @property
    def fault_lines(self) -> list[dict[str, Any]]:
        return told_faults(self.faults or ())

    @property
    def fits_schema(self) -> bool:
        return self.faults == () and not self.problem

    @property
    def can_apply(self) -> bool:
        return not (self.malformed or self.problem or self.is_conflict)


def told_faults(faults: Iterable[SchemaFault]) -> list[dict[str, Any]]:
    """As people read them, with their lines, or 0."""
    unknown = _("it does not fit, and no part alone is at fault: something may be missing")
    return [{"text": fault.what or unknown, "line": fault.line} for fault in faults]


def review_of(subject: XmlSubject, text: str, base: str, *, by_schema: bool) -> Review:
    """Rows alone are asked; the host judges when it is applied."""
    reviewed = digest(text)
    try:
        root = read_typed(text, root=subject.root)
    except MalformedXml as error:
        return Review(reviewed=reviewed, base=base, malformed=str(error), line=error.line)
    faults = schema_faults(root) if by_schema else None
    if base != subject.base:
        before = subject.xml_of(base)
        theirs = difference(before or "", subject.xml) if before is not None else Difference()
        mine = difference(before if before is not None else subject.xml, text)
        return Review(reviewed=reviewed, base=base, faults=faults, mine=mine, theirs=theirs)
    return Review(
        reviewed=reviewed,
        base=base,
        faults=faults,
        problem=_problem(subject, text, by_schema=by_schema),
        mine=difference(subject.xml, text),
    )


def _problem(subject: XmlSubject, text: str, *, by_schema: bool) -> str:
    if subject.why_not:
        return subject.why_not
    try:
        operation_type(subject.kind).check(subject.operated, subject.given(text, by_schema))
    except (NotPossible, Conflict, ValueError) as error:
        return str(error)
    return ""
