"""Shut down and start: what waits for the next start applies. A reboot would not do: it keeps the QEMU process."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.actions import start_domain
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import RUNNING, STOP, Reason, not_answering, transient
from hypervisors.operations.domains.shut_down import ShutDown
from hypervisors.operations.engine.records import NOTE
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.states import ACTIVE_DOMAIN_STATES, OperationState

_START_SECONDS = 120.0
# Key of `progress`: a worker has set about starting it.
_STARTING = "starting"


class ShutDownAndStart(ShutDown):
    kind = "shut_down_and_start"
    label = gettext_lazy("Shut down and start")
    icon = "rotate-clockwise"
    group, position = STOP, 25
    in_bulk = False
    question = gettext_lazy("Shut “%s” down and start it again?")
    warning = gettext_lazy("The guest is asked to shut down by itself; then it is started with what waits for that.")
    obstacles: tuple[Reason, ...] = (RUNNING, not_answering, transient)
    unheard = gettext_lazy(
        "The guest did not react to the power button within %(seconds)d s and still runs. Force it off, or try again."
    )
    given_up = gettext_lazy("No longer waited for. The guest may still shut down; then it stays off.")

    def is_offered(self, domain: Domain) -> bool:
        return super().is_offered(domain) and domain.persistent

    def run(self, run: Run) -> Result:
        if _STARTING not in run.operation.progress:
            result = super().run(run)
            if getattr(result, "state", None) != OperationState.SUCCEEDED:
                return result
        return self._start(run)

    def _start(self, run: Run) -> Result:
        """Once: who takes this over looks first."""
        problem = None
        if _STARTING not in run.operation.progress:
            run.report_now({_STARTING: True, NOTE: _("It is off; starting it.")})
            problem = self._started(run)
        elif not run.ask(lambda connection: self._is_active(connection, run)):
            problem = self._started(run)
        done = _("The guest shut down and was started again.")
        return run.judge(lambda connection: self._is_active(connection, run), done=done, problem=problem)

    def _started(self, run: Run) -> HypervisorError | None:
        try:
            run.ask(lambda connection: start_domain(connection, run.uuid, paused=False), seconds=_START_SECONDS)
        except HypervisorError as error:
            return error
        return None

    def _is_active(self, connection: Connection, run: Run) -> bool:
        return domain_state(connection, run.uuid) in ACTIVE_DOMAIN_STATES
