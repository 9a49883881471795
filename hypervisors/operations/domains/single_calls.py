"""Kinds that are one call and one look: done, or not, within seconds."""

from typing import ClassVar
from uuid import UUID

from django.utils.translation import gettext as _

from hypervisors.errors import ConnectionLost, HypervisorError
from hypervisors.gateway.connections import Connection
from hypervisors.operations.domains.domain_operations import DomainOperation
from hypervisors.operations.engine.bounded_calls import NotAnswered
from hypervisors.operations.engine.runs import Result, Run, failed, interrupted, succeeded
from hypervisors.operations.engine.types import Text
from hypervisors.states import OperationState


class SingleCall(DomainOperation):
    """A subclass says what to call, and how to see that it was done."""

    # For people; may contain %(name)s, %(host)s and the names of the stored parameters.
    done: ClassVar[Text] = ""
    # False where nothing in libvirt's state shows it, and the call must be believed.
    can_be_seen: ClassVar[bool] = True
    # libvirt itself waits up to 30 s for the domain's job lock.
    call_seconds: ClassVar[float] = 40.0

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        """The call. Raises: errors.HypervisorError."""
        raise NotImplementedError

    def is_done(self, connection: Connection, uuid: UUID, run: Run) -> bool:
        """The look. Raises: errors.HypervisorError."""
        raise NotImplementedError

    def run(self, run: Run) -> Result:
        problem = self._stale() if run.adopted else self._act(run)
        if not self.can_be_seen:
            return self._believed(run, problem)
        outcome = run.judge(
            lambda connection: self.is_done(connection, run.uuid, run), done=self._done_text(run), problem=problem
        )
        return interrupted(outcome.text) if run.adopted and outcome.state == OperationState.FAILED else outcome

    def _believed(self, run: Run, problem: HypervisorError | None) -> Result:
        if problem is None:
            return succeeded(self._done_text(run))
        if run.adopted or isinstance(problem, NotAnswered | ConnectionLost):
            return interrupted(_("%(problem)s Whether it was done is not known.") % {"problem": problem})
        return failed(str(problem))

    def _act(self, run: Run) -> HypervisorError | None:
        try:
            run.ask(lambda connection: self.act(connection, run.uuid, run), seconds=self.call_seconds)
        except HypervisorError as error:
            return error
        return None

    def _stale(self) -> HypervisorError:
        """Not done twice: a reset or a start that comes again minutes later is not what was asked for."""
        return HypervisorError(_("The worker that did this was interrupted. Try again if it is not as you wanted it."))

    def _done_text(self, run: Run) -> str:
        values: dict[str, object] = {"name": run.name, "host": run.source.name, **run.operation.parameters}
        return str(self.done) % values
