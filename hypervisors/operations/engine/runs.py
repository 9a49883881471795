"""What a kind gets to work with when it runs, and what it may return."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from uuid import UUID

from hypervisors.errors import HypervisorError
from hypervisors.gateway.connections import Connection
from hypervisors.models import Hypervisor, Operation
from hypervisors.states import OperationState

T = TypeVar("T")

# By default a question may take so long: connecting takes 8 s at most (gateway.connections), plus a few round trips.
LOOK_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Later:
    """Not now: deliver it again in so many seconds. `progress` replaces what the row says, where given."""

    seconds: float
    progress: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an operation ended, for people."""

    state: OperationState
    text: str
    progress: Mapping[str, Any] = field(default_factory=dict)


Result = Outcome | Later


def succeeded(text: str) -> Outcome:
    return Outcome(state=OperationState.SUCCEEDED, text=text)


def failed(text: str) -> Outcome:
    return Outcome(state=OperationState.FAILED, text=text)


def cancelled(text: str) -> Outcome:
    return Outcome(state=OperationState.CANCELLED, text=text)


def interrupted(text: str) -> Outcome:
    return Outcome(state=OperationState.INTERRUPTED, text=text)


class Run(Protocol):
    """The claimed operation, its hypervisors' connections, its progress, and whether somebody wants it to end.

    `adopted`: another runner began and died; `resumed`: it was parked, by a Later.
    """

    operation: Operation
    adopted: bool
    resumed: bool
    cancel_requested: threading.Event
    # The row is not ours any more: whatever comes of it is nobody's.
    lost: threading.Event

    @property
    def uuid(self) -> UUID:
        """The domain's, for operations on one. Raises: errors.NotPossible."""

    @property
    def name(self) -> str:
        """What the subject was called when it was asked for."""

    @property
    def parameters(self) -> Any:
        """The kind's Parameters."""

    @property
    def source(self) -> Hypervisor:
        """Where the subject is. Raises: errors.NotPossible."""

    @property
    def target(self) -> Hypervisor:
        """Where it is to go. Raises: errors.NotPossible."""

    def ask(
        self,
        question: Callable[[Connection], T],
        *,
        hypervisor: Hypervisor | None = None,
        seconds: float = LOOK_SECONDS,
    ) -> T:
        """Ask a hypervisor (the source, unless told otherwise), connecting first where needed.

        Raises: errors.HypervisorError; NotAnswered after `seconds`, and the connection that hangs is given up.
        """

    def report(self, progress: Mapping[str, Any]) -> None:
        """Show how far it is, four times a second at most."""

    def report_now(self, progress: Mapping[str, Any]) -> None:
        """Write it before going on, however often it was reported lately. Raises: records.RecordsAway, RowLost."""

    def judge(self, is_done: Callable[[Connection], bool], *, done: str, problem: HypervisorError | None) -> Outcome:
        """Look whether it came to what was asked, whatever the call said."""
