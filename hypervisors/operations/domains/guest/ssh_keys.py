"""SSH keys of an account in a guest: what is asked for, and what is remembered of the answer."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisors import broadcast
from hypervisors.cloudinit.checks import check_ssh_key
from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.domains.guest_agent import MOST_KEY, list_ssh_keys
from hypervisors.models import Operation
from hypervisors.models.guest_ssh_keys import remember_guest_ssh_keys
from hypervisors.operations.domains.guest.agents import AGENT_OBSTACLES, GuestCall
from hypervisors.operations.domains.set_guest_password import checked_guest_user
from hypervisors.operations.engine.runs import Outcome, Result, Run
from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class GuestKeyParameters:
    """`key`: one line, as in authorized_keys."""

    user: str
    key: str


class GuestKeysCall(GuestCall):
    """Base of the kinds that change keys; afterwards the guest is asked which there are."""

    # Whoever can do this can sign in to the guest, or lock others out of it.
    privilege = Privilege.DOMAIN_CONFIGURE
    obstacles = AGENT_OBSTACLES
    Parameters: ClassVar[type[Any]] = GuestKeyParameters

    def run(self, run: Run) -> Result:
        result = super().run(run)
        if isinstance(result, Outcome):
            # What was asked for is done or not; the list says when it was read.
            with suppress(HypervisorError):
                read_keys(run)
        return result

    def after(self, operation: Operation) -> None:
        tell_of_keys(operation)


def read_keys(run: Run) -> list[str]:
    """Ask the guest, and remember what it said. Raises: errors.HypervisorError."""
    user = run.parameters.user
    keys = run.ask(lambda connection: list_ssh_keys(connection, run.uuid, user), seconds=GuestCall.call_seconds)
    if run.operation.domain_id is not None:
        remember_guest_ssh_keys(run.operation.domain_id, user=user, keys=keys)
    return keys


def tell_of_keys(operation: Operation) -> None:
    """Open pages of the machine look anew."""
    fields = {"guest_read_at": int(timezone.now().timestamp())}
    broadcast.publish([broadcast.Change(what="domain", id=operation.subject_key, fields=fields)])


def checked_new_key(given: Mapping[str, Any]) -> GuestKeyParameters:
    """Raises: errors.NotPossible."""
    key = str(given.get("key") or "").strip()
    try:
        check_ssh_key(key)
    except ValueError as error:
        raise NotPossible(str(error)) from error
    return GuestKeyParameters(user=checked_guest_user(given.get("user")), key=key)


def checked_known_key(given: Mapping[str, Any]) -> GuestKeyParameters:
    """A line that the guest has said: whatever that is, it may be taken away. Raises: errors.NotPossible."""
    key = str(given.get("key") or "").strip()
    if not key or len(key) > MOST_KEY or not key.isprintable():
        raise NotPossible(_("An SSH key is one line: its type, the key and a comment."))
    return GuestKeyParameters(user=checked_guest_user(given.get("user")), key=key)
