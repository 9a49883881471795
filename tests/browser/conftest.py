"""A whole portal over the lab's real hypervisors, and a person before it in headless Chromium."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from deploy.lab.lab import Lab
from deploy.stack import Stack
from tests.browser.chromium import CHROMIUM, CHROMIUM_ARGUMENTS
from tests.watching import wait_until


@pytest.fixture(scope="session")
def portal(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Every process of vmportal, with the lab's hosts registered as a pool."""
    stack = Stack(tmp_path_factory.mktemp("portal") / "data")
    try:
        stack.prepare([("lab", host.name, host.uri) for host in lab.hosts])
        stack.launch()
        stack.wait_healthy()
        yield stack
    finally:
        stack.stop()


@pytest.fixture(autouse=True)
def operations_end(portal: Stack) -> Iterator[None]:
    """What a test has asked for is over before the next one: libvirt refuses much while it works on a storage pool."""
    yield
    with suppress(AssertionError):
        wait_until(lambda: _unfinished_operations(portal) == 0, seconds=60)


def _unfinished_operations(portal: Stack) -> int:
    """As the portal's database has it; none where that does not answer."""
    path = portal.data_dir / "db.sqlite3"
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as database:
        found = database.execute("SELECT COUNT(*) FROM hypervisors_operation WHERE state IN ('queued', 'running')")
        return int(found.fetchone()[0])
    return 0


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def signed_in(portal: Stack, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cookies of the administrator, who signed in once, by the form."""
    path = tmp_path_factory.mktemp("cookies") / "state.json"
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{portal.url}/vms/")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(portal.admin_password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Virtual machines", exact=True).wait_for()
    context.storage_state(path=path)
    context.close()
    return path


@pytest.fixture
def context(portal: Stack, chromium: Browser, signed_in: Path) -> Iterator[BrowserContext]:
    context = chromium.new_context(
        base_url=portal.url, storage_state=signed_in, viewport={"width": 1280, "height": 800}
    )
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """The administrator's browser. Whatever a page says is wrong on its console fails the test."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if "Content Security" in message.text else None)
    yield page
    assert errors == []
