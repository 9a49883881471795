"""What all operations on virtual machines share: the reasons why not, in the operator's words."""

from collections.abc import Callable, Iterable

from django.utils.translation import gettext as _

from hypervisors.models import Domain
from hypervisors.operations.engine.locks import clock
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.types import OperationType
from hypervisors.privileges import Privilege
from hypervisors.states import ACTIVE_DOMAIN_STATES, DomainState

Reason = Callable[[Domain], str]

# Where a page shows it: the big button's choices, the ways to stop, a button of its own, the menu.
POWER, STOP, MOVE, MORE = "power", "stop", "move", "more"

IS_OFF = frozenset({None, DomainState.SHUTOFF})


class DomainOperation(OperationType[Domain]):
    """Base of the kinds on one virtual machine. The first of `obstacles` that applies is the reason."""

    subject_type = "domain"
    privilege = Privilege.DOMAIN_OPERATE
    group: str = MORE
    # Within its group, least first.
    position: int = 0
    obstacles: tuple[Reason, ...] = ()
    # Whether it can be asked of a template, which never runs and whose disks stay as they are.
    is_for_templates: bool = False

    def group_of(self, domain: Domain) -> str:
        """Where this machine's page shows it."""
        return self.group

    def why_gone(self, domain: Domain) -> str:
        if domain.vanished_at is not None:
            return _("No host has it any more; it was last seen at %(time)s.") % {"time": clock(domain.vanished_at)}
        return ""

    def why_not(self, domain: Domain) -> str:
        reason = self.why_gone(domain) or why_unreachable(domain.hypervisor)
        if not reason and domain.is_template and not self.is_for_templates:
            reason = _("It is a template, which never runs and does not change.")
        return reason or _first(self.obstacles, domain)


def needs_state(states: Iterable[DomainState]) -> Reason:
    """The domain must be in one of these."""
    allowed = frozenset(states)
    return lambda domain: "" if domain.state in allowed else _state_text(domain)


def not_answering(domain: Domain) -> str:
    if domain.is_active and not domain.answering:
        return _("Its QEMU process does not answer. Wait, or force it off.")
    return ""


def transient(domain: Domain) -> str:
    if not domain.persistent:
        return _("It is transient: its host forgets it as soon as it is off.")
    return ""


def with_snapshots(domain: Domain) -> str:
    if domain.has_snapshots:
        return _("It has snapshots; delete them first.")
    return ""


def without_snapshots(domain: Domain) -> str:
    return "" if domain.has_snapshots else _("It has no snapshots.")


def saved(domain: Domain) -> str:
    if domain.has_managed_save:
        return _("It has a saved state; start it, or discard the saved state first.")
    return ""


def still_on(domain: Domain) -> str:
    """It must be off; why it is not, and how it gets there."""
    texts = {
        DomainState.RUNNING: _("It is running; shut it down first."),
        DomainState.BLOCKED: _("It is running; shut it down first."),
        DomainState.PAUSED: _("It is paused; resume it and shut it down first."),
        DomainState.CRASHED: _("It has crashed, and is kept as it was: force it off first."),
        DomainState.PMSUSPENDED: _("Its guest sleeps; wake it up and shut it down first."),
    }
    return texts.get(DomainState(domain.state)) or OFF(domain)


def delete_protected(domain: Domain) -> str:
    if domain.delete_protected:
        return _("It is protected from deletion; take the protection back first.")
    return ""


def nothing_saved(domain: Domain) -> str:
    return "" if domain.has_managed_save else _("It has no saved state.")


def paused_already(domain: Domain) -> str:
    return _("It is paused already.") if domain.state == DomainState.PAUSED else ""


RUNNING = needs_state({DomainState.RUNNING, DomainState.BLOCKED})
ACTIVE = needs_state(ACTIVE_DOMAIN_STATES)
OFF = needs_state({DomainState.SHUTOFF})
RUNNING_OR_PAUSED = needs_state({DomainState.RUNNING, DomainState.BLOCKED, DomainState.PAUSED})
MOVABLE = needs_state({DomainState.RUNNING, DomainState.BLOCKED, DomainState.PAUSED, DomainState.SHUTOFF})
SLEEPING = needs_state({DomainState.PAUSED, DomainState.PMSUSPENDED})


def _first(obstacles: Iterable[Reason], domain: Domain) -> str:
    return next(filter(None, (obstacle(domain) for obstacle in obstacles)), "")


def _state_text(domain: Domain) -> str:
    texts = {
        DomainState.RUNNING: _("It is running."),
        DomainState.BLOCKED: _("It is running."),
        DomainState.PAUSED: _("It is paused; resume it first."),
        DomainState.SHUTDOWN: _("It is shutting down."),
        DomainState.SHUTOFF: _("It is shut off."),
        DomainState.CRASHED: _("It has crashed, and is kept as it was: reset it, or force it off."),
        DomainState.PMSUSPENDED: _("Its guest sleeps; resume it to wake it up."),
    }
    return texts.get(DomainState(domain.state), _("Its state is not known."))
