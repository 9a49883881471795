"""Kinds that ask the guest: it may take its time or not listen.

The waiting holds no worker's slot: the operation is parked between two looks, so that a hundred guests can be waited
for at once and a force off goes ahead of it. The guest is asked once, whatever becomes of the worker that asks.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.translation import gettext as _

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.connections import Connection
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import DomainOperation
from hypervisors.operations.engine.records import NOTE
from hypervisors.operations.engine.runs import Later, Result, Run, cancelled, failed, interrupted, succeeded
from hypervisors.operations.engine.types import Text

TIMEOUT_SECONDS = 120.0
_CALL_SECONDS = 40.0
# Looked at often at first, for those that are quick.
_QUICK_LOOK_SECONDS, _LOOK_SECONDS = 0.3, 1.0
_QUICK_FOR_SECONDS = 10.0
# Keys of `progress`: when a worker set about asking, and when the guest had been asked.
ASKING_AT, ASKED_AT = "asking_at", "asked_at"


@dataclass(frozen=True, kw_only=True)
class GuestRequestParameters:
    """`timeout_seconds`: how long the guest is waited for; None for TIMEOUT_SECONDS."""

    timeout_seconds: float | None = None


class GuestRequest(DomainOperation):
    """A subclass says how to ask, and how to see that the guest listened."""

    can_be_cancelled = True
    Parameters: ClassVar[type[Any]] = GuestRequestParameters
    # What is said when the guest did not listen (%(seconds)d), and when nobody waits for it any more.
    unheard: ClassVar[Text] = ""
    given_up: ClassVar[Text] = ""

    def check(self, domain: Domain, given: Mapping[str, Any]) -> GuestRequestParameters:
        seconds = given.get("timeout_seconds")
        if seconds is not None and (not isinstance(seconds, int | float) or not 1 <= seconds <= 3600):
            raise NotPossible(_("The time to wait for the guest must be between 1 second and an hour."))
        return GuestRequestParameters(timeout_seconds=seconds)

    def ask(self, connection: Connection, run: Run) -> None:
        """Press the power button. Raises: errors.HypervisorError."""
        raise NotImplementedError

    def seen(self, connection: Connection, run: Run, *, asked_at: float) -> str:
        """What came of it, for people; "" while nothing did. `asked_at` is in epoch seconds."""
        raise NotImplementedError

    def run(self, run: Run) -> Result:
        progress = run.operation.progress
        if ASKING_AT in progress or ASKED_AT in progress:
            return self._look(run)
        asked_at = time.time()
        # Written first: who takes this over must not press the button again.
        run.report_now({ASKING_AT: asked_at})
        try:
            run.ask(lambda connection: self.ask(connection, run), seconds=_CALL_SECONDS)
        except HypervisorError as error:
            done = _("Done.")
            return run.judge(
                lambda connection: bool(self.seen(connection, run, asked_at=asked_at)), done=done, problem=error
            )
        run.report_now({ASKING_AT: asked_at, ASKED_AT: asked_at})
        return self._look(run)

    def _look(self, run: Run) -> Result:
        progress = run.operation.progress
        was_asked = ASKED_AT in progress
        asked_at = float(progress[ASKED_AT if was_asked else ASKING_AT])
        timeout_seconds, waited_seconds = timeout_of(run), time.time() - asked_at
        unseen: HypervisorError | None = None
        try:
            if text := run.ask(lambda connection: self.seen(connection, run, asked_at=asked_at)):
                return succeeded(text)
        except HypervisorError as error:
            unseen = error
        if run.cancel_requested.is_set():
            return cancelled(str(self.given_up))
        if waited_seconds >= timeout_seconds:
            return self._unheard(unseen, was_asked=was_asked, seconds=timeout_seconds)
        quick = waited_seconds < _QUICK_FOR_SECONDS
        note = _("The guest was asked; waiting for it.") if was_asked else _("Waiting for the guest.")
        return Later(
            seconds=_QUICK_LOOK_SECONDS if quick else _LOOK_SECONDS,
            progress=dict(progress) | {"waits_until": asked_at + timeout_seconds, NOTE: note},
        )

    def _unheard(self, unseen: HypervisorError | None, *, was_asked: bool, seconds: float) -> Result:
        if unseen is not None:
            return interrupted(_("What came of it is not known: %(error)s") % {"error": unseen})
        if not was_asked:
            return interrupted(_("The worker was interrupted: whether the guest was asked is not known. Try again."))
        return failed(str(self.unheard) % {"seconds": round(seconds)})


def timeout_of(run: Run) -> float:
    return float(run.parameters.timeout_seconds or TIMEOUT_SECONDS)
