"""What pages cost the server and the browser, and what the watcher costs the machine."""

import json
import statistics
import time

from playwright.sync_api import Browser, Page

from bench.figures import Figure, cpu_seconds, milliseconds, resident_mebibytes, time_page
from deploy.stack import Stack

# Counts queries and connections to libvirt (there is no call without one), in-process, on the stack's own database.
COUNT_QUERIES = """
import json, libvirt
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypervisors.models import Domain
settings.ALLOWED_HOSTS.append("testserver")
client = Client()
client.force_login(User.objects.get(username="admin"))
uuid = Domain.objects.order_by("name").values_list("uuid", flat=True)[0]
opened = []
for name in ("open", "openReadOnly", "openAuth"):
    setattr(libvirt, name, lambda *_: opened.append(1))
counts = {}
for path in ("/vms/", "/vms/?sort=cpu&order=desc", f"/vms/{uuid}/"):
    client.get(path)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200
    counts[path] = len(queries)
print(json.dumps({"uuid": str(uuid), "sql": list(counts.values()), "libvirt": len(opened)}))
"""


def page_figures(stack: Stack, size: int, browser: Browser) -> list[Figure]:
    report = json.loads(stack.manage("shell", "-v", "0", "-c", COUNT_QUERIES).splitlines()[-1])
    page = signed_in(browser, stack)
    cookie = cookies(page)
    page.context.close()
    figures = []
    paths = {"list": "/vms/", "list by CPU": "/vms/?sort=cpu&order=desc", "page": f"/vms/{report['uuid']}/"}
    for (name, path), sql in zip(paths.items(), report["sql"], strict=True):
        times, zipped, plain = time_page(stack.port, path, cookie)
        sizes = f"{zipped / 1024:.0f} KiB gzipped, {plain / 1024:.0f} plain"
        value = f"{milliseconds(times)}; {sizes}; {sql} SQL; {report['libvirt']} libvirt calls"
        met = statistics.median(times) < 0.05 and not report["libvirt"] if name != "page" else None
        figures.append(
            Figure(
                what=f"VM {name} at {size:,} VMs",
                value=value,
                target="50 ms, no libvirt" if name != "page" else "",
                met=met,
            )
        )
    return figures


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
