"""What the worker looks at on both hosts before it moves anything: the rows that the request went by may be old.

A move must never lose what is not in the XML, nor overwrite what the target has of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.domains.reading import DomainFacts, read_domain
from hypervisors.gateway.storage.volume_identities import VolumeIdentity, is_same_chain, read_volume_chain
from hypervisors.libvirtxml.domain_devices import Disk
from hypervisors.libvirtxml.domains import ParsedDomain, parse_domain
from hypervisors.models import Hypervisor
from hypervisors.operations.domains.unmovable import is_data, leftover_text, not_shared, state_obstacles
from hypervisors.operations.engine.runs import Run
from hypervisors.states import ACTIVE_DOMAIN_STATES, DomainState

# A refresh of a storage pool looks at every file in it.
_STORAGE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Departure:
    """The machine as it leaves."""

    is_active: bool
    autostart: bool


def check_departure(run: Run) -> Departure:
    """Raises: errors.NotPossible, when something stands in the way; other HypervisorErrors when a host does not say."""
    facts = run.ask(lambda connection: read_domain(connection, run.uuid))
    if facts is None:
        raise NotPossible(_("%(host)s does not have %(name)s any more.") % {"host": run.source.name, "name": run.name})
    obstacles = list(_obstacles(run, facts))
    if obstacles:
        raise NotPossible(" ".join(obstacles))
    return Departure(is_active=facts.state in ACTIVE_DOMAIN_STATES, autostart=facts.autostart)


def _obstacles(run: Run, facts: DomainFacts) -> Iterator[str]:
    try:
        parsed = parse_domain(facts.live_xml or facts.inactive_xml)
    except ValueError as error:
        yield _("What would be lost cannot be told: %(error)s") % {"error": error}
        return
    is_active = facts.state in ACTIVE_DOMAIN_STATES
    yield from state_obstacles(parsed, is_active=is_active, is_paused=facts.state == DomainState.PAUSED)
    if facts.has_managed_save and not is_active:
        yield _("It has a saved state, which stays on this host; start it, or discard the saved state first.")
    there = run.ask(lambda connection: read_domain(connection, run.uuid), hypervisor=run.target)
    if there is not None:
        yield leftover_text(there.name, run.target.name, there.state)
    yield from _storage_obstacles(run, parsed, is_active=is_active)


def _storage_obstacles(run: Run, parsed: ParsedDomain, *, is_active: bool) -> Iterator[str]:
    for disk in parsed.disks:
        if disk.source_kind not in ("file", "block", "volume", "dir") or not disk.source:
            continue
        if not is_data(disk):
            yield from _medium_obstacles(run, disk)
        elif not is_active and not _is_shared(run, disk):
            # Of one that runs, libvirt itself refuses to move what is not shared.
            yield not_shared(disk, run.target.name)


def _is_shared(run: Run, disk: Disk) -> bool:
    return is_same_chain(_chain(run, disk, run.source), _chain(run, disk, run.target))


def _medium_obstacles(run: Run, disk: Disk) -> Iterator[str]:
    """A medium that both hosts would have to have; of what is in no storage pool nothing can be told."""
    try:
        is_lacking = bool(_chain(run, disk, run.source)) and not _chain(run, disk, run.target)
    except HypervisorError:
        # libvirt itself refuses what it cannot open; a storage pool that hangs must not hold up an evacuation.
        return
    if disk.startup_policy == "optional" or not is_lacking:
        return
    yield _("The medium in drive %(disk)s (%(path)s) is not on %(host)s; eject it first.") % {
        "disk": disk.target,
        "path": disk.source,
        "host": run.target.name,
    }


def _chain(run: Run, disk: Disk, hypervisor: Hypervisor) -> tuple[VolumeIdentity, ...]:
    return run.ask(
        lambda connection: read_volume_chain(connection, disk.source), hypervisor=hypervisor, seconds=_STORAGE_SECONDS
    )
