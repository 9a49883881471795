"""Live migration: begun or adopted, followed, and decided by looking at both hosts.

https://libvirt.org/migration.html. The call's exception only explains; where the machine runs is what counts.
"""

import logging
import time

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import ConnectionFailed, ConnectionLost, HypervisorError, NotPossible
from hypervisors.gateway.connections import Connection, cached_connection
from hypervisors.gateway.domains.actions import set_autostart
from hypervisors.gateway.domains.jobs import JobProgress, read_completed_job, read_job
from hypervisors.gateway.domains.migrations import migrate_domain
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import Domain, Hypervisor
from hypervisors.models.consoles.kicks import kick_moved
from hypervisors.operations.domains.domain_operations import MOVABLE, MOVE, DomainOperation, not_answering, saved
from hypervisors.operations.domains.jobs import JobFollower
from hypervisors.operations.domains.migration_checks import check_departure
from hypervisors.operations.domains.migration_outcomes import BothHosts, explain, look_at_both, unreachable_hosts
from hypervisors.operations.domains.migration_targets import find_migration_target
from hypervisors.operations.engine.bounded_calls import BackgroundCall
from hypervisors.operations.engine.queues import MIGRATIONS_QUEUE
from hypervisors.operations.engine.records import CARRIED, NOTE
from hypervisors.operations.engine.runs import Later, Outcome, Result, Run, cancelled, failed, interrupted, succeeded
from hypervisors.privileges import Privilege

logger = logging.getLogger(__name__)

# After the call, libvirt may still be cleaning up at the other end.
_SETTLE_SECONDS = 10.0
_SETTLE_POLL_SECONDS = 0.2
_LOOK_AGAIN_SECONDS = 5.0
# A host that stays away for longer leaves the operation "interrupted".
_UNDECIDED_SECONDS = 600.0


class Migrate(DomainOperation):
    kind = "migrate"
    label = gettext_lazy("Migrate")
    icon = "arrows-exchange"
    group = MOVE
    privilege = Privilege.DOMAIN_MIGRATE
    queue = MIGRATIONS_QUEUE
    can_be_cancelled = True
    is_for_templates = True
    obstacles = (MOVABLE, saved, not_answering)

    def word(self, domain: Domain) -> str:
        return _("Migrate…")

    def check_target(self, domain: Domain, target: Hypervisor | None) -> Hypervisor:
        if target is None:
            raise NotPossible(_("Choose the host that it is to move to."))
        found = find_migration_target(domain, target)
        if found is None:
            raise NotPossible(_("%(host)s does not belong to the same pool.") % {"host": target.name})
        if found.obstacles:
            raise NotPossible(
                _("%(domain)s cannot move to %(host)s: %(obstacles)s")
                % {"domain": domain.name, "host": target.name, "obstacles": " ".join(found.obstacles)}
            )
        return target

    def run(self, run: Run) -> Result:
        """Move it, or follow a move that an earlier run began."""
        follower = JobFollower(run)
        if run.adopted or run.resumed:
            return _decide(run, None) if follower.follow_adopted() else _later(run)
        departure = check_departure(run)
        # Written first: who takes this over must know it too.
        run.report_now({CARRIED: {"autostart": departure.autostart}})
        source, target, peer_uri = endpoint_of(run.source), endpoint_of(run.target), run.target.peer_uri
        # It is looked at when the move is over; connecting takes place meanwhile.
        BackgroundCall(lambda: cached_connection(target), name="connect-target")
        connections: list[Connection] = []

        def move() -> None:
            connections.append(cached_connection(source))
            migrate_domain(connections[0], run.uuid, peer_uri=peer_uri, live=departure.is_active)

        call = BackgroundCall(move, name="migration")
        if not follower.follow_call(call):
            return _later(run)
        problem = _problem(call)
        # The link that broke may be the one between the hosts. If it is ours, the source drives the move on without us.
        if isinstance(problem, ConnectionLost) and not connections[0].is_alive():
            return _later(run)
        return _decide(run, problem)


def _problem(call: BackgroundCall[None]) -> HypervisorError | None:
    try:
        call.result()
    except HypervisorError as error:
        return error
    return None


def _decide(run: Run, problem: HypervisorError | None) -> Result:
    seen = _settled(run)
    away = unreachable_hosts(run, seen)
    if away and not seen.is_decided:
        return _undecided(run, away)
    if not seen.is_decided and _job_goes_on(run):
        return _later(run)
    if seen.has_moved:
        return _moved(run, seen)
    if seen.has_stayed:
        return _stayed(run, seen, problem)
    return interrupted(explain(run, seen))


