"""PostgreSQL stops beside open pages: each says so and since when, nothing dies of it, and all go on by themselves."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.lab import Lab
from deploy.services import private_postgresql
from deploy.stack import Stack
from tests.browser.people import open_machine, press, see_console, see_heading_state, see_state
from tests.databases import StoppableDatabase, stoppable_database

# A heartbeat of the page is ten seconds, on a machine that does nothing else.
TOLD_MS = 60_000
AWAY = re.compile(r"The database cannot be written: it does not answer, since \d\d:\d\d:\d\d")


@pytest.fixture
def database() -> Iterator[StoppableDatabase]:
    with private_postgresql() as url, stoppable_database(url) as made:
        yield made


@pytest.fixture
def guest(lab: Lab) -> Iterator[Guest]:
    made = define_guest(lab.hosts[0], "outlives", start=True)
    yield made
    remove_guest(lab.hosts, made)


@pytest.fixture
def people(database: StoppableDatabase, lab: Lab, chromium: Browser, tmp_path: Path) -> Iterator[BrowserContext]:
    """The administrator's browser before a portal of its own, signed in."""
    stack = Stack(tmp_path / "data", env={"WEB_CONCURRENCY": "1", "DATABASE_URL": database.url})
    try:
        stack.prepare([("lab", lab.hosts[0].name, lab.hosts[0].uri)])
        stack.launch()
        stack.wait_healthy()
        with chromium.new_context(base_url=stack.url, viewport={"width": 1280, "height": 800}) as context:
            context.set_default_timeout(TOLD_MS)
            page = context.new_page()
            page.goto("/vms/")
            page.get_by_label("User name").fill("admin")
            page.get_by_label("Password").fill(stack.admin_password)
            page.get_by_role("button", name="Sign in").click()
            page.get_by_role("heading", name="Virtual machines", exact=True).wait_for()
            yield context
    finally:
        stack.stop()


def test_open_pages_say_so_and_go_on_without_a_reload(
    people: BrowserContext, database: StoppableDatabase, lab: Lab, guest: Guest
) -> None:
    overview, machine, screen, other = people.pages[0], *(people.new_page() for _ in range(3))
    see_state(overview, guest.name, "Running")
    open_machine(machine, guest)
    open_machine(screen, guest, "screen/")
    see_console(screen)
    database.stop()
    for page in (overview, machine, screen):
        expect(page.locator("vp-trouble")).to_contain_text(AWAY, timeout=TOLD_MS)
        see_colours(page, grey=True)
    # What is asked for meanwhile is refused with the reason; what is opened meanwhile says it, and looks again.
    press(machine, "Pause")
    expect(machine.locator("vp-toasts")).to_contain_text(AWAY, timeout=TOLD_MS)
    other.goto("/operations/")
    expect(other.locator("main")).to_contain_text(AWAY, timeout=TOLD_MS)
    # The console needs no database once it is open.
    see_console(screen)
    lab.hosts[0].virsh("suspend", guest.uuid)
    database.start()
    for page in (overview, machine, screen):
        expect(page.locator("vp-trouble")).to_be_hidden(timeout=TOLD_MS)
        see_colours(page, grey=False)
    see_state(overview, guest.name, "Paused")
    see_heading_state(machine, "Paused")
    see_console(screen)
    expect(other.get_by_role("heading", name="Operations", exact=True)).to_be_visible(timeout=TOLD_MS)
    press(machine, "Resume")
    see_heading_state(machine, "Running")
    see_state(overview, guest.name, "Running")


def see_colours(page: Page, *, grey: bool) -> None:
    """Afterwards the watcher has to speak first."""
    state = page.locator("#main vp-state").first
    expect(state).to_have_css("filter", "grayscale(1)" if grey else "none", timeout=TOLD_MS)
