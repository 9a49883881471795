"""What breaks breaks alone: frozen and cut hosts, and each process of ours killed once, in the worst moment."""

import signal
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from deploy.lab import fault
from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.host import Host
from deploy.lab.lab import Lab
from deploy.stack import Stack
from tests.browser.people import SEEN_MS, open_machine, press, see_heading_state, see_state, wait_for


@pytest.fixture
def guest(lab: Lab) -> Iterator[Guest]:
    """A running one on the first host."""
    made = define_guest(lab.hosts[0], "steady", start=True)
    made.wait_until_counting()
    yield made
    remove_guest(lab.hosts, made)


def host_line(page: Page, host: Host) -> str:
    """What the tree says of a host."""
    return page.locator(".vp-host").filter(has_text=host.name).locator(".vp-branch-row").inner_text()


def expect_host(page: Page, host: Host, word: str) -> None:
    line = page.locator(".vp-host").filter(has_text=host.name).locator(".vp-branch-row")
    expect(line).to_contain_text(word, timeout=60_000)


def seconds_of_a_page(page: Page, path: str) -> float:
    """The quickest of three."""
    times = []
    for _ in range(3):
        started = time.monotonic()
        assert page.request.get(path).ok
        times.append(time.monotonic() - started)
    return min(times)


@pytest.mark.parametrize(("begin", "end"), [(fault.freeze, fault.thaw), (fault.cut, fault.mend)], ids=["frozen", "cut"])
def test_a_host_that_is_away_slows_nothing_and_comes_back(
    page: Page, lab: Lab, guest: Guest, begin: object, end: object
) -> None:
    """The second host is away; the guest is on the first."""
    sound, ailing = lab.hosts[:2]
    assert callable(begin)
    assert callable(end)
    page.goto("/vms/")
    expect_host(page, ailing, "Online")
    before = seconds_of_a_page(page, "/vms/")
    with fault.during(begin, end, ailing):
        wait_for(page, lambda: "Online" not in host_line(page, ailing), seconds=60)
        sound.virsh("suspend", guest.uuid)
        see_state(page, guest.name, "Paused")
        sound.virsh("resume", guest.uuid)
        see_state(page, guest.name, "Running")
        # A page that waited for the host would take seconds.
        assert seconds_of_a_page(page, "/vms/") < before + 2
        page.get_by_role("link", name=ailing.name).first.click()
        if begin is fault.freeze:
            expect(page.locator("main")).to_contain_text("has not answered", timeout=SEEN_MS)
        page.goto("/vms/")
    expect_host(page, ailing, "Online")


@pytest.mark.parametrize("process", ["web", "redis", "watcher", "worker", "console"])
def test_each_process_is_killed_and_all_is_right_again(
    page: Page, portal: Stack, lab: Lab, guest: Guest, process: str
) -> None:
    page.goto("/vms/")
    see_state(page, guest.name, "Running")
    former = portal.kill(process, signal.SIGKILL, group=process == "worker")
    portal.wait_restarted(process, former)
    portal.wait_healthy(timeout_seconds=60)
    lab.hosts[0].virsh("suspend", guest.uuid)
    see_state(page, guest.name, "Paused")
    open_machine(page, guest)
    press(page, "Resume")
    see_heading_state(page, "Running")
    assert lab.hosts[0].virsh("domstate", guest.uuid).strip() == "running"


def test_the_worker_dies_in_mid_migration_and_the_move_goes_on(
    page: Page, portal: Stack, lab: Lab, guest: Guest
) -> None:
    source, target = lab.hosts[:2]
    source.virsh("migrate-setspeed", guest.uuid, "2")
    open_machine(page, guest)
    press(page, "Migrate…")
    dialog = page.locator("dialog#dialog[open]")
    dialog.locator(".vp-target").filter(has_text=target.name).get_by_role("radio").check()
    dialog.get_by_role("button", name="Migrate", exact=True).click()
    wait_for(page, lambda: "Data remaining" in source.virsh("domjobinfo", guest.uuid))
    former = portal.kill("migrations", signal.SIGKILL, group=True)
    portal.wait_restarted("migrations", former)
    # Quick again, now that it was hit in the middle.
    source.virsh("migrate-setspeed", guest.uuid, "1000")
    expect(page.locator("main")).to_contain_text(target.name, timeout=90_000)
    task = page.locator(".vp-task").filter(has_text=guest.name).first
    expect(task).to_contain_text(f"runs on {target.name}", timeout=60_000)
    assert target.virsh("domstate", guest.uuid).strip() == "running"
    assert guest.uuid not in source.virsh("list", "--all", "--uuid")
    guest.wait_until_counting()
    assert guest.boots() == 1


def test_a_page_says_what_is_old_while_nobody_watches_and_recovers_by_itself(
    page: Page, portal: Stack, guest: Guest
) -> None:
    open_machine(page, guest)
    banner = page.locator("vp-freshness")
    expect(banner).to_be_hidden()
    portal.stop_process("watcher")
    try:
        # A lease of 8 s, and the web's look every three.
        expect(banner).to_be_visible(timeout=20_000)
        expect(banner).to_contain_text("Not updated since")
        state = page.locator(".vp-heading-state vp-state")
        wait_for(page, lambda: "grayscale" in state.evaluate("element => getComputedStyle(element).filter"))
        page.goto("/vms/")
        expect(banner).to_be_visible(timeout=SEEN_MS)
        assert portal.health()[0] == 503
    finally:
        portal.start_process("watcher")
    expect(banner).to_be_hidden(timeout=60_000)
    see_state(page, guest.name, "Running")
