"""Let the guest's file systems go on, should somebody have left them frozen."""

from uuid import UUID

from django.utils.translation import gettext_lazy as _

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.guest_agent import thaw
from hypervisors.operations.domains.guest.agents import AGENT_OBSTACLES, GuestCall
from hypervisors.operations.engine.runs import Run


class ThawFilesystems(GuestCall):
    kind = "thaw_filesystems"
    label = _("Thaw file systems")
    icon = "snowflake-off"
    position = 73
    obstacles = AGENT_OBSTACLES
    done = _("No file system of the guest is frozen.")

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        thaw(connection, uuid)
