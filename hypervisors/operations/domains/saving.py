"""Managed save: the guest's memory goes to its host's disk, with progress, and can be cancelled."""

from django.utils.translation import gettext as _

from hypervisors.errors import HypervisorError, OperationAborted
from hypervisors.gateway.connections import Connection, cached_connection
from hypervisors.gateway.domains import actions as domains
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.operations.domains.jobs import JobFollower
from hypervisors.operations.domains.lifecycle import IS_OFF
from hypervisors.operations.engine.bounded_calls import BackgroundCall
from hypervisors.operations.engine.records import Later
from hypervisors.operations.engine.runs import Result, Run, cancelled, interrupted
from hypervisors.states import OperationState

_LOOK_AGAIN_SECONDS = 5.0


def save(run: Run) -> Result:
    """Save, or follow a save that an earlier run began."""
    follower = JobFollower(run)
    if run.adopted or run.resumed:
        return _judge(run, _interruption(run)) if follower.follow_adopted() else Later(seconds=_LOOK_AGAIN_SECONDS)
    endpoint = endpoint_of(run.source)
    call = BackgroundCall(lambda: domains.save_domain(cached_connection(endpoint), run.uuid), name="save")
    if not follower.follow_call(call):
        return Later(seconds=_LOOK_AGAIN_SECONDS)
    try:
        call.result()
    except HypervisorError as error:
        return _judge(run, error)
    return _judge(run, None)


def _judge(run: Run, problem: HypervisorError | None) -> Result:
    outcome = run.judge(lambda connection: _is_saved(connection, run), done=_("It is saved and off."), problem=problem)
    if outcome.state != OperationState.FAILED:
        return outcome
    if run.cancel_requested.is_set() or isinstance(problem, OperationAborted):
        return cancelled(_("Cancelled; it was not saved and goes on."))
    return interrupted(outcome.text) if run.adopted else outcome


def _is_saved(connection: Connection, run: Run) -> bool:
    return domain_state(connection, run.uuid) in IS_OFF and domains.has_saved_state(connection, run.uuid)


def _interruption(run: Run) -> HypervisorError:
    return HypervisorError(_("The worker was interrupted, and %(name)s is not saved. Try again.") % {"name": run.name})
