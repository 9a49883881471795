"""Why an operation cannot be asked for now: from rows alone, in the operator's words."""

from collections.abc import Callable
from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from hypervisors.models import Domain, Hypervisor, Operation
from hypervisors.operations.engine.kinds import KIND_FACTS, kind_label
from hypervisors.states import (
    ACTIVE_DOMAIN_STATES,
    DomainState,
    HypervisorStatus,
    OperationKind,
    OperationState,
)


def why_not(domain: Domain, kind: OperationKind) -> str:
    """The reason why it cannot be done now; "" when it can. One query, and one for the hypervisor's row."""
    return _why_not(domain, kind, find_unfinished_operation(domain))


def possible_kinds(domain: Domain) -> dict[OperationKind, str]:
    """`why_not` for every kind, with one query in all."""
    unfinished = find_unfinished_operation(domain)
    return {kind: _why_not(domain, kind, unfinished) for kind in OperationKind}


def find_unfinished_operation(domain: Domain) -> Operation | None:
    """The one that holds the domain."""
    return Operation.objects.unfinished().filter(domain=domain).select_related("requested_by").first()


def why_busy(operation: Operation) -> str:
    """Who holds the domain, with what and since when."""
    texts = {
        OperationState.QUEUED: _("“%(kind)s”, asked for by %(user)s at %(time)s, is waiting to be done on %(domain)s."),
        OperationState.RUNNING: _("“%(kind)s”, asked for by %(user)s at %(time)s, is still running on %(domain)s."),
    }
    text = texts[OperationState(operation.state)] % {
        "kind": kind_label(operation.kind),
        "user": operation.requested_by.get_username() if operation.requested_by else _("somebody"),
        "time": clock(operation.requested_at),
        "domain": operation.domain_name,
    }
    advice = _("Wait for it, or cancel it in the task list.")
    if not KIND_FACTS[OperationKind(operation.kind)].can_be_cancelled and operation.state == OperationState.RUNNING:
        advice = _("Wait for it to end.")
    return f"{text} {advice}"


def why_unreachable(hypervisor: Hypervisor | None) -> str:
    """Why nothing can be asked of the hypervisor now; "" when it is online."""
    if hypervisor is None:
        return _("Its host was removed from vmportal.")
    values = {"host": hypervisor.name, "time": clock(hypervisor.seen_at or hypervisor.status_since)}
    if hypervisor.is_disabled:
        return _("%(host)s is disabled: vmportal leaves it alone.") % values
    match hypervisor.status:
        case HypervisorStatus.ONLINE:
            return ""
        case HypervisorStatus.CONNECTING if hypervisor.seen_at is None:
            return _("%(host)s has not been reached yet.") % values
        case HypervisorStatus.OFFLINE if hypervisor.seen_at is None:
            return _("%(host)s has not been reached yet.") % values
        case HypervisorStatus.STALE:
            return _("%(host)s has not answered since %(time)s.") % values
        case _:
            return _("%(host)s is offline; it was last seen at %(time)s.") % values


def clock(moment: datetime) -> str:
    """ "14:03", with the date when that was not today."""
    local = timezone.localtime(moment)
    time = date_format(local, "H:i")
    return time if local.date() == timezone.localdate() else f"{date_format(local, 'Y-m-d')} {time}"


def _why_not(domain: Domain, kind: OperationKind, unfinished: Operation | None) -> str:
    if domain.vanished_at is not None:
        return _("No host has it any more; it was last seen at %(time)s.") % {"time": clock(domain.vanished_at)}
    if unfinished is not None and OperationKind(unfinished.kind) not in KIND_FACTS[kind].supersedes:
        return why_busy(unfinished)
    return why_unreachable(domain.hypervisor) or _OBSTACLES[kind](domain)


def _needs(*states: DomainState) -> Callable[[Domain], str]:
    return lambda domain: "" if domain.state in states else _state_text(domain)


def _state_text(domain: Domain) -> str:
    texts = {
        DomainState.RUNNING: _("It is running."),
        DomainState.BLOCKED: _("It is running."),
        DomainState.PAUSED: _("It is paused; resume it first."),
        DomainState.SHUTDOWN: _("It is shutting down."),
        DomainState.SHUTOFF: _("It is shut off."),
        DomainState.CRASHED: _("It has crashed."),
        DomainState.PMSUSPENDED: _("Its guest sleeps; resume it to wake it up."),
    }
    return texts.get(DomainState(domain.state), _("Its state is not known."))


def _not_answering(domain: Domain) -> str:
    if domain.is_active and not domain.answering:
        return _("Its QEMU process does not answer. Wait, or force it off.")
    return ""


def _transient(domain: Domain) -> str:
    if not domain.persistent:
        return _("It is transient: its host forgets it as soon as it is off.")
    return ""


def _saved(domain: Domain) -> str:
    if domain.has_managed_save:
        return _("It has a saved state; start it, or discard the saved state first.")
    return ""


def _all_of(*reasons: Callable[[Domain], str]) -> Callable[[Domain], str]:
    """The first reason that applies."""
    return lambda domain: next(filter(None, (reason(domain) for reason in reasons)), "")


def _nothing_saved(domain: Domain) -> str:
    return "" if domain.has_managed_save else _("It has no saved state.")


def _not_paused_already(domain: Domain) -> str:
    return _("It is paused already.") if domain.state == DomainState.PAUSED else ""


_RUNNING = _needs(DomainState.RUNNING, DomainState.BLOCKED)
_ACTIVE = _needs(*ACTIVE_DOMAIN_STATES, DomainState.CRASHED)
_OFF = _needs(DomainState.SHUTOFF, DomainState.CRASHED)
_SAVEABLE = _needs(DomainState.RUNNING, DomainState.BLOCKED, DomainState.PAUSED)
_MOVABLE = _needs(DomainState.RUNNING, DomainState.BLOCKED, DomainState.PAUSED, DomainState.SHUTOFF)

_OBSTACLES: dict[OperationKind, Callable[[Domain], str]] = {
    OperationKind.START: _OFF,
    OperationKind.SHUT_DOWN: _all_of(_RUNNING, _not_answering),
    OperationKind.REBOOT: _all_of(_RUNNING, _not_answering),
    OperationKind.FORCE_OFF: _ACTIVE,
    OperationKind.RESET: _ACTIVE,
    OperationKind.PAUSE: _all_of(_not_paused_already, _RUNNING, _not_answering),
    OperationKind.RESUME: _all_of(_needs(DomainState.PAUSED, DomainState.PMSUSPENDED), _not_answering),
    OperationKind.SAVE: _all_of(_SAVEABLE, _transient, _not_answering),
    OperationKind.DISCARD_SAVED: _all_of(_nothing_saved, _OFF),
    OperationKind.RENAME: _all_of(_transient, _OFF, _saved),
    OperationKind.SET_AUTOSTART: _transient,
    OperationKind.DESCRIBE: _not_answering,
    OperationKind.MIGRATE: _all_of(_MOVABLE, _saved, _not_answering),
}
