"""Many open pages while much changes, and a lone change in one of them."""

import json
import statistics
import subprocess
import sys

from playwright.sync_api import Page

from bench.figures import Figure, milliseconds
from deploy.environment import REPOSITORY
from deploy.stack import Stack

PAGES = 300
CHANGES_PER_SECOND = 500
SECONDS = 10
LONE_CHANGES = 30

# As the watcher publishes: one by one, each stamped. Prints how many.
PUBLISH = """
import itertools, time
from hypervisors.broadcast import Change, publish
from hypervisors.models import Domain
uuids = itertools.cycle([str(uuid) for uuid in Domain.objects.order_by("name").values_list("uuid", flat=True)[:2000]])
total = {total}
begin = time.monotonic()
for number in range(total):
    wait = begin + number / {rate} - time.monotonic()
    if wait > 0:
        time.sleep(wait)
    stamp = {{"sent_at": time.time(), "number": number}}
    publish([Change(what="domain", id=next(uuids), fields={{"description": "x" * 20}} | stamp)])
print(f"{{total / (time.monotonic() - begin):.0f}}", flush=True)
time.sleep(1)
"""

# One change of one machine's state at a time; prints when each was published.
PUBLISH_LONE = """
import json, time
from hypervisors.broadcast import Change, publish
stamps = []
for number in range({count}):
    state = "paused" if number % 2 else "running"
    stamps.append(time.time())
    publish([Change(what="domain", id="{uuid}", fields={{"state": state}})])
    time.sleep(0.3)
print(json.dumps(stamps))
"""


def storm_figures(stack: Stack, cookie: str, shown: list[str]) -> list[Figure]:
    """Sockets and publisher are processes of their own, on the same machine. `shown`: VMs whose usage each watches."""
    command = [sys.executable, "-m", "bench.open_sockets", str(stack.port), cookie, str(PAGES), ",".join(shown)]
    sockets = subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="ascii"
    )
    assert sockets.stdin is not None
    assert sockets.stdout is not None
    try:
        if sockets.stdout.readline().strip() != "open":
            raise RuntimeError("the sockets did not open")
        total = CHANGES_PER_SECOND * SECONDS
        code = PUBLISH.format(total=total, rate=CHANGES_PER_SECOND)
        rate = stack.manage("shell", "-v", "0", "-c", code).split()[-1]
        print(total, file=sockets.stdin, flush=True)
        report = json.loads(sockets.stdout.readline())
    finally:
        sockets.kill()
        sockets.wait()
    delay = f"{report['median'] * 1000:.0f} ms median, {report['p95'] * 1000:.0f} ms p95"
    return [
        Figure(
            what=f"{PAGES} open pages, {rate} changes a second: publication to each socket",
            value=f"{delay}; {report['lost']} of {report['expected']:,} lost",
            target="1 s p95, none lost",
            met=report["p95"] <= 1 and not report["lost"],
        )
    ]


WATCH = """uuid => {
  window.seen = [];
  const cell = document.querySelector(`#vm-${CSS.escape(uuid)} vp-state`);
  new MutationObserver(() => window.seen.push(performance.timeOrigin + performance.now()))
    .observe(cell, { attributes: true, attributeFilter: ["state"] });
}"""


def lone_change_figures(stack: Stack, page: Page) -> list[Figure]:
    """From publish() in another process to the changed row of an open list, with nothing else going on."""
    page.goto("/vms/")
    uuid = page.locator("#list tbody tr").first.get_attribute("data-uuid")
    page.wait_for_timeout(1500)
    page.evaluate(WATCH, uuid)
    stamps = json.loads(stack.manage("shell", "-v", "0", "-c", PUBLISH_LONE.format(count=LONE_CHANGES, uuid=uuid)))
    page.wait_for_timeout(500)
    seen = [at / 1000 for at in page.evaluate("window.seen")]
    delays = [min((at - stamp for at in seen if at >= stamp - 0.005), default=60.0) for stamp in stamps[1:]]
    what = "A lone change, published to changed DOM"
    met = statistics.median(delays) <= 0.010
    return [Figure(what=what, value=milliseconds(delays), target="10 ms median", met=met)]
