"""Have the guest tell its disks what it does not use any more, by its agent, so that the storage can use it again."""

from uuid import UUID

from django.utils.translation import gettext_lazy as _

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.guest_agent import trim_file_systems
from hypervisors.operations.domains.guest.agents import AGENT_OBSTACLES, GuestCall
from hypervisors.operations.engine.runs import Run


class TrimFilesystems(GuestCall):
    kind = "trim_filesystems"
    label = _("Trim file systems")
    icon = "eraser"
    position = 71
    obstacles = AGENT_OBSTACLES
    done = _("The guest has trimmed its file systems.")

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        trim_file_systems(connection, uuid)
