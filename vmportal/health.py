"""`GET /healthz`: which of database, Redis, web, console, workers, watchers and hypervisors is well.

200 when at least one process of each kind is well and every hypervisor pool has a watcher, 503 otherwise. A hypervisor
that is away is reported, but does not make us ill: a load balancer that took the whole portal away for one dead host
would make it worse.
"""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from hypervisors.access import can
from hypervisors.models import DomainCopy, Hypervisor
from hypervisors.models.instances import Instance, read_instances
from hypervisors.models.troubles import Trouble, look, read_trouble
from hypervisors.models.watcher_leases import watched_pools
from hypervisors.operations.engine.queues import MIGRATIONS_QUEUE, OPERATIONS_QUEUE, STORAGE_QUEUE
from hypervisors.privileges import Privilege

_QUEUES = {"worker": OPERATIONS_QUEUE, "migrations": MIGRATIONS_QUEUE, "storage": STORAGE_QUEUE}
_CONSOLE_SECONDS = 2.0
_WRITE_SECONDS = 3.0
_WRITTEN = "vmportal:health"
# The console proxy's one path, and its answer to a GET that is no upgrade.
_CONSOLE_PATH, _UPGRADE_REQUIRED = "/console/vnc", 426
_TRANSFER_PATH, _NO_CONTENT = "/transfer/alive", 204


@never_cache
@require_safe
@login_not_required
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer {"status", "checks": {name: {"well", "detail"}}, "instances", "pools", "hypervisors", "alarms"}.

    Status is "well", "ill", or "alarm": well itself, while a virtual machine runs on two hosts at once.

    Names are for those who may see all hypervisors; others see how many.
    """
    checks = {"database": _check(_database), "redis": _check(_redis)}
    # They announce themselves in Redis: without it nothing is known of them, and waiting for each would take seconds.
    instances = _instances() if checks["redis"]["well"] else None
    checks |= {name: _check(partial(probe, instances)) for name, probe in _PROBES.items()}
    readable = _is_readable()
    detailed = readable and can(request.user, Privilege.HYPERVISOR_VIEW)
    report: dict[str, Any] = {"instances": _told(instances or [], detailed=detailed)}
    if readable:
        checks["pools"] = _check(_pools)
        report["pools"] = _watchers(detailed=detailed)
        report["hypervisors"] = _hypervisors(detailed=detailed)
    well = all(check["well"] for check in checks.values())
    status = "well" if well else "ill"
    if checks["database"]["well"]:
        report["alarms"] = _alarms(detailed=detailed)
        if well and report["alarms"]["total"]:
            # Told, but not by 503: without vmportal it would be harder to mend.
            status = "alarm"
    report = {"status": status, "checks": checks} | report
    return JsonResponse(report, status=200 if well else 503)


def _check(probe: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"well": True, "detail": probe()}
    except Exception as error:  # noqa: BLE001 - a health check reports whatever is wrong
        return {"well": False, "detail": str(error) or type(error).__name__}


def _database() -> str:
    """Reads always; writes now and then, for whoever asks has us write."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    trouble = _written_lately()
    if trouble is not None:
        raise RuntimeError(f"the database cannot be written: {trouble.reason}")
    return connection.vendor


def _written_lately() -> Trouble | None:
    global _written_at
    with _writing:
        if time.monotonic() - _written_at < _WRITE_SECONDS:
            return read_trouble()
        trouble = look()
        # From now: a write may take long.
        _written_at = time.monotonic()
        return trouble


# time.monotonic() of this process's last write.
_written_at = float("-inf")
_writing = threading.Lock()


def _is_readable() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def _redis() -> str:
    """A Redis that is full answers, and takes nothing."""
    started = time.monotonic()
    with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
        client.set(_WRITTEN, "x" * 1000, ex=60)
    return f"answered in {(time.monotonic() - started) * 1000:.1f} ms"


# --- processes


def _instances() -> list[Instance] | None:
    try:
        return read_instances()
    except redis.RedisError:
        return None


def _web(instances: list[Instance] | None) -> str:
    """Well without Redis too: this very process is one."""
    return "answers" if instances is None else _alive(_of_kind(instances, "web"), least=0)


