"""Start and live migration through vmportal, from the click to the word in the page, against bare virsh."""

import statistics
import time
from collections.abc import Callable

from playwright.sync_api import Page

from bench.figures import Figure
from deploy.lab.guest import Guest
from deploy.lab.lab import Lab

# Even: each takes its turn to go first, and a migration's direction changes with it.
PAIRS = 8


def against_virsh_figures(page: Page, lab: Lab, guest: Guest) -> list[Figure]:
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
    by_virsh: Callable[[], object], by_portal: Callable[[], object], between: Callable[[], object]
) -> list[tuple[float, float]]:
    """Seconds of each, pair by pair; the first pair, which warms everything up, is left out."""
    pairs = []
    for number in range(PAIRS + 1):
        seconds = {}
        for action in (by_virsh, by_portal) if number % 2 else (by_portal, by_virsh):
            started = time.perf_counter()
            action()
            seconds[action] = time.perf_counter() - started
            between()
            time.sleep(1)
        if number:
            pairs.append((seconds[by_virsh], seconds[by_portal]))
    return pairs


# Asks as the page does; resolves when the page hears that it is over, as its tasks show it.
OPERATE = """async ([path, form]) => {
  const token = document.cookie.match(/csrftoken=([^;]+)/)[1];
  const over = new Promise((resolve) => {
    const heard = ({ detail: { what, op, id, fields } }) => {
      if (what !== "operation") return;
      if (op === "add") window.asked = id;
      if (id !== window.asked || ["queued", "running"].includes(fields.state)) return;
      document.removeEventListener("vp:change", heard);
      resolve(fields);
    };
    document.addEventListener("vp:change", heard);
  });
  const headers = { "X-CSRFToken": token, "HX-Request": "true" };
  const answer = await fetch(path, { method: "POST", body: new URLSearchParams(form), headers });
  if (!answer.ok) throw new Error(`${answer.status} ${(await answer.text()).slice(0, 300)}`);
  return await over;
}"""


def _operate(page: Page, guest: Guest, kind: str, form: dict[str, str]) -> None:
    path = f"/vms/{guest.uuid}/migrate/" if kind == "migrate" else f"/vms/{guest.uuid}/operations/{kind}/"
    task = page.evaluate(OPERATE, [path, form])
    if task["state"] != "succeeded":
        raise RuntimeError(f"{kind}: {task}")


def _against(what: str, pairs: list[tuple[float, float]]) -> Figure:
    virsh, ours = (statistics.median(values) for values in zip(*pairs, strict=True))
    return Figure(
        what=f"{what} through vmportal against virsh",
        value=f"{ours:.2f} s against {virsh:.2f} s: × {ours / virsh:.2f}",
        target="× 1.05 + 0.1 s",
        met=ours <= virsh * 1.05 + 0.1,
    )
