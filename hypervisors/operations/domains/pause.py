"""Pause: its CPUs stand still; memory and devices stay."""

from uuid import UUID

from django.utils.translation import gettext_lazy as _

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.actions import pause_domain
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import POWER, RUNNING, not_answering, paused_already
from hypervisors.operations.domains.single_calls import SingleCall
from hypervisors.operations.engine.runs import Run
from hypervisors.states import DomainState


class Pause(SingleCall):
    kind = "pause"
    label = _("Pause")
    icon = "player-pause"
    group, position = POWER, 40
    in_bulk = True
    obstacles = (paused_already, RUNNING, not_answering)
    done = _("It is paused.")

    def is_offered(self, domain: Domain) -> bool:
        return domain.state == DomainState.RUNNING

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        pause_domain(connection, uuid)

    def is_done(self, connection: Connection, uuid: UUID, run: Run) -> bool:
        return domain_state(connection, uuid) == DomainState.PAUSED
