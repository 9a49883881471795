"""What is fixed about each kind of operation: name, queue, what it supersedes, if it can be cancelled."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from hypervisors.states import OperationKind

OPERATIONS_QUEUE = "operations"
MIGRATIONS_QUEUE = "migrations"


@dataclass(frozen=True, kw_only=True)
class KindFacts:
    """`label` is the button's word. Superseded kinds are ended when this one is asked for while they wait."""

    label: str | Promise
    queue: str = OPERATIONS_QUEUE
    supersedes: frozenset[OperationKind] = frozenset()
    can_be_cancelled: bool = False


_GUEST_WAITS = frozenset({OperationKind.SHUT_DOWN, OperationKind.REBOOT})

KIND_FACTS: dict[OperationKind, KindFacts] = {
    OperationKind.START: KindFacts(label=_("Start")),
    OperationKind.SHUT_DOWN: KindFacts(label=_("Shut down"), can_be_cancelled=True),
    OperationKind.REBOOT: KindFacts(label=_("Reboot"), can_be_cancelled=True),
    OperationKind.FORCE_OFF: KindFacts(label=_("Force off"), supersedes=_GUEST_WAITS),
    OperationKind.RESET: KindFacts(label=_("Reset"), supersedes=_GUEST_WAITS),
    OperationKind.PAUSE: KindFacts(label=_("Pause")),
    OperationKind.RESUME: KindFacts(label=_("Resume")),
    OperationKind.SAVE: KindFacts(label=_("Save"), can_be_cancelled=True),
    OperationKind.DISCARD_SAVED: KindFacts(label=_("Discard saved state")),
    OperationKind.RENAME: KindFacts(label=_("Rename")),
    OperationKind.SET_AUTOSTART: KindFacts(label=_("Change autostart")),
    OperationKind.DESCRIBE: KindFacts(label=_("Change title and description")),
    OperationKind.MIGRATE: KindFacts(label=_("Migrate"), queue=MIGRATIONS_QUEUE, can_be_cancelled=True),
}


def kind_label(kind: str) -> str:
    return str(KIND_FACTS[OperationKind(kind)].label)
