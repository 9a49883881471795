"""Let somebody into an account of the guest by an SSH key, by its agent."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.guest_agent import add_ssh_key
from hypervisors.models import Domain
from hypervisors.operations.domains.guest.agents import AGENT_OBSTACLES, GuestCall
from hypervisors.operations.domains.guest.ssh_keys import GuestKeyParameters, checked_guest_key
from hypervisors.operations.engine.runs import Run
from hypervisors.privileges import Privilege


class AddGuestSshKey(GuestCall):
    kind = "add_guest_ssh_key"
    label = _("Add an SSH key in the guest")
    icon = "key"
    position = 75
    # Whoever can do this can sign in to the guest.
    privilege = Privilege.DOMAIN_CONFIGURE
    obstacles = AGENT_OBSTACLES
    Parameters: ClassVar[type[Any]] = GuestKeyParameters
    done = _("The key lets its owner in as %(user)s.")

    def check(self, domain: Domain, given: Mapping[str, Any]) -> GuestKeyParameters:
        return checked_guest_key(given)

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        add_ssh_key(connection, uuid, run.parameters.user, run.parameters.key)