def _console(instances: list[Instance] | None) -> str:
    own = f"{settings.CONSOLE_HOST}:{settings.CONSOLE_PORT}"
    return _one_answers(instances, "console", own, path=_CONSOLE_PATH, good_status=_UPGRADE_REQUIRED)


def _transfer(instances: list[Instance] | None) -> str:
    own = f"{settings.TRANSFER_HOST}:{settings.TRANSFER_PORT}"
    return _one_answers(instances, "transfer", own, path=_TRANSFER_PATH, good_status=_NO_CONTENT)


def _one_answers(instances: list[Instance] | None, kind: str, own: str, *, path: str, good_status: int) -> str:
    """At least one process of the kind answers; without Redis, the one of this machine is asked."""
    addresses = [own] if instances is None else [one.address for one in _of_kind(instances, kind)]
    failures: list[str] = []
    for address in addresses or [own]:
        try:
            _ask(address, path, good_status)
        except (OSError, http.client.HTTPException, RuntimeError) as error:
            failures.append(str(error) or type(error).__name__)
        else:
            return f"{len(addresses)} alive, asked until one answered"
    raise RuntimeError(failures[0])


def _ask(address: str, path: str, good_status: int) -> None:
    """A process that is frozen accepts connections, for the kernel does that, and answers nothing."""
    host, _, port = address.rpartition(":")
    client = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=_CONSOLE_SECONDS)
    try:
        client.request("GET", path)
        status = client.getresponse().status
    except TimeoutError as error:
        raise RuntimeError(f"no answer within {_CONSOLE_SECONDS:.0f} s") from error
    finally:
        client.close()
    if status != good_status:
        raise RuntimeError(f"answered with {status}")


def _worker(name: str, instances: list[Instance] | None) -> str:
    return _alive([one for one in _of_kind(instances, "worker") if _QUEUES[name] in one.holds])


def _watcher(instances: list[Instance] | None) -> str:
    return _alive(_of_kind(instances, "watcher"))


_PROBES: dict[str, Callable[[list[Instance] | None], str]] = {
    "web": _web,
    "console": _console,
    "transfer": _transfer,
    **{name: partial(_worker, name) for name in _QUEUES},
    "watcher": _watcher,
}


def _of_kind(instances: list[Instance] | None, kind: str) -> list[Instance]:
    if instances is None:
        raise RuntimeError("not known while Redis is away")
    return [instance for instance in instances if instance.kind == kind]


def _alive(instances: Iterable[Instance], *, least: int = 1) -> str:
    count = len(list(instances))
    if count < least:
        raise RuntimeError("no sign of life")
    return f"{count} alive"


def _told(instances: Iterable[Instance], *, detailed: bool) -> dict[str, Any]:
    if not detailed:
        return dict(Counter(instance.kind for instance in instances))
    report: dict[str, Any] = {}
    for one in instances:
        facts = {"id": one.id, "host": one.host, "version": one.version, "started_at": one.started_at}
        report.setdefault(one.kind, []).append(facts | {"holds": list(one.holds)})
    return report


# --- what is watched


def _pools() -> str:
    watched = watched_pools()
    without = sum(not pool.is_watched for pool in watched)
    if without:
        raise RuntimeError(f"{without} of {len(watched)} pools have no watcher")
    return f"{len(watched)} watched"


def _watchers(*, detailed: bool) -> dict[str, Any]:
    """Which watcher leads which pool."""
    pools = watched_pools()
    report: dict[str, Any] = {"watched": sum(pool.is_watched for pool in pools), "total": len(pools)}
    if detailed:
        report["each"] = {pool.name: pool.watcher for pool in pools}
    return report


def _alarms(*, detailed: bool) -> dict[str, Any]:
    """Virtual machines that run on two hosts at once."""
    rows = DomainCopy.objects.filter(runs_too_since__isnull=False).select_related("domain")
    troubles = {str(row.domain.uuid): row.domain.trouble for row in rows}
    return {"total": len(troubles), "each": list(troubles.values())} if detailed else {"total": len(troubles)}


def _hypervisors(*, detailed: bool) -> dict[str, Any]:
    rows = Hypervisor.objects.values_list("name", "status", "status_reason")
    online = sum(status == "online" for _, status, _ in rows)
    report: dict[str, Any] = {"online": online, "total": len(rows)}
    if detailed:
        report["each"] = {name: {"status": status, "reason": reason} for name, status, reason in rows}
    return report
