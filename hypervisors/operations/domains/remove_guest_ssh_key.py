"""Take an SSH key of an account of the guest away, by its agent."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.guest_agent import remove_ssh_key
from hypervisors.models import Domain
from hypervisors.operations.domains.guest.agents import AGENT_OBSTACLES, GuestCall
from hypervisors.operations.domains.guest.ssh_keys import GuestKeyParameters, checked_guest_key
from hypervisors.operations.engine.runs import Run
from hypervisors.privileges import Privilege


class RemoveGuestSshKey(GuestCall):
    kind = "remove_guest_ssh_key"
    label = _("Remove an SSH key in the guest")
    icon = "key-off"
    position = 76
    # Whoever can do this can lock others out of the guest.
    privilege = Privilege.DOMAIN_CONFIGURE
    obstacles = AGENT_OBSTACLES
    Parameters: ClassVar[type[Any]] = GuestKeyParameters
    done = _("The key does not let its owner in as %(user)s any more.")

    def check(self, domain: Domain, given: Mapping[str, Any]) -> GuestKeyParameters:
        return checked_guest_key(given)

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        remove_ssh_key(connection, uuid, run.parameters.user, run.parameters.key)
