"""`GET /healthz`: which of database, Redis, worker, watcher, console proxy and each hypervisor is well.

200 when every process of ours is well, 503 otherwise. A hypervisor that is away is reported, but does not make us ill:
a load balancer that took the whole portal away for one dead host would make it worse.
"""

import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from hypervisors.access import can
from hypervisors.models import Hypervisor
from hypervisors.models.instances import read_instances
from hypervisors.privileges import Privilege

# Worker and migrations worker write `vmportal:alive:<name>` this often, for three times as long.
HEARTBEAT_SECONDS = 5
BEATING_PROCESSES = ("worker", "migrations")


@never_cache
@require_safe
@login_not_required
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer {"status", "checks": {name: {"well", "detail"}}, "hypervisors": {…}}; hosts' names for who sees all."""
    checks = {"database": _check(_database), "redis": _check(_redis), "console": _check(_console)}
    # They beat in Redis: without it nothing is known of them, and waiting for each would take seconds.
    beats = _heartbeat if checks["redis"]["well"] else _unknown
    checks |= {name: _check(partial(beats, name)) for name in BEATING_PROCESSES}
    checks["watcher"] = _check(_watcher if checks["redis"]["well"] else partial(_unknown, "watcher"))
    well = all(check["well"] for check in checks.values())
    report: dict[str, Any] = {"status": "well" if well else "ill", "checks": checks}
    if checks["database"]["well"]:
        report["hypervisors"] = _hypervisors(detailed=can(request.user, Privilege.HYPERVISOR_VIEW))
    return JsonResponse(report, status=200 if well else 503)


def _check(probe: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"well": True, "detail": probe()}
    except Exception as error:  # noqa: BLE001 - a health check reports whatever is wrong
        return {"well": False, "detail": str(error) or type(error).__name__}


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return connection.vendor


def _redis() -> str:
    started = time.monotonic()
    _redis_client().ping()
    return f"answered in {(time.monotonic() - started) * 1000:.1f} ms"


def _console() -> str:
    with socket.create_connection(("127.0.0.1", settings.CONSOLE_PORT), timeout=2):
        return "listening"


def _heartbeat(name: str) -> str:
    beat = _redis_client().get(f"vmportal:alive:{name}")
    if beat is None:
        raise RuntimeError("no sign of life")
    return f"seen {max(0.0, time.time() - float(beat)):.0f} s ago"


def _watcher() -> str:
    count = sum(instance.kind == "watcher" for instance in read_instances())
    if not count:
        raise RuntimeError("no sign of life")
    return f"{count} alive"


def _unknown(name: str) -> str:
    raise RuntimeError("not known while Redis is away")


def _redis_client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)


def _hypervisors(*, detailed: bool) -> dict[str, Any]:
    rows = Hypervisor.objects.values_list("name", "status", "status_reason")
    online = sum(status == "online" for _, status, _ in rows)
    report: dict[str, Any] = {"online": online, "total": len(rows)}
    if detailed:
        report["each"] = {name: {"status": status, "reason": reason} for name, status, reason in rows}
    return report
