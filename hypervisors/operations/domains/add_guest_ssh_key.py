"""Let somebody into an account of the guest by an SSH key, by its agent."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.guest_agent import add_ssh_key
from hypervisors.models import Domain
from hypervisors.operations.domains.guest.ssh_keys import GuestKeyParameters, GuestKeysCall, checked_new_key
from hypervisors.operations.engine.runs import Run


class AddGuestSshKey(GuestKeysCall):
    kind = "add_guest_ssh_key"
    label = _("Add an SSH key in the guest")
    icon = "key"
    position = 75
    done = _("The key lets its owner in as %(user)s.")

    def check(self, domain: Domain, given: Mapping[str, Any]) -> GuestKeyParameters:
        return checked_new_key(given)

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        add_ssh_key(connection, uuid, run.parameters.user, run.parameters.key)
