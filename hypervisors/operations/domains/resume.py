"""Resume what is paused, and wake up a guest that sleeps."""

from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.actions import disk_errors, resume_domain, state_and_reason
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.gateway.domains.states import IO_ERROR
from hypervisors.inventory.domains.troubles import state_trouble
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import POWER, SLEEPING, not_answering
from hypervisors.operations.domains.single_calls import SingleCall
from hypervisors.operations.engine.runs import Outcome, Result, Run, failed
from hypervisors.states import DomainState, OperationState


class Resume(SingleCall):
    kind = "resume"
    label = gettext_lazy("Resume")
    icon = "player-play"
    group, position = POWER, 10
    in_bulk = True
    # What only waits for the paused guest to let go of a device: it does, as soon as it runs.
    supersedes = frozenset({"remove_device"})
    obstacles = (SLEEPING, not_answering)
    done = gettext_lazy("It runs again.")

    def is_offered(self, domain: Domain) -> bool:
        return domain.state in {DomainState.PAUSED, DomainState.PMSUSPENDED}

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        resume_domain(connection, uuid)

    def run(self, run: Run) -> Result:
        result = super().run(run)
        if isinstance(result, Outcome) and result.state == OperationState.FAILED:
            return failed(self._why_still_paused(run) or result.text)
        return result

    def _why_still_paused(self, run: Run) -> str:
        """A guest whose disk is still full pauses again at its next write."""
        try:
            state, reason = run.ask(lambda connection: state_and_reason(connection, run.uuid))
            if (state, reason) != (DomainState.PAUSED, IO_ERROR):
                return ""
            errors = run.ask(lambda connection: disk_errors(connection, run.uuid))
        except HypervisorError:
            return ""
        return _("It was resumed, and an I/O error paused it again at once. %(trouble)s") % {
            "trouble": state_trouble(state, reason, errors)
        }

    def is_done(self, connection: Connection, uuid: UUID, run: Run) -> bool:
        return domain_state(connection, uuid) in (DomainState.RUNNING, DomainState.BLOCKED)
