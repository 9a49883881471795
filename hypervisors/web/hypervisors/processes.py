"""vmportal's own processes, a part of the Hosts page: which run, on which machine, since when, with what."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime

import redis
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from hypervisors.access import can
from hypervisors.models.instances import Instance, read_instances
from hypervisors.models.watcher_leases import watched_pools
from hypervisors.privileges import Privilege

_KINDS: dict[str, str | Promise] = {
    "web": gettext_lazy("Pages"),
    "console": gettext_lazy("Consoles"),
    "transfer": gettext_lazy("Uploads and downloads"),
    "worker": gettext_lazy("Tasks"),
    "watcher": gettext_lazy("Watcher"),
}


@dataclass(frozen=True, kw_only=True)
class ProcessRow:
    """Processes of one machine that do the same, in words; mostly one. `started_at` is the oldest's."""

    kind: str
    host: str
    pids: tuple[int, ...]
    started_at: datetime
    version: str
    duty: str


@require_safe
def processes(request: HttpRequest) -> HttpResponse:
    """The table alone; for those who see all hosts."""
    if not can(request.user, Privilege.HYPERVISOR_VIEW):
        raise Http404
    try:
        instances = read_instances()
    except redis.RedisError:
        return render(request, "hypervisors/processes.html", {"is_known": False})
    unwatched = [pool.name for pool in watched_pools() if not pool.is_watched]
    context = {"is_known": True, "rows": _rows(instances), "unwatched": ", ".join(unwatched)}
    return render(request, "hypervisors/processes.html", context)


def _rows(instances: list[Instance]) -> list[ProcessRow]:
    leads: dict[str, list[str]] = defaultdict(list)
    for pool in watched_pools():
        leads[pool.watcher].append(pool.name)
    alike: dict[tuple[str, str, str, str], list[Instance]] = defaultdict(list)
    for one in sorted(instances, key=lambda one: (list(_KINDS).index(one.kind), one.host, one.holds, one.started_at)):
        alike[str(_KINDS[one.kind]), one.host, one.version, _duty(one, leads[one.id])].append(one)
    return [
        ProcessRow(
            kind=kind,
            host=host,
            pids=tuple(one.pid for one in same),
            started_at=datetime.fromtimestamp(same[0].started_at, tz=UTC),
            version=version,
            duty=duty,
        )
        for (kind, host, version, duty), same in alike.items()
    ]


def _duty(instance: Instance, pools: list[str]) -> str:
    if instance.kind == "watcher":
        return _("leads %(pools)s") % {"pools": ", ".join(pools)} if pools else _("stands by")
    return ", ".join(instance.holds)


urlpatterns = [path("hypervisors/processes/", processes, name="processes")]
