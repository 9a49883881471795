"""Ask the guest which SSH keys let somebody into one of its accounts, by its agent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from hypervisors.errors import HypervisorError
from hypervisors.models import Domain, Operation
from hypervisors.operations.domains.guest.agents import AGENT_OBSTACLES, GuestCall
from hypervisors.operations.domains.guest.ssh_keys import read_keys, tell_of_keys
from hypervisors.operations.domains.set_guest_password import checked_guest_user
from hypervisors.operations.engine.runs import Result, Run, failed, succeeded
from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class GuestAccountParameters:
    user: str


class ListGuestSshKeys(GuestCall):
    kind = "list_guest_ssh_keys"
    label = _("Show SSH keys in the guest")
    icon = "list-details"
    position = 76
    # As for changing them: who gets in where is told to who may change it.
    privilege = Privilege.DOMAIN_CONFIGURE
    obstacles = AGENT_OBSTACLES
    Parameters: ClassVar[type[Any]] = GuestAccountParameters

    def check(self, domain: Domain, given: Mapping[str, Any]) -> GuestAccountParameters:
        return GuestAccountParameters(user=checked_guest_user(given.get("user")))

    def run(self, run: Run) -> Result:
        try:
            count = len(read_keys(run))
        except HypervisorError as error:
            return failed(str(error))
        text = ngettext("%(user)s has %(count)d SSH key.", "%(user)s has %(count)d SSH keys.", count)
        return succeeded(text % {"user": run.parameters.user, "count": count})

    def after(self, operation: Operation) -> None:
        tell_of_keys(operation)
