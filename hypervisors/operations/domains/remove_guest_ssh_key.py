"""Take an SSH key of an account of the guest away, by its agent."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.guest_agent import remove_ssh_key
from hypervisors.models import Domain
from hypervisors.operations.domains.guest.ssh_keys import GuestKeyParameters, GuestKeysCall, checked_known_key
from hypervisors.operations.engine.runs import Run


class RemoveGuestSshKey(GuestKeysCall):
    kind = "remove_guest_ssh_key"
    label = _("Remove an SSH key in the guest")
    icon = "key-off"
    position = 77
    done = _("The key does not let its owner in as %(user)s any more.")

    def check(self, domain: Domain, given: Mapping[str, Any]) -> GuestKeyParameters:
        return checked_known_key(given)

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        remove_ssh_key(connection, uuid, run.parameters.user, run.parameters.key)
