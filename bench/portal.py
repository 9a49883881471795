"""The whole portal, measured: pages, paint, watcher, event to DOM, start and migrate against virsh. Needs root."""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from bench.figures import (
    Figure,
    cpu_seconds,
    milliseconds,
    p95,
    publish,
    resident_mebibytes,
    time_page,
)
from bench.fleets import DOMAINS_PER_HYPERVISOR, register, wait_for_domains, write_fleet
from deploy.environment import REPOSITORY
from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.lab import Lab, bring_up, find_lab_plan, take_down
from deploy.stack import Stack
from tests.browser.conftest import CHROMIUM, CHROMIUM_ARGUMENTS

DOCUMENT = Path(REPOSITORY) / "docs" / "benchmarks.md"
LAB = "bench"
PAIRS = 5
EVENTS = 30
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
for path in ("/vms/", f"/vms/{uuid}/"):
    client.get(path)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200
    counts[path] = len(queries)
print(json.dumps({"uuid": str(uuid), "sql": list(counts.values()), "libvirt": len(opened)}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--sizes", default="10,500,10000", help="numbers of VMs; the last is used for all else")
    parser.add_argument("--no-console", action="store_true", help="leave out the console's echo")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",")]
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="vmportal-bench-") as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        for size in sizes:
            with_lab = size == sizes[-1]
            figures += _measure_size(Path(scratch) / str(size), size, browser, with_lab=with_lab)
        browser.close()
    if not arguments.no_console:
        figures += _console()
    now = datetime.datetime.now(tz=datetime.UTC)
    conditions = (
        f"Measured on {now:%Y-%m-%d} on {os.cpu_count()} cores in plain emulation; load {os.getloadavg()[1]:.1f}."
    )
    publish(figures, DOCUMENT, conditions=conditions)
    print("\n".join(figure.row() for figure in figures))


