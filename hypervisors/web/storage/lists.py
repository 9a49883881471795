"""Storage lists: shared storage once for its hypervisor pool, and beside it what each host has for itself."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from hypervisors.access import can_somewhere, permitted
from hypervisors.broadcast import changes_group
from hypervisors.models import HypervisorPool, StoragePool, Volume
from hypervisors.models.rights import Requester
from hypervisors.privileges import Privilege
from hypervisors.web.naming import natural_key
from hypervisors.web.permissions import needs
from hypervisors.web.sequences import sequence_number


@dataclass(frozen=True, kw_only=True)
class StorageLine:
    """One line: a storage pool, or one that stands for all that are the same shared storage."""

    storage_pool: StoragePool
    name: str
    url: str
    promised_bytes: int
    hosts: list[str] = field(default_factory=list)
    is_shared: bool = False
    is_proved: bool = False
    # Hosts that have it and were not proved to see it.
    unseen: list[str] = field(default_factory=list)

    @property
    def overcommit(self) -> float | None:
        """How often what there is was promised; None while it is at most once."""
        capacity = self.storage_pool.capacity_bytes
        return self.promised_bytes / capacity if 0 < capacity < self.promised_bytes else None


@require_safe
@needs(Privilege.STORAGE_VIEW)
def storage(request: HttpRequest) -> HttpResponse:
    """All of it, by hypervisor pool."""
    sequence = sequence_number(changes_group(request.user))
    pools = list(permitted(request.user, Privilege.STORAGE_VIEW, HypervisorPool.objects.all()))
    text = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    parts: list[dict[str, Any]] = []
    for pool in pools:
        lines = storage_lines(request.user, hypervisor_pool=pool)
        chosen = [line for line in lines if _matches(line, text)]
        parts.append({"pool": pool, "lines": chosen, "count": len(lines)})
    context: dict[str, Any] = {
        "sequence": sequence,
        "parts": parts,
        "text": text,
        "total": sum(len(part["lines"]) for part in parts),
        "may_create": can_somewhere(request.user, Privilege.STORAGE_MANAGE),
    }
    return render(request, "storage/list.html", context)


def storage_lines(user: Requester, **where: Any) -> list[StorageLine]:
    """Of a `hypervisor_pool`, or of one `hypervisor`; three queries. Of one host, shared storage is its own line."""
    hypervisor_pool, hypervisor = where.get("hypervisor_pool"), where.get("hypervisor")
    rows = StoragePool.objects.present().select_related("hypervisor", "shared_storage")
    rows = rows.defer("hypervisor__cpu_xml", "hypervisor__machine_types", "definition_xml")
    if hypervisor is not None:
        rows = rows.filter(hypervisor=hypervisor)
    else:
        rows = rows.filter(hypervisor__hypervisor_pool=hypervisor_pool)
    found = list(permitted(user, Privilege.STORAGE_VIEW, rows))
    promised = _promised(found)
    if hypervisor is not None:
        lines = [_line([row], promised, is_one=True) for row in found]
    else:
        lines = [_line(same, promised) for same in _grouped(found)]
    return sorted(lines, key=lambda line: (not line.is_shared, natural_key(line.name), line.hosts))


def _grouped(rows: Iterable[StoragePool]) -> list[list[StoragePool]]:
    """Those that look like the same storage together; what was proved to be another stands alone."""
    groups: dict[tuple[str, int], list[StoragePool]] = defaultdict(list)
    for row in rows:
        is_shared = row.shared_storage_id is not None and not row.is_another
        groups[("shared", row.shared_storage_id or 0) if is_shared else ("own", row.pk)].append(row)
    return list(groups.values())


def _line(rows: list[StoragePool], promised: dict[int, int], *, is_one: bool = False) -> StorageLine:
    rows = sorted(rows, key=lambda row: (row.proved_at is None, not row.active, natural_key(row.hypervisor.name)))
    first = rows[0]
    is_shared = first.shared_storage_id is not None and not first.is_another
    stands_for_all = is_shared and not is_one and len(rows) > 1
    unseen = [row.hypervisor.name for row in rows if row.proved_at is None]
    return StorageLine(
        storage_pool=first,
        name=first.name,
        url=first.shared_storage.get_absolute_url()
        if stands_for_all and first.shared_storage is not None
        else first.get_absolute_url(),
        promised_bytes=promised.get(first.pk, 0),
        hosts=sorted((row.hypervisor.name for row in rows), key=natural_key),
        is_shared=is_shared if is_one else stands_for_all,
        is_proved=first.proved_at is not None,
        unseen=sorted(unseen, key=natural_key),
    )


def _promised(rows: list[StoragePool]) -> dict[int, int]:
    sums = Volume.objects.present().filter(storage_pool__in=[row.pk for row in rows]).order_by()
    return dict(sums.values_list("storage_pool").annotate(total=Sum("capacity_bytes")))


def _matches(line: StorageLine, text: str) -> bool:
    words = (line.name, line.storage_pool.target_path, line.storage_pool.source, *line.hosts)
    return any(text.casefold() in word.casefold() for word in words)


urlpatterns = [path("storage/", storage, name="storage")]
