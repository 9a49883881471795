"""What can be asked of one virtual machine now: words, icon, why not, and what is asked before."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.models import Domain
from hypervisors.operations.engine.requests import possible_kinds
from hypervisors.states import DomainState, OperationKind

_ICONS = {
    OperationKind.START: "player-play",
    OperationKind.SHUT_DOWN: "power",
    OperationKind.REBOOT: "refresh",
    OperationKind.FORCE_OFF: "plug-off",
    OperationKind.RESET: "rotate-clockwise-2",
    OperationKind.PAUSE: "player-pause",
    OperationKind.RESUME: "player-play",
    OperationKind.SAVE: "device-floppy",
    OperationKind.DISCARD_SAVED: "trash",
    OperationKind.RENAME: "cursor-text",
    OperationKind.SET_AUTOSTART: "player-track-next",
    OperationKind.DESCRIBE: "edit",
    OperationKind.MIGRATE: "arrows-exchange",
}
# These open a form instead of being asked for at once.
_WITH_FORM = frozenset({OperationKind.RENAME, OperationKind.DESCRIBE, OperationKind.MIGRATE})
_DANGEROUS = frozenset({OperationKind.FORCE_OFF, OperationKind.RESET, OperationKind.DISCARD_SAVED})
_QUESTIONS = {
    OperationKind.SHUT_DOWN: gettext_lazy("Shut down “%s”?"),
    OperationKind.REBOOT: gettext_lazy("Reboot “%s”?"),
    OperationKind.FORCE_OFF: gettext_lazy("Force “%s” off?"),
    OperationKind.RESET: gettext_lazy("Reset “%s”?"),
    OperationKind.SAVE: gettext_lazy("Save “%s” and stop it?"),
    OperationKind.DISCARD_SAVED: gettext_lazy("Discard the saved state of “%s”?"),
}
_WARNINGS = {
    OperationKind.SHUT_DOWN: gettext_lazy("The guest is asked to shut down by itself."),
    OperationKind.REBOOT: gettext_lazy("The guest is asked to restart by itself."),
    OperationKind.FORCE_OFF: gettext_lazy("As if its plug were pulled: what the guest has not written is lost."),
    OperationKind.RESET: gettext_lazy("As if its reset button were pressed: what the guest has not written is lost."),
    OperationKind.SAVE: gettext_lazy("Its memory goes to the host's disk; starting it again resumes where it was."),
    OperationKind.DISCARD_SAVED: gettext_lazy("It starts afresh next time; what was only in its memory is lost."),
}


@dataclass(frozen=True, kw_only=True)
class DomainAction:
    """One button or menu entry. `reason` says why it cannot be done now; empty when it can."""

    kind: OperationKind
    word: str
    icon: str
    reason: str
    url: str
    has_form: bool
    question: str
    warning: str
    is_dangerous: bool
    # Values that the request carries, besides its kind.
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class DomainActions:
    """The actions of one machine, as its page shows them."""

    first: DomainAction
    # Beside `first`, in a menu of its own: the other ways to stop.
    stopping: tuple[DomainAction, ...]
    second: DomainAction | None
    migrate: DomainAction
    more: tuple[DomainAction, ...]
    all: tuple[DomainAction, ...]

    @property
    def common_reason(self) -> str:
        """Why most of them cannot be done now, to be said once; empty when the reasons differ."""
        reason, count = Counter(action.reason for action in self.all).most_common(1)[0]
        return reason if count > 2 else ""


def domain_actions(domain: Domain, user: AbstractBaseUser | AnonymousUser) -> DomainActions:
    """All actions, with reasons for those that are not possible for this user now."""
    reasons = _reasons(domain, user)
    actions = {kind: _action(domain, kind, reasons.get(kind, "")) for kind in OperationKind}
    return DomainActions(
        first=actions[_first(domain)],
        stopping=tuple(actions[kind] for kind in _stopping(domain)),
        second=actions[OperationKind.PAUSE] if domain.state == DomainState.RUNNING else None,
        migrate=actions[OperationKind.MIGRATE],
        more=tuple(actions[kind] for kind in _more(domain)),
        all=tuple(actions[kind] for kind in _all(domain)),
    )


def may_operate(domain: Domain, user: AbstractBaseUser | AnonymousUser) -> bool:
    return Domain.objects.operable_by(user).filter(pk=domain.pk).exists()


def _reasons(domain: Domain, user: AbstractBaseUser | AnonymousUser) -> Mapping[OperationKind, str]:
    if not may_operate(domain, user):
        return dict.fromkeys(OperationKind, _("You may look at this machine, but not operate it."))
    return possible_kinds(domain)


def _first(domain: Domain) -> OperationKind:
    if domain.state in {DomainState.PAUSED, DomainState.PMSUSPENDED}:
        return OperationKind.RESUME
    return OperationKind.SHUT_DOWN if domain.is_active else OperationKind.START


def _stopping(domain: Domain) -> tuple[OperationKind, ...]:
    if not domain.is_active:
        return ()
    first = _first(domain)
    ways = (OperationKind.SHUT_DOWN, OperationKind.REBOOT, OperationKind.FORCE_OFF, OperationKind.RESET)
    return tuple(kind for kind in ways if kind != first)


def _more(domain: Domain) -> tuple[OperationKind, ...]:
    saved = OperationKind.DISCARD_SAVED if domain.has_managed_save else OperationKind.SAVE
    return (saved, OperationKind.RENAME, OperationKind.DESCRIBE, OperationKind.SET_AUTOSTART)


def _all(domain: Domain) -> tuple[OperationKind, ...]:
    kinds = [_first(domain)]
    if domain.state == DomainState.RUNNING:
        kinds.append(OperationKind.PAUSE)
    return (*kinds, *_stopping(domain), OperationKind.MIGRATE, *_more(domain))


def _action(domain: Domain, kind: OperationKind, reason: str) -> DomainAction:
    view = "migrate_domain" if kind == OperationKind.MIGRATE else "domain_form"
    arguments = [domain.uuid] if kind == OperationKind.MIGRATE else [domain.uuid, kind.value]
    asks = kind in _QUESTIONS
    return DomainAction(
        kind=kind,
        word=_word(domain, kind),
        icon=_ICONS[kind],
        reason=reason,
        url=reverse(view, args=arguments)
        if kind in _WITH_FORM
        else reverse("operate_domain", args=[domain.uuid, kind]),
        has_form=kind in _WITH_FORM,
        question=str(_QUESTIONS[kind]) % domain.label if asks else "",
        warning=str(_WARNINGS[kind]) if asks else "",
        is_dangerous=kind in _DANGEROUS,
        values=(("enabled", "" if domain.autostart else "1"),) if kind == OperationKind.SET_AUTOSTART else (),
    )


def _word(domain: Domain, kind: OperationKind) -> str:
    """What the button says; some depend on the machine."""
    if kind == OperationKind.START and domain.has_managed_save:
        return _("Restore")
    words = {
        OperationKind.START: _("Start"),
        OperationKind.SHUT_DOWN: _("Shut down"),
        OperationKind.REBOOT: _("Reboot"),
        OperationKind.FORCE_OFF: _("Force off"),
        OperationKind.RESET: _("Reset"),
        OperationKind.PAUSE: _("Pause"),
        OperationKind.RESUME: _("Resume"),
        OperationKind.SAVE: _("Save and stop"),
        OperationKind.DISCARD_SAVED: _("Discard saved state"),
        OperationKind.RENAME: _("Rename…"),
        OperationKind.SET_AUTOSTART: _("Do not start with the host") if domain.autostart else _("Start with the host"),
        OperationKind.DESCRIBE: _("Title and description…"),
        OperationKind.MIGRATE: _("Migrate…"),
    }
    return words[kind]
