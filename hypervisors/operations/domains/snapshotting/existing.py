"""One snapshot that something is to be done with: how it is asked for, and found again on its host."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.inventory.domains.snapshots import snapshot_time
from hypervisors.models import Domain, DomainSnapshot
from hypervisors.operations.domains.snapshotting.taking import find_snapshot
from hypervisors.operations.engine.runs import Run


def asked_snapshot(domain: Domain, given: Mapping[str, Any]) -> DomainSnapshot:
    """That of the `name`. Raises: errors.NotPossible."""
    found = domain.snapshots.filter(name=str(given.get("name", ""))).first()
    if found is None:
        raise NotPossible(_("There is no snapshot called “%(name)s”.") % {"name": given.get("name", "")})
    return found


def created_epoch(snapshot: DomainSnapshot) -> int:
    """By which it is told from another of its name; 0 where libvirt does not say."""
    return int(snapshot.created_at.timestamp()) if snapshot.created_at else 0


def check_same(run: Run, name: str, created: int) -> None:
    """Raises: errors.NotPossible when there is none of that name any more, or it is another."""
    facts = find_snapshot(run, name)
    if facts is None:
        raise NotPossible(_("There is no snapshot called “%(name)s” any more.") % {"name": name})
    told = snapshot_time(facts.parsed.created_at)
    if created and (told is None or int(told.timestamp()) != created):
        raise NotPossible(_("“%(name)s” is another snapshot by now. Look at it, and try again.") % {"name": name})
