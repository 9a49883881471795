"""Start, or go on from the saved state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.actions import start_domain
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import OFF, POWER
from hypervisors.operations.domains.single_calls import SingleCall
from hypervisors.operations.engine.runs import Run
from hypervisors.states import ACTIVE_DOMAIN_STATES


@dataclass(frozen=True, kw_only=True)
class StartParameters:
    """`paused`: its guest waits until it is resumed."""

    paused: bool | None = None


class Start(SingleCall):
    kind = "start"
    label = gettext_lazy("Start")
    icon = "player-play"
    group, position = POWER, 20
    in_bulk = True
    obstacles = (OFF,)
    done = gettext_lazy("It runs on %(host)s.")
    # Reading back gigabytes of saved memory from a disk.
    call_seconds = 600.0
    Parameters: ClassVar[type[Any]] = StartParameters

    def word(self, domain: Domain) -> str:
        return _("Restore") if domain.has_managed_save else str(self.label)

    def is_offered(self, domain: Domain) -> bool:
        return not domain.is_active

    def check(self, domain: Domain, given: Mapping[str, Any]) -> StartParameters:
        return StartParameters(paused=True if given.get("paused") else None)

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        start_domain(connection, uuid, paused=bool(run.parameters.paused))

    def is_done(self, connection: Connection, uuid: UUID, run: Run) -> bool:
        return domain_state(connection, uuid) in ACTIVE_DOMAIN_STATES
