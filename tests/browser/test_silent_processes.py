"""Our own processes stop answering beside open pages: each says what does not work and since when, and recovers."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.lab import Lab
from deploy.stack import Stack
from tests.browser.people import open_machine, press, see_console, see_heading_state, see_state

# What is promised is 15 s, on a machine that does nothing else.
TOLD_MS = 60_000
OTHERS = ("worker", "migrations", "storage", "console", "transfer")
CLOCK = r"since \d\d:\d\d"


@pytest.fixture
def guest(lab: Lab) -> Iterator[Guest]:
    made = define_guest(lab.hosts[0], "beside", start=True)
    yield made
    remove_guest(lab.hosts, made)


@pytest.fixture
def pages(page: Page, context: BrowserContext, guest: Guest) -> dict[str, Page]:
    """Open beside one another: the list, the machine, its screen, and where files are uploaded."""
    opened = {"machine": page} | {name: context.new_page() for name in ("list", "screen", "uploads")}
    open_machine(page, guest)
    opened["list"].goto("/vms/")
    see_state(opened["list"], guest.name, "Running")
    open_machine(opened["screen"], guest, "screen/")
    see_console(opened["screen"])
    opened["uploads"].goto("/storage/")
    opened["uploads"].get_by_role("main").get_by_role("link", name="shared", exact=True).first.click()
    expect(opened["uploads"].locator("vp-upload")).to_be_visible()
    return opened


@contextmanager
def frozen(portal: Stack, *names: str) -> Iterator[None]:
    for name in names:
        portal.kill(name, signal.SIGSTOP)
    try:
        yield
    finally:
        for name in names:
            portal.kill(name, signal.SIGCONT)


def banner_says(page: Page, text: str) -> None:
    expect(page.locator("#main vp-freshness")).to_contain_text(re.compile(f"{text} {CLOCK}"), timeout=TOLD_MS)


def banner_goes(page: Page) -> None:
    expect(page.locator("#main vp-freshness")).to_be_hidden(timeout=TOLD_MS)


def test_each_page_says_which_process_it_misses_and_a_request_waits_for_its_worker(
    portal: Stack, pages: dict[str, Page]
) -> None:
    machine = pages["machine"]
    with frozen(portal, *OTHERS):
        for page in pages.values():
            banner_says(page, "No worker answers")
            banner_says(page, "No worker for moves answers")
            banner_says(page, "No worker for storage answers")
        banner_says(pages["screen"], "The console proxy does not answer")
        banner_says(pages["uploads"], "The transfer process does not answer")
        expect(pages["uploads"].locator("#main vp-freshness")).not_to_contain_text("console proxy")
        press(machine, "Pause")
        waits = machine.locator("#vm-band .vp-running-waits")
        expect(waits).to_have_text(re.compile(f"Waits: no worker answers {CLOCK}"), timeout=TOLD_MS)
    for page in pages.values():
        banner_goes(page)
    see_heading_state(machine, "Paused")
    expect(machine.locator("#vm-band")).to_be_empty(timeout=TOLD_MS)
    see_console(pages["screen"])
    portal.wait_healthy()


def test_without_redis_pages_say_that_nothing_is_begun_and_follow_again_afterwards(
    portal: Stack, pages: dict[str, Page], lab: Lab, guest: Guest
) -> None:
    with frozen(portal, "redis"):
        for page in pages.values():
            banner_says(page, "Redis does not answer")
        expect(pages["list"].locator("#main vp-freshness")).not_to_contain_text("worker for")
    for page in pages.values():
        banner_goes(page)
    lab.hosts[0].virsh("suspend", guest.uuid)
    see_state(pages["list"], guest.name, "Paused")
    see_heading_state(pages["machine"], "Paused")
    portal.wait_healthy()


def test_what_is_killed_is_back_before_it_is_missed_for_long(portal: Stack, pages: dict[str, Page]) -> None:
    former = {name: portal.kill(name) for name in OTHERS}
    for name, pid in former.items():
        portal.wait_restarted(name, pid)
    portal.wait_healthy(timeout_seconds=60)
    for page in pages.values():
        banner_goes(page)
    see_console(pages["screen"])
    press(pages["machine"], "Pause")
    see_heading_state(pages["machine"], "Paused")
