"""Hold the guest's file systems still for a while, so that its disks can be copied from outside; then let them go on.

The operation runs for as long as they are frozen, so that the machine's page shows it; cancelled, they go on at once,
and after its time in any case. A worker that goes on for one that died lets them go on too.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import ConnectionFailed, ConnectionLost, HypervisorError, NotPossible
from hypervisors.gateway.domains.guest_agent import freeze, thaw
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import DomainOperation
from hypervisors.operations.domains.guest.agents import AGENT_OBSTACLES
from hypervisors.operations.engine.bounded_calls import NotAnswered
from hypervisors.operations.engine.records import NOTE
from hypervisors.operations.engine.runs import Later, Result, Run, failed, interrupted, succeeded

MOST_SECONDS, USUAL_SECONDS = 300, 30
_CALL_SECONDS = 75.0
_POLL_SECONDS = 0.25
_AGAIN_SECONDS = 3.0
# A guest that cannot be asked to go on for so long is left to whoever looks at it.
_PATIENCE_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class FreezeParameters:
    seconds: int = USUAL_SECONDS


class FreezeFilesystems(DomainOperation):
    kind = "freeze_filesystems"
    label = gettext_lazy("Freeze file systems")
    icon = "snowflake"
    position = 72
    can_be_cancelled = True
    obstacles = AGENT_OBSTACLES
    Parameters: ClassVar[type[Any]] = FreezeParameters

    def is_offered(self, domain: Domain) -> bool:
        return False

    def check(self, domain: Domain, given: Mapping[str, Any]) -> FreezeParameters:
        seconds = given.get("seconds", USUAL_SECONDS)
        if not isinstance(seconds, int) or not 1 <= seconds <= MOST_SECONDS:
            raise NotPossible(_("File systems are frozen for 1 to %(most)d seconds.") % {"most": MOST_SECONDS})
        return FreezeParameters(seconds=seconds)

    def run(self, run: Run) -> Result:
        if run.adopted or run.resumed:
            return self._thaw(run, _("Its worker was interrupted; the file systems go on."))
        try:
            count = run.ask(lambda connection: freeze(connection, run.uuid), seconds=_CALL_SECONDS)
        except HypervisorError as error:
            # It may be frozen all the same.
            result = self._thaw(run, str(error))
            return result if isinstance(result, Later) else failed(str(error))
        self._wait(run)
        return self._thaw(run, _("%(count)d file systems were frozen, and go on now.") % {"count": count})

    def _wait(self, run: Run) -> None:
        until = time.monotonic() + run.parameters.seconds
        while (left := until - time.monotonic()) > 0 and not run.cancel_requested.is_set():
            percent = 100 - 100 * left / run.parameters.seconds
            note = _("Frozen; they go on in %(seconds)d s, or when you cancel.") % {"seconds": round(left)}
            run.report({"percent": round(percent, 1), NOTE: note})
            if run.lost.wait(_POLL_SECONDS):
                return

    def _thaw(self, run: Run, text: str) -> Result:
        try:
            run.ask(lambda connection: thaw(connection, run.uuid), seconds=_CALL_SECONDS)
        except (ConnectionFailed, ConnectionLost, NotAnswered) as error:
            since = float(run.operation.progress.get("waits_since", time.time()))
            if time.time() - since < _PATIENCE_SECONDS:
                return Later(seconds=_AGAIN_SECONDS, progress={"waits_since": since, NOTE: str(error)})
            return interrupted(_("Whether its file systems are still frozen is not known. %(why)s") % {"why": error})
        except HypervisorError as error:
            return interrupted(_("Whether its file systems are still frozen is not known. %(why)s") % {"why": error})
        return succeeded(text)
