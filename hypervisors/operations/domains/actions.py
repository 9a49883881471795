"""Operations that are one call and one look: done, or not, within seconds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from hypervisors.errors import ConnectionLost, HypervisorError
from hypervisors.gateway.connections import Connection
from hypervisors.operations.engine.bounded_calls import NotAnswered
from hypervisors.operations.engine.runs import Result, Run, failed, interrupted, succeeded
from hypervisors.states import OperationState

Parameters = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Action:
    """What to call, and how to see that it was done; None where nothing shows it and the call must be believed."""

    act: Callable[[Connection, UUID, Parameters], None]
    is_done: Callable[[Connection, UUID, Parameters], bool] | None
    # For people; may contain %(name)s, %(host)s and the names of the parameters.
    done: str | Promise
    # libvirt itself waits up to 30 s for the domain's job lock.
    timeout_seconds: float = 40.0

    def __call__(self, run: Run) -> Result:
        problem = self._stale(run) if run.adopted else self._act(run)
        if self.is_done is None:
            return self._believed(run, problem)
        is_done = self.is_done
        outcome = run.judge(
            lambda connection: is_done(connection, run.uuid, run.parameters), done=self._done_text(run), problem=problem
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
            run.ask(lambda connection: self.act(connection, run.uuid, run.parameters), seconds=self.timeout_seconds)
        except HypervisorError as error:
            return error
        return None

    def _stale(self, run: Run) -> HypervisorError:
        """Not done twice: a reset or a start that comes again minutes later is not what was asked for."""
        return HypervisorError(_("The worker that did this was interrupted. Try again if it is not as you wanted it."))

    def _done_text(self, run: Run) -> str:
        return str(self.done) % ({"name": run.name, "host": run.source.name} | run.parameters)