def _later(run: Run) -> Result:
    """Followed on by the next run, as long as its hosts can be asked at all."""
    since = run.operation.progress.get("undecided_since", time.time())
    if time.time() - since > _UNDECIDED_SECONDS:
        return _undecided(run, unreachable_hosts(run, look_at_both(run)))
    return Later(seconds=_LOOK_AGAIN_SECONDS, progress=dict(run.operation.progress) | {"undecided_since": since})


def _job_goes_on(run: Run) -> bool:
    try:
        return run.ask(lambda connection: read_job(connection, run.uuid)) is not None
    except (ConnectionFailed, ConnectionLost):
        return True
    except HypervisorError:
        return False


def _settled(run: Run) -> BothHosts:
    """Both hosts, when nothing seems to be under way any more."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    seen = look_at_both(run)
    while not seen.is_decided and not unreachable_hosts(run, seen) and time.monotonic() < deadline:
        if run.lost.wait(_SETTLE_POLL_SECONDS):
            break
        seen = look_at_both(run)
    return seen


def _moved(run: Run, seen: BothHosts) -> Outcome:
    if run.operation.domain is not None:
        kick_moved(run.operation.domain.uuid, from_hypervisor_id=run.source.pk)
    after = " ".join(filter(None, (_leftover(run, seen), _carry_autostart(run))))
    if not seen.is_active:
        text = _("It is on %(target)s now, shut off.") % {"target": run.target.name}
        return succeeded(f"{text} {after}".strip())
    text = (_("It is on %(target)s now, paused.") if seen.is_paused_at_target else _("It runs on %(target)s.")) % {
        "target": run.target.name
    }
    return succeeded(" ".join(filter(None, (text, _times(_completed(run)), after))))


def _carry_autostart(run: Run) -> str:
    """libvirt does not take it along. "" when all is well; else what a person must do."""
    if not run.operation.progress.get(CARRIED, {}).get("autostart"):
        return ""
    try:
        run.ask(lambda connection: set_autostart(connection, run.uuid, enabled=True), hypervisor=run.target)
    except HypervisorError as error:
        return _("It does not start with its host any more; set that by hand. %(error)s") % {"error": error}
    return ""


def _leftover(run: Run, seen: BothHosts) -> str:
    """A definition that libvirt left on the source (after a broken post-copy) must not start there with the host."""
    if seen.source is None:
        return ""
    try:
        run.ask(lambda connection: set_autostart(connection, run.uuid, enabled=False))
    except HypervisorError as error:
        logger.warning("The autostart of what %s left behind could not be ended: %s", run.name, error)
    return _(
        "A definition is left on %(source)s, shut off: never start it; remove it by “virsh undefine --keep-nvram "
        "--keep-tpm”."
    ) % {"source": run.source.name}


def _completed(run: Run) -> JobProgress | None:
    try:
        return run.ask(lambda connection: read_completed_job(connection, run.uuid), hypervisor=run.target, seconds=3)
    except HypervisorError as error:
        logger.info("No statistics of the migration: %s", error)
        return None


def _times(job: JobProgress | None) -> str:
    if job is None or job.downtime_milliseconds is None or job.elapsed_milliseconds is None:
        return ""
    return _("It stood still for %(downtime)d ms; the move took %(seconds).1f s.") % {
        "downtime": job.downtime_milliseconds,
        "seconds": job.elapsed_milliseconds / 1000,
    }


def _stayed(run: Run, seen: BothHosts, problem: HypervisorError | None) -> Outcome:
    still = explain(run, seen)
    if run.cancel_requested.is_set():
        return cancelled(_("Cancelled. %(still)s") % {"still": still})
    if problem is not None:
        return failed(f"{problem} {still}")
    if run.adopted or run.resumed:
        return interrupted(_("The move was broken off. %(still)s Try again.") % {"still": still})
    return failed(_("libvirt said it had moved. %(still)s Try again.") % {"still": still})


def _undecided(run: Run, away: list[tuple[str, HypervisorError]]) -> Result:
    hosts = ", ".join(name for name, _error in away)
    reasons = " ".join(str(error) for _name, error in away)
    since = run.operation.progress.get("undecided_since", time.time())
    text = _("Where %(name)s runs cannot be told until %(hosts)s answers. %(reasons)s") % {
        "name": run.name,
        "hosts": hosts,
        "reasons": reasons,
    }
    if run.cancel_requested.is_set() or time.time() - since > _UNDECIDED_SECONDS:
        advice = _("Do not start it elsewhere before you know that it does not run there: that would ruin its disks.")
        return interrupted(f"{text} {advice}")
    return Later(
        seconds=_LOOK_AGAIN_SECONDS,
        progress=dict(run.operation.progress) | {"undecided_since": since, NOTE: text},
    )
