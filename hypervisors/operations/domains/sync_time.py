"""Set the guest's clock to that of vmportal, by its agent: after a pause or a saved state it is behind."""

from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.guest_agent import set_time
from hypervisors.operations.domains.guest.agents import AGENT_OBSTACLES, GuestCall
from hypervisors.operations.engine.runs import Run


class SyncTime(GuestCall):
    kind = "sync_time"
    label = _("Set the guest's clock")
    icon = "clock-check"
    position = 70
    obstacles = AGENT_OBSTACLES
    done = _("The guest's clock is set.")

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        set_time(connection, uuid, timezone.now())
