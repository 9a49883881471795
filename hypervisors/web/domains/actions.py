"""What can be asked of one virtual machine now: words, icon, why not, and what is asked before."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import cast

from django.urls import reverse
from django.utils.translation import gettext

from hypervisors.access import can
from hypervisors.models import Domain
from hypervisors.models.rights import Requester
from hypervisors.operations.domains.domain_operations import MORE, MOVE, POWER, STOP, DomainOperation
from hypervisors.operations.engine.registry import operation_type, types_for
from hypervisors.operations.engine.requests import possible_kinds
from hypervisors.web.domains.forms import DIALOGS

# Requests to the guest that a force off may take the place of.
FORCE_OFF_ENDS = frozenset({"shut_down", "shut_down_and_start", "reboot"})


_GUEST_KINDS = (
    *("sync_time", "trim_filesystems", "freeze_filesystems", "thaw_filesystems"),
    *("set_guest_password", "add_guest_ssh_key", "list_guest_ssh_keys"),
)


@dataclass(frozen=True, kw_only=True)
class DomainAction:
    """One button or menu entry. `reason` says why it cannot be done now; empty when it can.

    In `question` stands "%s" for the name, which the page sets apart from it.
    """

    kind: str
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

    # None for who may only look.
    first: DomainAction | None
    # Beside `first`, in a menu of its own: the other ways to stop.
    stopping: tuple[DomainAction, ...]
    second: DomainAction | None
    # None for who may not move it.
    migrate: DomainAction | None
    more: tuple[DomainAction, ...]
    all: tuple[DomainAction, ...]

    @property
    def first_style(self) -> str:
        """What brings a machine to run is the brightest button; what stops it is not."""
        return "btn" if self.first and self.first.kind == "shut_down" else "btn btn-primary"

    @property
    def common_reason(self) -> str:
        """Why most of them cannot be done now, to be said once; empty when the reasons differ."""
        counted = Counter(action.reason for action in self.all).most_common(1)
        return next((reason for reason, count in counted if count > 2), "")


def domain_actions(domain: Domain, user: Requester) -> DomainActions:
    """What makes sense now and the person's role allows, with reasons for what is not possible."""
    reasons = possible_kinds(domain)
    groups: dict[str, list[DomainAction]] = {POWER: [], STOP: [], MOVE: [], MORE: []}
    for found in sorted(_types(), key=lambda found: found.position):
        fits = found.is_for_templates or not domain.is_template
        if fits and can(user, found.privilege, domain) and found.is_offered(domain):
            groups[found.group_of(domain)].append(_action(found, domain, reasons.get(found.kind, "")))
    powers = groups[POWER]
    # Of one that crashed and is kept, nothing but its end is left.
    first = next(iter(powers or groups[STOP]), None)
    if not powers:
        del groups[STOP][:1]
    # Of a machine that is paused, shutting down is one of the ways to stop.
    stopping = [action for action in powers[1:] if action.kind == "shut_down"] + groups[STOP]
    second = next((action for action in powers[1:] if action.kind == "pause"), None)
    migrate = next(iter(groups[MOVE]), None)
    return DomainActions(
        first=first,
        stopping=tuple(stopping),
        second=second,
        migrate=migrate,
        more=tuple(groups[MORE]),
        all=(*([first] if first else []), *([second] if second else []), *stopping, *groups[MOVE], *groups[MORE]),
    )


def force_off_action(domain: Domain, user: Requester) -> DomainAction | None:
    """The way to end a request that the guest does not listen to; None for who may not."""
    found = cast("DomainOperation", operation_type("force_off"))
    if not can(user, found.privilege, domain) or not found.is_offered(domain):
        return None
    return replace(_action(found, domain, ""), word=gettext("Force off now"))


def guest_actions(domain: Domain, user: Requester) -> list[DomainAction]:
    """What a guest's agent can be asked for, as far as the person's role allows."""
    found = [cast("DomainOperation", operation_type(kind)) for kind in _GUEST_KINDS]
    reasons = possible_kinds(domain)
    actions = [_action(one, domain, reasons.get(one.kind, "")) for one in found if can(user, one.privilege, domain)]
    return [replace(action, word=f"{action.word}…") if action.has_form else action for action in actions]


def _types() -> list[DomainOperation]:
    return [cast("DomainOperation", found) for found in types_for("domain")]


def _action(found: DomainOperation, domain: Domain, reason: str) -> DomainAction:
    dialog = DIALOGS.get(found.kind)
    return DomainAction(
        kind=found.kind,
        word=found.word(domain),
        icon=found.icon,
        reason=reason,
        url=dialog(domain) if dialog else reverse("operate_domain", args=[domain.uuid, found.kind]),
        has_form=dialog is not None,
        question=str(found.question),
        warning=str(found.warning) if found.question else "",
        is_dangerous=found.is_dangerous,
        values=tuple(found.click_values(domain).items()),
    )
