"""Reset: as if the reset button were pressed."""

from uuid import UUID

from django.utils.translation import gettext_lazy as _

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.actions import reset_domain
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import ACTIVE, STOP
from hypervisors.operations.domains.single_calls import SingleCall
from hypervisors.operations.engine.runs import Run


class Reset(SingleCall):
    kind = "reset"
    label = _("Reset")
    icon = "rotate-clockwise-2"
    group, position = STOP, 40
    in_bulk = True
    is_dangerous = True
    question = _("Reset “%s”?")
    warning = _("As if its reset button were pressed: what the guest has not written is lost.")
    supersedes = frozenset({"shut_down", "reboot", "remove_device"})
    obstacles = (ACTIVE,)
    done = _("It was reset.")
    # Nothing in libvirt's state shows that a reset happened.
    can_be_seen = False

    def is_offered(self, domain: Domain) -> bool:
        return domain.is_active

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        reset_domain(connection, uuid)
