"""Give somebody who has an account in the guest another password there, by its agent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.guest_agent import set_password
from hypervisors.models import Domain
from hypervisors.operations.domains.guest.agents import AGENT_OBSTACLES, GuestCall
from hypervisors.operations.engine.runs import Run
from hypervisors.privileges import Privilege

_MOST_PASSWORD = 200
# Names of Linux and Windows; a line break or a colon would be a second account to some agents.
_USER = re.compile(r"[^\s:/\\\x00-\x1f\x7f-\x9f-][^:/\\\x00-\x1f\x7f-\x9f]{0,63}")


@dataclass(frozen=True, kw_only=True)
class GuestPasswordParameters:
    user: str
    password: str = ""


class SetGuestPassword(GuestCall):
    kind = "set_guest_password"
    label = gettext_lazy("Set a password in the guest")
    icon = "password-user"
    position = 74
    # Whoever can do this can sign in to the guest.
    privilege = Privilege.DOMAIN_CONFIGURE
    obstacles = AGENT_OBSTACLES
    Parameters: ClassVar[type[Any]] = GuestPasswordParameters
    secret_parameters = frozenset({"password"})
    done = gettext_lazy("The password of %(user)s is set.")

    def check(self, domain: Domain, given: Mapping[str, Any]) -> GuestPasswordParameters:
        password = given.get("password")
        if not isinstance(password, str) or not 1 <= len(password) <= _MOST_PASSWORD:
            raise NotPossible(_("A password has 1 to %(most)d characters.") % {"most": _MOST_PASSWORD})
        if not password.isprintable():
            raise NotPossible(_("A password is one line of printable characters."))
        return GuestPasswordParameters(user=checked_guest_user(given.get("user")), password=password)

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        set_password(connection, uuid, user=run.parameters.user, password=run.parameters.password)


def checked_guest_user(given: object) -> str:
    """Raises: errors.NotPossible."""
    user = str(given or "").strip()
    if not _USER.fullmatch(user):
        raise NotPossible(_("Say whose account in the guest it is."))
    return user
