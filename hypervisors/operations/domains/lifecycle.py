"""Start, force off, reset, pause, resume, discard a saved state: one call each, seen at once."""

from collections.abc import Callable
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains import actions as domains
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.operations.domains.actions import Action, Parameters
from hypervisors.states import ACTIVE_DOMAIN_STATES, DomainState

# Reading back gigabytes of saved memory from a disk.
_RESTORE_SECONDS = 600.0

IS_OFF = frozenset({None, DomainState.SHUTOFF, DomainState.CRASHED})


def _plain(call: Callable[[Connection, UUID], None]) -> Callable[[Connection, UUID, Parameters], None]:
    """A call that needs no parameters."""
    return lambda connection, uuid, _parameters: call(connection, uuid)


def _start(connection: Connection, uuid: UUID, parameters: Parameters) -> None:
    domains.start_domain(connection, uuid, paused=bool(parameters.get("paused")))


def _is_active(connection: Connection, uuid: UUID, parameters: Parameters) -> bool:
    return domain_state(connection, uuid) in ACTIVE_DOMAIN_STATES


def _is_off(connection: Connection, uuid: UUID, parameters: Parameters) -> bool:
    return domain_state(connection, uuid) in IS_OFF


def _is_paused(connection: Connection, uuid: UUID, parameters: Parameters) -> bool:
    return domain_state(connection, uuid) == DomainState.PAUSED


def _is_running(connection: Connection, uuid: UUID, parameters: Parameters) -> bool:
    return domain_state(connection, uuid) in (DomainState.RUNNING, DomainState.BLOCKED)


def _has_no_saved_state(connection: Connection, uuid: UUID, parameters: Parameters) -> bool:
    return not domains.has_saved_state(connection, uuid)


START = Action(act=_start, is_done=_is_active, done=_("It runs on %(host)s."), timeout_seconds=_RESTORE_SECONDS)
FORCE_OFF = Action(
    act=_plain(domains.force_off_domain),
    is_done=_is_off,
    done=_("It is off."),
)
# Nothing in libvirt's state shows that a reset happened.
RESET = Action(
    act=_plain(domains.reset_domain),
    is_done=None,
    done=_("It was reset."),
)
PAUSE = Action(
    act=_plain(domains.pause_domain),
    is_done=_is_paused,
    done=_("It is paused."),
)
RESUME = Action(
    act=_plain(domains.resume_domain),
    is_done=_is_running,
    done=_("It runs again."),
)
DISCARD_SAVED = Action(
    act=_plain(domains.discard_saved),
    is_done=_has_no_saved_state,
    done=_("Its saved state is gone; it boots afresh at the next start."),
)
