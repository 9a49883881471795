"""Creating a network or a storage pool on a host, of a spec or of XML. Many hosts at once: each by itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.utils.translation import gettext as _

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.definitions import Definitions
from hypervisors.libvirtxml.definitions import DefinitionXml
from hypervisors.models import Hypervisor
from hypervisors.operations.definitions.losses import losses_text
from hypervisors.operations.definitions.steps import defined_uuid
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Outcome, Result, Run, succeeded
from hypervisors.operations.engine.steps import Step, run_steps
from hypervisors.operations.engine.types import OperationType
from hypervisors.states import OperationState


@dataclass(frozen=True, kw_only=True)
class CreateParameters:
    """`spec` as JSON, or `xml` that somebody wrote."""

    name: str
    spec: dict[str, Any] = field(default_factory=dict)
    xml: str = ""
    start: bool = True
    autostart: bool = True


class CreateDefinition(OperationType[Hypervisor]):
    subject_type = "hypervisor"
    in_bulk = True
    can_be_cancelled = True
    definitions: ClassVar[Definitions]
    xml: ClassVar[DefinitionXml[Any]]
    # Of the lock on its name.
    noun: ClassVar[str]
    start_step: ClassVar[type[Step]]
    autostart_step: ClassVar[type[Step]]
    Parameters: ClassVar[type[Any]] = CreateParameters

    def why_not_there(self, hypervisor: Hypervisor, spec: Any, *, is_xml: bool) -> str:
        """Why the host cannot have it beside what it has, from rows; "" when it can."""
        raise NotImplementedError

    def why_not(self, hypervisor: Hypervisor) -> str:
        return why_unreachable(hypervisor)

    def locks(self, hypervisor: Hypervisor, parameters: Any) -> tuple[str, ...]:
        return (f"name:{self.noun}:{hypervisor.pk}/{parameters.name}",)

    def subject_name(self, hypervisor: Hypervisor, parameters: Any) -> str:
        return str(parameters.name)

    def check(self, hypervisor: Hypervisor, given: Mapping[str, Any]) -> Any:
        spec, xml = self.checked_spec(given), str(given.get("xml") or "")
        own = self.own_parameters(given, spec)
        reason = self.why_not_there(hypervisor, spec, is_xml=bool(xml))
        if reason:
            raise NotPossible(reason)
        return self.Parameters(
            name=spec.name,
            spec={} if xml else spec.to_json(),
            xml=xml,
            start=bool(given.get("start", True)),
            autostart=bool(given.get("autostart", True)),
            **own,
        )

    def own_parameters(self, given: Mapping[str, Any], spec: Any) -> dict[str, Any]:
        """What else the noun is told. Raises: errors.NotPossible."""
        return {}

    def checked_spec(self, given: Mapping[str, Any]) -> Any:
        """Of the `spec` or the `xml` that was given. Raises: errors.NotPossible with the first thing that is wrong."""
        try:
            if given.get("xml"):
                self.xml.check_typed(str(given["xml"]))
                spec = self.xml.read(str(given["xml"]))
                # What else is in it is libvirt's to judge.
                problems = {"name": self.xml.name_problem(spec.name)}
            else:
                spec = self.xml.from_json(given.get("spec") or {})
                problems = self.xml.problems(spec)
        except ValueError as error:
            raise NotPossible(str(error)) from error
        wrong = next((problem for problem in problems.values() if problem), "")
        if wrong:
            raise NotPossible(wrong)
        return spec

    def definition(self, parameters: Any) -> str:
        """The XML that is asked for. Raises: ValueError."""
        return str(parameters.xml or self.xml.build(self.xml.from_json(parameters.spec)))

    def first_steps(self, parameters: Any) -> list[Step]:
        """Defines it, and makes what it needs."""
        raise NotImplementedError

    def steps(self, parameters: Any) -> list[Step]:
        more = ((self.start_step, parameters.start), (self.autostart_step, parameters.autostart))
        return [*self.first_steps(parameters), *(step() for step, is_wanted in more if is_wanted)]

    def run(self, run: Run) -> Result:
        parameters = run.parameters
        done = _("It is created and started.") if parameters.start else _("It is created.")
        result = run_steps(run, self.steps(parameters), done=done)
        if not isinstance(result, Outcome) or result.state != OperationState.SUCCEEDED or not parameters.xml:
            return result
        return succeeded(f"{result.text} {self._losses(run, parameters)}".strip())

    def _losses(self, run: Run, parameters: Any) -> str:
        """What libvirt left out of typed XML; "" where it cannot be asked any more."""
        uuid = defined_uuid(run)
        asked_for = self.xml.with_identity(parameters.xml, name=parameters.name, uuid=str(uuid))
        try:
            kept = run.ask(lambda connection: self.definitions.read_definition(connection, uuid))
        except HypervisorError:
            return ""
        return losses_text(asked_for, kept) if kept else ""
