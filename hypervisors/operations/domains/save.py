"""Managed save: the guest's memory goes to its host's disk, with progress, and can be cancelled."""

import time

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import ConnectionFailed, ConnectionLost, HypervisorError, OperationAborted
from hypervisors.gateway.connections import Connection, cached_connection
from hypervisors.gateway.domains.actions import has_saved_state, save_domain
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import (
    IS_OFF,
    RUNNING_OR_PAUSED,
    DomainOperation,
    not_answering,
    transient,
)
from hypervisors.operations.domains.jobs import JobFollower
from hypervisors.operations.engine.bounded_calls import BackgroundCall
from hypervisors.operations.engine.records import NOTE
from hypervisors.operations.engine.runs import Later, Result, Run, cancelled, interrupted
from hypervisors.states import OperationState

_LOOK_AGAIN_SECONDS = 5.0
# A host that stays away for longer leaves the operation "interrupted".
_UNDECIDED_SECONDS = 600.0


class Save(DomainOperation):
    kind = "save"
    label = gettext_lazy("Save")
    icon = "device-floppy"
    position = 10
    in_bulk = True
    can_be_cancelled = True
    question = gettext_lazy("Save “%s” and stop it?")
    warning = gettext_lazy("Its memory goes to the host's disk; starting it again resumes where it was.")
    obstacles = (RUNNING_OR_PAUSED, transient, not_answering)
    # Gigabytes of memory to a slow disk.
    own_time_limit_seconds = 12 * 3600.0

    def word(self, domain: Domain) -> str:
        return _("Save and stop")

    def is_offered(self, domain: Domain) -> bool:
        return not domain.has_managed_save

    def run(self, run: Run) -> Result:
        """Save, or follow a save that an earlier run began."""
        follower = JobFollower(run)
        if run.adopted or run.resumed:
            over = follower.follow_adopted()
            return self._judge(run, self._interruption(run)) if over else self._later(run)
        endpoint = endpoint_of(run.source)
        call = BackgroundCall(lambda: save_domain(cached_connection(endpoint), run.uuid), name="save")
        if not follower.follow_call(call):
            return self._later(run)
        try:
            call.result()
        except (ConnectionLost, ConnectionFailed):
            # libvirt's job may go on without us.
            return self._later(run)
        except HypervisorError as error:
            return self._judge(run, error)
        return self._judge(run, None)

    def _later(self, run: Run) -> Result:
        since = float(run.operation.progress.get("undecided_since", time.time()))
        if time.time() - since > _UNDECIDED_SECONDS:
            return interrupted(
                _("Whether %(name)s is saved cannot be told: %(host)s does not answer.")
                % {"name": run.name, "host": run.source.name}
            )
        note = _("Waiting for %(host)s to answer.") % {"host": run.source.name}
        progress = dict(run.operation.progress) | {"undecided_since": since, NOTE: note}
        return Later(seconds=_LOOK_AGAIN_SECONDS, progress=progress)

    def _judge(self, run: Run, problem: HypervisorError | None) -> Result:
        outcome = run.judge(
            lambda connection: _is_saved(connection, run), done=_("It is saved and off."), problem=problem
        )
        if outcome.state != OperationState.FAILED:
            return outcome
        if run.cancel_requested.is_set() or isinstance(problem, OperationAborted):
            return cancelled(_("Cancelled; it was not saved and goes on."))
        return interrupted(outcome.text) if run.adopted else outcome

    def _interruption(self, run: Run) -> HypervisorError:
        return HypervisorError(
            _("The worker was interrupted, and %(name)s is not saved. Try again.") % {"name": run.name}
        )


def _is_saved(connection: Connection, run: Run) -> bool:
    return domain_state(connection, run.uuid) in IS_OFF and has_saved_state(connection, run.uuid)
