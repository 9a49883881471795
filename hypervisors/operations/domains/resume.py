"""Resume what is paused, and wake up a guest that sleeps."""

from uuid import UUID

from django.utils.translation import gettext_lazy as _

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.actions import resume_domain
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import POWER, SLEEPING, not_answering
from hypervisors.operations.domains.single_calls import SingleCall
from hypervisors.operations.engine.runs import Run
from hypervisors.states import DomainState


class Resume(SingleCall):
    kind = "resume"
    label = _("Resume")
    icon = "player-play"
    group, position = POWER, 10
    in_bulk = True
    obstacles = (SLEEPING, not_answering)
    done = _("It runs again.")

    def is_offered(self, domain: Domain) -> bool:
        return domain.state in {DomainState.PAUSED, DomainState.PMSUSPENDED}

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        resume_domain(connection, uuid)

    def is_done(self, connection: Connection, uuid: UUID, run: Run) -> bool:
        return domain_state(connection, uuid) in (DomainState.RUNNING, DomainState.BLOCKED)
