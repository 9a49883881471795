"""A run of a claimed operation: what its kind works with, over the row and the hypervisors' connections."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar
from uuid import UUID

from django.utils.translation import gettext as _

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.connections import Connection, cached_connection
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import Hypervisor, Operation
from hypervisors.operations.engine import records
from hypervisors.operations.engine.bounded_calls import NotAnswered, bounded
from hypervisors.operations.engine.records import KEPT, Claim, Heartbeat
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.engine.runs import LOOK_SECONDS, Outcome, failed, interrupted, succeeded

T = TypeVar("T")

# Browsers draw no more; each is a write to the database.
_REPORT_SECONDS = 0.25


class ClaimedRun:
    """The claimed operation, its hypervisors' connections, its progress, and whether somebody wants it to end."""

    def __init__(self, claimed: Claim, heartbeat: Heartbeat) -> None:
        self.operation: Operation = claimed.operation
        self.adopted = claimed.adopted
        self.resumed = claimed.resumed
        self.cancel_requested = heartbeat.cancel_requested
        self.lost = heartbeat.lost
        self._reported_at = 0.0

    @property
    def uuid(self) -> UUID:
        """The domain's, as libvirt knows it, for operations on one. Raises: errors.NotPossible."""
        if self.operation.domain is None:
            raise NotPossible(_("%(name)s is no virtual machine.") % {"name": self.name})
        return self.operation.domain.libvirt_uuid

    @property
    def name(self) -> str:
        """What the subject was called when it was asked for."""
        return self.operation.subject_name

    @property
    def parameters(self) -> Any:
        """The kind's Parameters."""
        return operation_type(self.operation.kind).parameters_of(self.operation)

    @property
    def source(self) -> Hypervisor:
        """Where the domain is. Raises: errors.NotPossible."""
        if self.operation.hypervisor is None:
            raise NotPossible(_("Its host was removed from vmportal."))
        return self.operation.hypervisor

    @property
    def target(self) -> Hypervisor:
        """Where it is to go. Raises: errors.NotPossible."""
        if self.operation.target_hypervisor is None:
            raise NotPossible(_("The host that it was to move to was removed from vmportal."))
        return self.operation.target_hypervisor

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
        endpoint = endpoint_of(hypervisor or self.source)
        try:
            return bounded(lambda: question(cached_connection(endpoint)), seconds=seconds)
        except NotAnswered as error:
            # Connecting again asks nothing of the one that hangs.
            with suppress(HypervisorError):
                bounded(lambda: cached_connection(endpoint).close(wait_seconds=0), seconds=1)
            host = (hypervisor or self.source).name
            raise NotAnswered(
                _("%(host)s did not answer within %(seconds)d s.") % {"host": host, "seconds": round(seconds)}
            ) from error

    def report(self, progress: Mapping[str, Any]) -> None:
        """Show how far it is, four times a second at most."""
        now = time.monotonic()
        if now - self._reported_at >= _REPORT_SECONDS:
            self._reported_at = now
            kept = {name: value for name, value in self.operation.progress.items() if name in KEPT}
            records.report(self.operation, dict(progress) | kept)

    def report_now(self, progress: Mapping[str, Any]) -> None:
        """Write it before going on, however often it was reported lately. Raises: records.RecordsAway, RowLost."""
        self._reported_at = time.monotonic()
        kept = {name: value for name, value in self.operation.progress.items() if name in KEPT}
        records.report_now(self.operation, dict(progress) | kept)

    def judge(self, is_done: Callable[[Connection], bool], *, done: str, problem: HypervisorError | None) -> Outcome:
        """Look whether it came to what was asked, whatever the call said."""
        try:
            if self.ask(is_done):
                return succeeded(done)
        except HypervisorError as unseen:
            said = str(problem or unseen)
            return interrupted(
                _(
                    "%(said)s Whether it was done is not known: %(host)s cannot be asked. "
                    "The state of %(name)s is shown again as soon as %(host)s answers."
                )
                % {"said": said, "host": self.source.name, "name": self.name}
            )
        if problem is None:
            return failed(
                _("%(host)s said it was done, but looking at %(name)s shows it was not. Try again.")
                % {"host": self.source.name, "name": self.name}
            )
        if isinstance(problem, NotAnswered):
            return interrupted(
                _("%(said)s It is not done so far, and may still be. Look at %(name)s before you try again.")
                % {"said": problem, "name": self.name}
            )
        return failed(str(problem))
