"""The runner: claims an operation's row, has its kind do it, and writes down what came of it."""

import logging
from uuid import UUID

from django.db import DatabaseError
from django.utils.translation import gettext as _

from hypervisors.errors import VmportalError
from hypervisors.inventory.refresh_requests import request_domain_refresh
from hypervisors.operations.engine import records
from hypervisors.operations.engine.claimed_runs import ClaimedRun
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.records import Claim, Heartbeat, RecordsAway, RowLost
from hypervisors.operations.engine.registry import find_operation_type
from hypervisors.operations.engine.runs import Later, Outcome, Result, cancelled, failed, interrupted

logger = logging.getLogger(__name__)

# An operation whose workers keep dying is given up; a parked one is claimed often, but leaves a beat each time.
_MOST_ADOPTIONS = 5


def run_operation(operation_id: UUID) -> float | None:
    """Do it, as far as it goes now. The seconds after which it wants to be delivered again; None: never.

    May be called any number of times, by any number of workers at once: one of them does it.
    """
    claimed = records.claim(operation_id)
    if not isinstance(claimed, Claim):
        return None if claimed is None else claimed.seconds
    try:
        return _run_claimed(claimed)
    except RowLost:
        logger.info("Operation %s was ended or taken over by others meanwhile.", operation_id)
    except RecordsAway as error:
        logger.error("Operation %s is left as it is until the database is back: %s", operation_id, error)
    return None


def _run_claimed(claimed: Claim) -> float | None:
    with Heartbeat(claimed.operation) as heartbeat:
        result = _result(claimed, heartbeat)
    if isinstance(result, Later):
        return result.seconds if records.park(claimed.operation, result) else None
    if not records.finish(claimed.operation, result.state, result.text, result.progress):
        raise RowLost
    _request_refresh(claimed)
    found = find_operation_type(claimed.operation.kind)
    if found is not None:
        found.after(claimed.operation)
    return None


def _result(claimed: Claim, heartbeat: Heartbeat) -> Result:
    operation = claimed.operation
    found = find_operation_type(operation.kind)
    if found is None:
        return failed(_("This version of vmportal does not know “%(kind)s”.") % {"kind": operation.kind})
    try:
        refusal = _refusal(claimed)
        return refusal if refusal is not None else found.run(ClaimedRun(claimed, heartbeat))
    except VmportalError as error:
        return failed(str(error))
    except DatabaseError as error:
        raise RecordsAway(str(error)) from error
    except (RecordsAway, RowLost):
        raise
    except Exception as error:
        logger.exception("Operation %s broke.", operation.pk)
        return interrupted(
            _("vmportal itself failed (%(error)s); look at what state %(name)s is in before you try again.")
            % {"error": f"{type(error).__name__}: {error}", "name": operation.subject_name}
        )


def _refusal(claimed: Claim) -> Outcome | None:
    """Why it is not even begun; a run that was begun goes on whatever its hosts' rows say."""
    operation = claimed.operation
    if claimed.adopted:
        adoptions = int(operation.progress.get(records.ADOPTIONS, 0)) + 1
        operation.progress = dict(operation.progress) | {records.ADOPTIONS: adoptions}
        records.report(operation, operation.progress)
        if adoptions > _MOST_ADOPTIONS:
            return interrupted(_("Its worker died %(count)d times; given up.") % {"count": adoptions})
    if claimed.adopted or claimed.resumed:
        return None
    if operation.cancel_requested_at is not None:
        return cancelled(_("Cancelled before it began."))
    reason = why_unreachable(operation.hypervisor)
    if not reason and operation.target_hypervisor is not None:
        reason = why_unreachable(operation.target_hypervisor)
    return failed(reason) if reason else None


def _request_refresh(claimed: Claim) -> None:
    """Have the watcher look at once: not everything that changes sends an event."""
    operation = claimed.operation
    if operation.domain is None:
        return
    for hypervisor_id in (operation.hypervisor_id, operation.target_hypervisor_id):
        if hypervisor_id is not None:
            request_domain_refresh(hypervisor_id, operation.domain.libvirt_uuid)
