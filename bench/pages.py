"""What pages cost the server and the browser, and what the watcher costs the machine."""

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

from playwright.sync_api import Browser, Page

from bench.figures import Figure, cpu_seconds, milliseconds, p95, resident_mebibytes, time_page
from deploy.environment import REPOSITORY
from deploy.stack import Stack

# Counts queries and connections to libvirt (there is no call without one), in-process, on the stack's own database.
COUNT_QUERIES = """
import json, libvirt
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
settings.ALLOWED_HOSTS.append("testserver")
client = Client()
client.force_login(User.objects.get(username="admin"))
opened = []
for name in ("open", "openReadOnly", "openAuth"):
    setattr(libvirt, name, lambda *_: opened.append(1))
counts = []
for path in json.loads({paths!r}):
    client.get(path)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200, path
    counts.append(len(queries))
print(json.dumps([counts, len(opened)]))
"""
CLIENTS = 64
CLIENTS_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class _MeasuredPage:
    name: str
    path: str
    # Median milliseconds from request to answer; None: no aim.
    target_ms: float | None


def _pages(size: int, uuid: str) -> list[_MeasuredPage]:
    """The list in every kind of order, at its head, in its middle and at its end."""
    last = -(-size // 50)
    lists = {
        "VM list": "",
        "VM list by CPU": "?sort=cpu&order=desc",
        "VM list by CPU, least first, middle page": f"?sort=cpu&page={(last + 1) // 2}",
        "VM list by memory used, last page": f"?sort=used&order=desc&page={last}",
        "VM list by state": "?sort=state",
        "VM list by host, backwards": "?sort=host&order=desc",
    }
    pages = [_MeasuredPage(name=name, path=f"/vms/{query}", target_ms=30) for name, query in lists.items()]
    pages.append(_MeasuredPage(name="VM page", path=f"/vms/{uuid}/", target_ms=None))
    pages.append(_MeasuredPage(name="Hosts page", path="/hypervisors/", target_ms=40))
    return pages


def page_figures(stack: Stack, size: int, browser: Browser) -> list[Figure]:
    page = signed_in(browser, stack)
    uuid = page.locator("#list tbody tr").first.get_attribute("data-uuid") or ""
    cookie = cookies(page)
    page.context.close()
    pages = _pages(size, uuid)
    code = COUNT_QUERIES.format(paths=json.dumps([measured.path for measured in pages]))
    counts, libvirt_calls = json.loads(stack.manage("shell", "-v", "0", "-c", code).splitlines()[-1])
    figures = []
    for measured, sql in zip(pages, counts, strict=True):
        times, zipped, plain = time_page(stack.port, measured.path, cookie)
        sizes = f"{zipped / 1024:.0f} KiB gzipped, {plain / 1024:.0f} plain"
        has_target = measured.target_ms is not None
        figures.append(
            Figure(
                what=f"{measured.name} at {size:,} VMs",
                value=f"{milliseconds(times)}; {sizes}; {sql} SQL; {libvirt_calls} libvirt calls",
                target=f"{measured.target_ms} ms, no libvirt" if has_target else "",
                met=statistics.median(times) * 1000 <= measured.target_ms and not libvirt_calls if has_target else None,
            )
        )
    return figures


def crowd_figures(stack: Stack, size: int, cookie: str) -> list[Figure]:
    """Many clients on the list at once; they are a process of their own, on the same machine."""
    command = [sys.executable, "-m", "bench.many_clients", str(stack.port), "/vms/", cookie]
    times: list[float] = []
    # The first second warms every process up.
    for seconds in (1, CLIENTS_SECONDS):
        arguments = [*command, str(CLIENTS), str(seconds)]
        times = json.loads(subprocess.run(arguments, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE).stdout)
    return [
        Figure(
            what=f"VM list at {size:,} VMs, {CLIENTS} clients at once",
            value=f"{milliseconds(times)}; {len(times) / CLIENTS_SECONDS:.0f} requests a second",
            target="700 ms p95",
            met=p95(times) <= 0.7,
        )
    ]


def cookies(page: Page) -> str:
    """The header that makes a request this page's person's."""
    return "; ".join(f"{c.get('name')}={c.get('value')}" for c in page.context.cookies())


def signed_in(browser: Browser, stack: Stack) -> Page:
    page = browser.new_context(base_url=stack.url, viewport={"width": 1280, "height": 800}).new_page()
    page.goto("/vms/")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(stack.admin_password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Virtual machines", exact=True).wait_for()
    return page


def paint_figures(stack: Stack, size: int, browser: Browser) -> list[Figure]:
    """First contentful paint of the list, whose rows are in the HTML, with an empty cache each time."""
    page = signed_in(browser, stack)
    state = page.context.storage_state()
    page.context.close()
    times = []
    for _ in range(9):
        context = browser.new_context(base_url=stack.url, storage_state=state, viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.goto("/vms/")
        page.locator("#list tbody tr").first.wait_for()
        paint = page.wait_for_function("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
        times.append(float(paint.json_value()) / 1000)
        context.close()
    met = statistics.median(times) < 0.6
    return [Figure(what=f"List painted, cold cache, {size:,} VMs", value=milliseconds(times), target="600 ms", met=met)]


def watcher_figures(stack: Stack, size: int, seconds: float) -> list[Figure]:
    pid = stack.pid("watcher")
    time.sleep(20)
    before, started = cpu_seconds(pid), time.monotonic()
    time.sleep(30)
    percent = (cpu_seconds(pid) - before) / (time.monotonic() - started) * 100
    return [
        Figure(what=f"First inventory of {size:,} VMs", value=f"{seconds:.1f} s", target="15 s", met=seconds < 15),
        Figure(
            what=f"Watcher at {size:,} VMs, test driver included",
            value=f"{percent:.0f} % of a core, {resident_mebibytes(pid)} MiB",
        ),
    ]
