"""Force off: as if the plug were pulled."""

from uuid import UUID

from django.utils.translation import gettext_lazy as _

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.actions import force_off_domain
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import ACTIVE, IS_OFF, STOP
from hypervisors.operations.domains.single_calls import SingleCall
from hypervisors.operations.engine.runs import Run


class ForceOff(SingleCall):
    kind = "force_off"
    label = _("Force off")
    icon = "plug-off"
    group, position = STOP, 30
    in_bulk = True
    is_dangerous = True
    question = _("Force “%s” off?")
    warning = _("As if its plug were pulled: what the guest has not written is lost.")
    supersedes = frozenset({"shut_down", "shut_down_and_start", "reboot", "remove_device"})
    obstacles = (ACTIVE,)
    done = _("It is off.")

    def is_offered(self, domain: Domain) -> bool:
        return domain.is_active

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        force_off_domain(connection, uuid)

    def is_done(self, connection: Connection, uuid: UUID, run: Run) -> bool:
        return domain_state(connection, uuid) in IS_OFF
