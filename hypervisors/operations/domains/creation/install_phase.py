"""The end of a machine's first boots: seen from rows alone, by whoever keeps house, and done by an operation.

The watcher notes states and reboots; this looks at the unfinished installations every few seconds, so that what
happened while nobody looked is seen afterwards. `started` by libvirt's reason "shut down" is the guest's own doing, its
power-off or, where a reboot ends the run, its reboot; a machine that was forced off or crashed is left alone.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisors.errors import Conflict, NotPossible
from hypervisors.inventory.domains.reboots import RebootsAway, last_reboot_at
from hypervisors.models import Domain, Installation, Operation
from hypervisors.operations.engine.requests import request_by_vmportal
from hypervisors.states import ACTIVE_DOMAIN_STATES, DomainState
from hypervisors.upkeep import repeat

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
# The agent may be there before cloud-init has read everything.
_AGENT_GRACE = timedelta(seconds=30)
# Without an agent and a reboot a seed is taken for read after so long.
SEED_PATIENCE = timedelta(minutes=30)
# Between a machine's being off and the end of the operation that asked for it.
_ANSWERED_WITHIN = timedelta(minutes=1)
_AGENT_UP = "name='org.qemu.guest_agent.0' state='connected'"
_SHUT_DOWN = "shut down"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What is to be done with an installation. `start`: the guest's power-off was meant as a reboot."""

    start: bool
    text: str


def run_install_watch(stopping: threading.Event, *, may_watch: Callable[[], bool] = lambda: True) -> None:
    """Look until told to stop, while it may; survives the loss of the database."""
    repeat(
        look_at_installations, stopping, pause_seconds=LOOK_SECONDS, may_run=may_watch, what="the look at installations"
    )


def look_at_installations() -> int:
    """Have those finished whose time has come; how many."""
    count = 0
    for installation in Installation.objects.unfinished().select_related("hypervisor_pool"):
        try:
            count += _look_at(installation)
        except DatabaseError:
            raise
        except Exception:
            # The others have their time all the same.
            logger.exception("The installation of %s could not be looked at.", installation.uuid)
    return count


def _look_at(installation: Installation) -> bool:
    """Have it finished if its time has come; whether it had."""
    domain = domain_of(installation)
    if domain is None:
        _forget_if_gone(installation)
        return False
    _note_reboot(installation, domain)
    ending = ending_of(installation, domain)
    return ending is not None and _request(domain, ending)


def domain_of(installation: Installation) -> Domain | None:
    """The machine's row, while some host has it."""
    domains = Domain.objects.present().select_related("hypervisor", "definition")
    in_pool = domains.filter(hypervisor__hypervisor_pool=installation.hypervisor_pool)
    # Where another pool has the UUID, the row's own differs.
    return in_pool.filter(uuid=installation.uuid).first() or in_pool.filter(shared_uuid=installation.uuid).first()


def ending_of(installation: Installation, domain: Domain) -> Ending | None:
    """None while it goes on, or where people must decide: the machine was forced off, or crashed."""
    is_off = domain.state == DomainState.SHUTOFF
    if is_off and (domain.state_reason != _SHUT_DOWN or domain.state_since < installation.started_at):
        return None
    if installation.phase == Installation.Phase.SEEDED:
        return _seed_ending(installation, domain, is_off=is_off)
    if is_off and _was_asked_to_stop(installation, domain):
        return None
    if is_off and not installation.reboots_seen:
        return Ending(start=True, text=_("The installer has ended; the machine starts from its disk."))
    if is_off or installation.reboots_seen >= installation.reboots_expected:
        return Ending(start=False, text=_("The installer has ended."))
    return None


def _was_asked_to_stop(installation: Installation, domain: Domain) -> bool:
    """Whether somebody had it shut down, so that it was not its installer which ended: it is not started again."""
    asked = Operation.objects.filter(domain=domain, kind="shut_down", requested_at__gte=installation.started_at)
    over = Q(ended_at=None) | Q(ended_at__gte=domain.state_since - _ANSWERED_WITHIN)
    return asked.filter(over, requested_at__lte=domain.state_since + _ANSWERED_WITHIN).exists()


def _seed_ending(installation: Installation, domain: Domain, *, is_off: bool) -> Ending | None:
    ending = Ending(start=False, text=_("The first boot is over; the seed is removed."))
    if is_off or installation.reboots_seen:
        return ending
    if domain.state not in ACTIVE_DOMAIN_STATES:
        return None
    running = timezone.now() - max(domain.state_since, installation.started_at)
    return ending if running > SEED_PATIENCE or (running > _AGENT_GRACE and _is_agent_up(domain)) else None


def _is_agent_up(domain: Domain) -> bool:
    definition = getattr(domain, "definition", None)
    return definition is not None and _AGENT_UP in definition.live_xml


def _note_reboot(installation: Installation, domain: Domain) -> None:
    """Count a reboot that was not counted yet: libvirt tells each by an event, and keeps no count."""
    try:
        seen = last_reboot_at(domain.hypervisor_id or 0, domain.libvirt_uuid)
    except RebootsAway:
        return
    at = None if seen is None else datetime.fromtimestamp(seen, UTC)
    # libvirt tells each of them twice.
    counted = installation.last_reboot_at
    since = installation.started_at if counted is None else counted + timedelta(seconds=1)
    if at is None or at < since:
        return
    installation.reboots_seen += 1
    installation.last_reboot_at = at
    installation.save(update_fields=["reboots_seen", "last_reboot_at"])


def _request(domain: Domain, ending: Ending) -> bool:
    try:
        request_by_vmportal(
            kind="finish_install", subject=domain, parameters={"start": ending.start, "text": ending.text}
        )
    except (Conflict, NotPossible) as error:
        logger.info("The installation of %s is finished later: %s", domain, error)
        return False
    return True


def _forget_if_gone(installation: Installation) -> None:
    """The machine was deleted, or never came to be."""
    is_being_made = Operation.objects.unfinished().filter(pk=str(installation.operation_id)).exists()
    if not is_being_made and timezone.now() - installation.started_at > timedelta(minutes=2):
        end_installation(installation, _("The machine is gone."))


def end_installation(installation: Installation, outcome: str) -> None:
    """Whoever comes first says how it ended."""
    Installation.objects.unfinished().filter(pk=installation.pk).update(ended_at=timezone.now(), outcome=outcome)
