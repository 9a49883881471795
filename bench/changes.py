"""How soon an open list shows what happened: after libvirt's event, and after virsh."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page

from bench.figures import Figure, milliseconds, p95
from deploy.lab.guest import Guest
from deploy.lab.host import Host
from deploy.lab.lab import Lab

EVENTS = 30
ROUNDS = 5
# Stamps, in the machine's own time, each change of the state's word.
WATCH_STATE = """uuid => {
  window.seen = [];
  const cell = document.querySelector(`#vm-${CSS.escape(uuid)} .c-state`);
  new MutationObserver(() => window.seen.push([performance.timeOrigin + performance.now(), cell.textContent.trim()]))
    .observe(cell, { subtree: true, childList: true, characterData: true, attributes: true });
}"""


def event_figures(page: Page, lab: Lab, guest: Guest, size: int) -> list[Figure]:
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


# --- virsh

# Resolves with the machine's time at which the row shows what is wanted: words by column, or null for no row at all.
AWAIT_ROW = """([uuid, wanted]) => {
  const shows = () => {
    const row = document.getElementById(`vm-${uuid}`);
    if (!wanted) return !row;
    const has = ([column, word]) => row.querySelector(`.c-${column}`)?.innerText.includes(word);
    return row && Object.entries(wanted).every(has);
  };
  window.shown = new Promise((resolve) => {
    const look = () => shows() && (observer.disconnect(), resolve(performance.timeOrigin + performance.now()));
    const observer = new MutationObserver(look);
    observer.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
    look();
  });
}"""


@dataclass(frozen=True, kw_only=True)
class _Change:
    """Something done with virsh, and what the guest's row is to show then: words by column; None: no row."""

    name: str
    command: Callable[[], object]
    shows: dict[str, str] | None


def virsh_figures(page: Page, lab: Lab, guest: Guest, size: int) -> list[Figure]:
    """From virsh's return to the open list, for each kind of change. The guest is running before and after."""
    page.goto("/vms/?q=measured")
    page.locator(f"#vm-{guest.uuid} .c-state", has_text="Running").wait_for()
    seconds: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for change in _changes(lab, guest):
            page.wait_for_timeout(1000)
            seconds.setdefault(change.name, []).append(_seconds_until_shown(page, guest, change))
    worst = max(max(values) for values in seconds.values())
    by_name = ", ".join(f"{name} {statistics.median(values) * 1000:.0f}" for name, values in seconds.items())
    what = f"virsh's return to the changed list, {size:,} VMs"
    value = f"ms median: {by_name}; slowest {worst * 1000:.0f} ms"
    return [Figure(what=what, value=value, target="1 s", met=worst < 1)]


def _seconds_until_shown(page: Page, guest: Guest, change: _Change) -> float:
    page.evaluate(AWAIT_ROW, [guest.uuid, change.shows])
    change.command()
    returned_at = time.time()
    shown_at: float = page.evaluate("window.shown")
    return max(0.0, shown_at / 1000 - returned_at)


def _changes(lab: Lab, guest: Guest) -> list[_Change]:
    first, second = lab.hosts[:2]
    xml = first.virsh("dumpxml", "--inactive", "--security-info", guest.uuid)

    def virsh(*arguments: str, on: Host = first) -> Callable[[], object]:
        return lambda: on.virsh(*arguments)

    def changed(name: str, command: Callable[[], object], /, **shows: str) -> _Change:
        return _Change(name=name, command=command, shows=shows or None)

    options = ("--live", "--p2p", "--persistent", "--undefinesource")
    return [
        changed("suspend", virsh("suspend", guest.uuid), state="Paused"),
        changed("resume", virsh("resume", guest.uuid), state="Running"),
        changed("migrate", virsh("migrate", *options, guest.uuid, second.uri), host=second.name, state="Running"),
        changed("back", virsh("migrate", *options, guest.uuid, first.uri, on=second), host=first.name, state="Running"),
        changed("destroy", virsh("destroy", guest.uuid), state="Off"),
        changed("rename", virsh("domrename", guest.uuid, f"{guest.name}-renamed"), name=f"{guest.name}-renamed"),
        changed("undefine", virsh("undefine", guest.uuid)),
        changed("define", lambda: _define(first, xml), name=guest.name, state="Off"),
        changed("start", virsh("start", guest.uuid), state="Running"),
    ]


def _define(host: Host, xml: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write(xml)
        file.flush()
        host.virsh("define", file.name)