def _measure_size(directory: Path, size: int, browser: Browser, *, with_lab: bool) -> list[Figure]:
    directory.mkdir()
    per_hypervisor = min(size, DOMAINS_PER_HYPERVISOR)
    uris = write_fleet(directory, size // per_hypervisor, per_hypervisor)
    stack = Stack(directory / "data", env={"VMPORTAL_ALLOW_TEST_DRIVER": "1"})
    try:
        stack.start()
        register(stack, uris)
        seconds = wait_for_domains(stack, size)
        figures = _pages(stack, size, browser)
        if with_lab:
            figures += _watcher(stack, size, seconds)
            figures += _paint(stack, size, browser)
            figures += _on_lab(stack, size, directory, browser)
        return figures
    finally:
        stack.stop()


# --- pages


def _pages(stack: Stack, size: int, browser: Browser) -> list[Figure]:
    report = json.loads(stack.manage("shell", "-v", "0", "-c", COUNT_QUERIES).splitlines()[-1])
    page = _signed_in(browser, stack)
    cookie = "; ".join(f"{c.get('name')}={c.get('value')}" for c in page.context.cookies())
    page.context.close()
    figures = []
    for name, path, sql in zip(("list", "page"), ("/vms/", f"/vms/{report['uuid']}/"), report["sql"], strict=True):
        times, zipped, plain = time_page(stack.port, path, cookie)
        sizes = f"{zipped / 1024:.0f} KiB gzipped, {plain / 1024:.0f} plain"
        value = f"{milliseconds(times)}; {sizes}; {sql} SQL; {report['libvirt']} libvirt calls"
        met = statistics.median(times) < 0.05 and not report["libvirt"] if name == "list" else None
        figures.append(
            Figure(
                what=f"VM {name} at {size:,} VMs",
                value=value,
                target="50 ms, no libvirt" if name == "list" else "",
                met=met,
            )
        )
    return figures


def _signed_in(browser: Browser, stack: Stack) -> Page:
    page = browser.new_context(base_url=stack.url, viewport={"width": 1280, "height": 800}).new_page()
    page.goto("/vms/")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(stack.admin_password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Virtual machines", exact=True).wait_for()
    return page


def _paint(stack: Stack, size: int, browser: Browser) -> list[Figure]:
    """First contentful paint of the list, whose rows are in the HTML, with an empty cache each time."""
    page = _signed_in(browser, stack)
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


def _watcher(stack: Stack, size: int, seconds: float) -> list[Figure]:
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


# --- on real hypervisors, beside the fleet


def _on_lab(stack: Stack, size: int, directory: Path, browser: Browser) -> list[Figure]:
    try:
        lab = bring_up(LAB, directory / "lab", host_count=2)
        for host in lab.hosts:
            stack.manage("register_hypervisor", "-v", "0", "--pool", "lab", "--name", host.name, "--uri", host.uri)
        guest = define_guest(lab.hosts[0], "measured", start=True)
        guest.wait_until_counting()
        wait_for_domains(stack, size + 1)
        try:
            page = _signed_in(browser, stack)
            figures = _event_to_dom(page, lab, guest, size)
            figures += _start_and_migrate(page, lab, guest)
            page.context.close()
            return figures
        finally:
            remove_guest(lab.hosts, guest)
    finally:
        plan = find_lab_plan(LAB, None)
        if plan is not None:
            take_down(plan)


# Stamps, in the machine's own time, each change of the state's word.
WATCH_STATE = """uuid => {
  window.seen = [];
  const cell = document.querySelector(`#vm-${CSS.escape(uuid)} .c-state`);
  new MutationObserver(() => window.seen.push([performance.timeOrigin + performance.now(), cell.textContent.trim()]))
    .observe(cell, { subtree: true, childList: true, characterData: true, attributes: true });
}"""


def _event_to_dom(page: Page, lab: Lab, guest: Guest, size: int) -> list[Figure]:
    """From libvirt's own event, as another client of the same libvirtd gets it, to the word in an open list."""
    page.goto("/vms/?q=measured")
    page.locator(f"#vm-{guest.uuid} .c-state", has_text="Running").wait_for()
    page.wait_for_timeout(3000)
    page.evaluate(WATCH_STATE, guest.uuid)
    command = [sys.executable, "-m", "bench.events", lab.hosts[0].uri, guest.uuid, str(EVENTS)]
    stamps = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    page.wait_for_timeout(2000)
    seen = page.evaluate("window.seen")
    latencies = []
    for stamp, word in stamps:
        after = [at for at, text in seen if text == word and at >= stamp - 5]
        latencies.append((min(after) - stamp) / 1000 if after else 60.0)
    met = statistics.median(latencies) < 0.05 and p95(latencies) < 0.15
    what = f"libvirt's event to the changed DOM, {size:,} VMs"
    return [Figure(what=what, value=milliseconds(latencies), target="50 ms median, 150 ms p95", met=met)]


def _start_and_migrate(page: Page, lab: Lab, guest: Guest) -> list[Figure]:
    source, target = lab.hosts[:2]
    source.virsh("destroy", guest.uuid)
    start = _paired(
        lambda: source.virsh("start", guest.uuid),
        lambda: _operate(page, guest, "start", {}),
        lambda: source.virsh("destroy", guest.uuid),
    )
    source.virsh("start", guest.uuid)
    guest.wait_until_counting()
    hosts = [source, target]

    def by_virsh() -> None:
        options = ("--live", "--p2p", "--persistent", "--undefinesource")
        hosts[0].virsh("migrate", *options, guest.uuid, hosts[1].uri)

    ids = _hypervisor_ids(page, guest)

    def by_portal() -> None:
        _operate(page, guest, "migrate", {"target": ids[hosts[1].name]})

    def afterwards() -> None:
        hosts.reverse()
        guest.wait_until_counting()
        page.wait_for_timeout(1500)

    migrate = _paired(by_virsh, by_portal, afterwards)
    return [_against("Start", start), _against("Live migration", migrate)]


def _hypervisor_ids(page: Page, guest: Guest) -> dict[str, str]:
    """The dialog's targets by host name."""
    page.goto(f"/vms/{guest.uuid}/migrate/")
    targets = page.locator(".vp-target").all()
    return {t.locator(".vp-target-name").inner_text(): t.locator("input").get_attribute("value") or "" for t in targets}


def _paired(
    one: Callable[[], object], other: Callable[[], object], between: Callable[[], object]
) -> list[tuple[float, float]]:
    pairs = []
    for number in range(PAIRS + 1):
        pair = []
        for action in (one, other):
            started = time.perf_counter()
            action()
            pair.append(time.perf_counter() - started)
            between()
            time.sleep(1)
        if number:
            pairs.append((pair[0], pair[1]))
    return pairs


def _operate(page: Page, guest: Guest, kind: str, form: dict[str, str | float | bool]) -> None:
    """Ask as the page does, and wait until the tasks say that it is over."""
    path = f"/vms/{guest.uuid}/migrate/" if kind == "migrate" else f"/vms/{guest.uuid}/operations/{kind}/"
    token = next(str(c.get("value")) for c in page.context.cookies() if c.get("name") == "csrftoken")
    headers = {"X-CSRFToken": token, "Referer": page.url, "HX-Request": "true"}
    answer = page.request.post(path, form=form, headers=headers)
    if not answer.ok:
        raise RuntimeError(f"{kind}: {answer.status} {answer.text()[:300]}")
    while True:
        task = page.request.get("/tasks/").json()["tasks"][0]
        if task["state"] not in ("queued", "running"):
            if task["state"] != "succeeded":
                raise RuntimeError(f"{kind}: {task}")
            return
        time.sleep(0.03)


def _against(what: str, pairs: list[tuple[float, float]]) -> Figure:
    virsh, ours = (statistics.median(values) for values in zip(*pairs, strict=True))
    return Figure(
        what=f"{what} through vmportal against virsh",
        value=f"{ours:.2f} s against {virsh:.2f} s: × {ours / virsh:.2f}",
        target="× 1.05 + 0.1 s",
        met=ours <= virsh * 1.05 + 0.1,
    )


def _console() -> list[Figure]:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        subprocess.run([sys.executable, "-m", "bench.console_echo", "--json", file.name], check=True)
        report = json.loads(Path(file.name).read_text())
    return [
        Figure(what=f"Console gateway: {name.replace('_', ' ')}", value=f"{value:,.1f}")
        for name, value in report.items()
    ]


if __name__ == "__main__":
    main()
