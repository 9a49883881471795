"""Changing the definition of a network or a storage pool, guarded by the digest of what the person saw."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext as _

from hypervisors.errors import Conflict, HypervisorError, NotFound, NotPossible
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.definitions import DefinedFacts, Definitions
from hypervisors.operations.definitions.calls import DefinitionOperation, Row
from hypervisors.operations.definitions.losses import losses_text
from hypervisors.operations.engine.runs import Result, Run, failed, succeeded
from hypervisors.operations.engine.types import Text
from hypervisors.states import OperationState

# The stored definition as it is now -> as it is to be. May raise errors.Conflict, errors.NotPossible.
Change = Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class EditParameters:
    """The digest of the definition that was seen, and the whole XML that is to be."""

    digest: str
    xml: str


class EditDefinition(DefinitionOperation[Row]):
    icon = "edit"
    Parameters: ClassVar[type[Any]] = EditParameters
    # What makes it the same one, by names of the spec's, and what is said to who changes it.
    identity: ClassVar[tuple[str, ...]]
    identity_stays: ClassVar[Text]

    def check_change(self, row: Row, new: Any, old: Any) -> None:
        """Specs of what is to be, and of what was seen. Raises: errors.NotPossible."""

    def change(self, connection: Connection, uuid: UUID, change: Change) -> None:
        """Raises: errors.HypervisorError, and Change's."""
        change_definition(self.definitions, connection, uuid, change, gone=self.gone)

    def done_text(self, facts: Any) -> str:
        """What is so now, of what `definitions` read; None where it is gone."""
        raise NotImplementedError

    def why_not_in_this_state(self, row: Row) -> str:
        if not row.persistent:
            return _("It was started without being defined: there is no definition to change.")
        return "" if row.definition_xml else _("Its definition has not been read yet.")

    def check(self, row: Row, given: Mapping[str, Any]) -> EditParameters:
        """`digest`, and `xml` or `spec`, which changes what it says of the XML that was seen."""
        digest, seen = str(given.get("digest", "")), row.definition_xml
        if self.xml.digest(seen) != digest:
            raise NotPossible(changed_text())
        try:
            xml = str(given["xml"]) if given.get("xml") else self._edited(seen, given["spec"])
            self.xml.check_typed(xml)
            new, old = self.xml.read(xml), self.xml.read(seen)
            if any(getattr(new, name) != getattr(old, name) for name in self.identity):
                raise NotPossible(str(self.identity_stays))
            if self.xml.digest(xml) == digest:
                raise NotPossible(_("Nothing is changed."))
            self.check_change(row, new, old)
        except ValueError as error:
            raise NotPossible(str(error)) from error
        return EditParameters(digest=digest, xml=xml)

    def run_on(self, run: Run, row: Row) -> Result:
        uuid, wanted = row.uuid, run.parameters
        problem: HypervisorError | None = None
        try:
            run.ask(lambda connection: self.change(connection, uuid, self._guarded(wanted)), seconds=self.call_seconds)
        except HypervisorError as error:
            problem = error
        except Conflict as error:
            return failed(str(error))
        look = _Look(self, uuid, wanted.xml)
        outcome = run.judge(look.is_so, done="", problem=problem)
        if outcome.state != OperationState.SUCCEEDED:
            return outcome
        return succeeded(f"{self.done_text(look.facts)} {losses_text(wanted.xml, look.kept)}".strip())

    def _edited(self, xml: str, values: Mapping[str, Any]) -> str:
        """Raises: errors.NotPossible, ValueError."""
        spec = self.xml.from_json(values)
        wrong = list(self.xml.new_problems(spec, self.xml.read(xml)).values())
        if wrong:
            raise NotPossible(wrong[0])
        return self.xml.edit(xml, spec)

    def _guarded(self, wanted: EditParameters) -> Change:
        def change(now: str) -> str:
            if self.xml.digest(now) == wanted.digest:
                return wanted.xml
            if not self.xml.says(now, wanted.xml):
                raise Conflict(changed_text())
            # A worker before this one defined it.
            return now

        return change


class _Look:
    """Whether it is defined as was wanted, and what libvirt has kept of that."""

    def __init__(self, kind: EditDefinition[Any], uuid: UUID, wanted: str) -> None:
        self._kind, self._uuid, self._wanted = kind, uuid, wanted
        self.facts: DefinedFacts | None = None

    @property
    def kept(self) -> str:
        return "" if self.facts is None else self.facts.definition_xml

    def is_so(self, connection: Connection) -> bool:
        self.facts = self._kind.definitions.read(connection, self._uuid)
        return self._kind.xml.says(self.kept, self._wanted)


def change_definition(
    definitions: Definitions, connection: Connection, uuid: UUID, change: Change, *, gone: Text
) -> None:
    """Raises: errors.HypervisorError, and Change's."""
    now = definitions.read(connection, uuid)
    if now is None or not now.definition_xml:
        raise NotFound(str(gone))
    wanted = change(now.definition_xml)
    if wanted != now.definition_xml:
        definitions.define(connection, wanted)


def changed_text() -> str:
    return _("Somebody changed its definition meanwhile: look at it as it is now, and change that.")
