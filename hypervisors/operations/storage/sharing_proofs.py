"""What probes prove: which storage pools are one and the same storage, which are another, and what is not known.

https://libvirt.org/formatstorage.html: what hosts see is a SharingView; an address of the host's own proves nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisors import broadcast
from hypervisors.broadcast import Change
from hypervisors.errors import HypervisorError
from hypervisors.gateway.storage.sharing import SharingView
from hypervisors.gateway.storage.volume_identities import is_own_address
from hypervisors.libvirtxml.storage_pool_types import POOL_TYPES
from hypervisors.models import SharedStorage, StoragePool
from hypervisors.operations.engine.runs import Outcome, Result, failed
from hypervisors.states import OperationState

View = SharingView | HypervisorError


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Of one storage pool. `is_known`: the look could tell; one that could not changes nothing but the reason."""

    is_proved: bool = False
    is_another: bool = False
    is_known: bool = True
    reason: str = ""


def conclude(
    storage_pools: Sequence[StoragePool],
    views: Mapping[int, View],
    probes: Mapping[int, str],
    refused: Mapping[int, str],
) -> dict[int, Finding]:
    """By storage pool. `probes` are the names of those that were written, `refused` says why one could not be."""
    groups = _groups(storage_pools, views, probes)
    largest = max(groups, key=len, default=frozenset())
    proved = largest if len(largest) > 1 else frozenset()
    return {one.pk: _finding(one, proved, views, probes, refused) for one in storage_pools}


def is_same_by_source(storage_pool: StoragePool) -> bool:
    """Whether its source, which all that look like it have, is the same storage from wherever it is reached.

    A mounted share is no proof: another may be mounted over it.
    """
    pool_type = POOL_TYPES.get(storage_pool.pool_type)
    if pool_type is None or not pool_type.is_network or pool_type.holds_files:
        return False
    hosts, colon, _place = storage_pool.source.partition(":")
    return bool(colon) and not any(is_own_address(host) for host in hosts.split(","))


def note_findings(shared: SharedStorage, storage_pools: Sequence[StoragePool], findings: Mapping[int, Finding]) -> None:
    """Into the rows, and to whoever looks at them. One that was undefined or moved meanwhile is left alone."""
    now, changes = timezone.now(), []
    with transaction.atomic():
        for row in StoragePool.objects.select_for_update().filter(pk__in=list(findings), shared_storage=shared):
            finding = findings[row.pk]
            row.looked_at, row.unproved_reason = now, finding.reason
            if finding.is_known:
                row.is_another = finding.is_another
                row.proved_at = now if finding.is_proved else None
                row.proved_since = (row.proved_since or now) if finding.is_proved else None
            row.save(update_fields=["looked_at", "unproved_reason", "is_another", "proved_at", "proved_since"])
            changes.append(_change(row))
        is_proved = StoragePool.objects.filter(shared_storage=shared, proved_at__isnull=False).count() > 1
        SharedStorage.objects.filter(pk=shared.pk).update(proved_at=now if is_proved else None)
        transaction.on_commit(lambda: broadcast.publish(changes))


def outcome_text(result: Result, storage_pools: Sequence[StoragePool], proved: Collection[int]) -> Result:
    """A success in the words of what was found."""
    if not isinstance(result, Outcome) or result.state != OperationState.SUCCEEDED:
        return result
    seen = [one.hypervisor.name for one in storage_pools if one.pk in proved]
    unseen = [one.hypervisor.name for one in storage_pools if one.pk not in proved]
    if not seen:
        return failed(_("It is not shared: none of %(hosts)s sees what another writes.") % {"hosts": ", ".join(unseen)})
    text = _("It is one and the same storage on %(hosts)s.") % {"hosts": ", ".join(seen)}
    if unseen:
        text = f"{text} {_('Not on %(hosts)s.') % {'hosts': ', '.join(unseen)}}"
    return replace(result, text=text)


def _groups(
    storage_pools: Sequence[StoragePool], views: Mapping[int, View], probes: Mapping[int, str]
) -> list[frozenset[int]]:
    """Those that see one another, directly or by way of others."""
    groups = [frozenset({one.pk}) for one in storage_pools]
    for position, one in enumerate(storage_pools):
        for other in storage_pools[position + 1 :]:
            if _are_same(one, other, views, probes):
                joined = frozenset().union(*(group for group in groups if group & {one.pk, other.pk}))
                groups = [group for group in groups if not group & joined] + [joined]
    return groups


def _are_same(one: StoragePool, other: StoragePool, views: Mapping[int, View], probes: Mapping[int, str]) -> bool:
    mine, theirs = views.get(one.pk), views.get(other.pk)
    if not isinstance(mine, SharingView) or not isinstance(theirs, SharingView):
        return False
    if is_same_by_source(one) and is_same_by_source(other):
        return True
    seen = probes.get(other.pk) in mine.probes or probes.get(one.pk) in theirs.probes
    return seen or mine.shows_same_files_as(theirs)


def _finding(
    storage_pool: StoragePool,
    proved: Collection[int],
    views: Mapping[int, View],
    probes: Mapping[int, str],
    refused: Mapping[int, str],
) -> Finding:
    if storage_pool.pk in proved:
        return Finding(is_proved=True)
    view = views.get(storage_pool.pk)
    if not isinstance(view, SharingView):
        return Finding(is_known=False, reason=_("It could not be asked: %(error)s") % {"error": view})
    if storage_pool.pk in probes and (len(proved) > 1 or len(probes) > 1):
        # It wrote a probe, so it looked at its storage anew: what the others wrote would be there.
        return Finding(is_another=True, reason=_("What the other hosts write does not appear here: another storage."))
    if storage_pool.pk in refused:
        return Finding(
            reason=_("Nothing can be written here, and no file tells that it is the same: %(error)s")
            % {"error": refused[storage_pool.pk]}
        )
    return Finding(reason=_("Whether it is the same cannot be seen with this type of storage pool."))


def _change(row: StoragePool) -> Change:
    fields = {
        "hypervisor": row.hypervisor_id,
        "shared_storage": row.shared_storage_id,
        "proved": row.proved_at is not None,
    }
    return Change(what="storage_pool", id=str(row.pk), fields=fields)
