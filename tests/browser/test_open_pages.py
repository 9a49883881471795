"""A page that stays open tells the truth: of what is off, what comes back, and what somebody may see by now."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.lab import Lab
from deploy.stack import Stack
from tests.browser.people import SEEN_MS, confirm, open_machine, row, see_heading_state, see_state, wait_for

_PASSWORD = "opens-a-page-and-waits"


@pytest.fixture
def guest(lab: Lab) -> Iterator[Guest]:
    made = define_guest(lab.hosts[0], "open1", start=True)
    yield made
    remove_guest(lab.hosts, made)


def _cell(page: Page, guest: Guest, element: str) -> str:
    """What the element shows in the machine's row."""
    shown = row(page, guest.name).locator(element).first
    return str(shown.evaluate("e => (e.shadowRoot.querySelector('span') ?? e.shadowRoot).textContent"))


def _sees_use(page: Page, guest: Guest) -> None:
    page.wait_for_function(
        "uuid => document.querySelector(`[data-uuid='${uuid}'] vp-spark`)?.shadowRoot.textContent.includes('%')",
        arg=guest.uuid,
        timeout=SEEN_MS,
    )


def test_the_list_shows_no_use_of_what_was_forced_off(page: Page, lab: Lab, guest: Guest) -> None:
    page.goto("/vms/")
    see_state(page, guest.name, "Running")
    _sees_use(page, guest)
    lab.hosts[0].virsh("destroy", guest.uuid)
    see_state(page, guest.name, "Off")
    for _ in ("as it was open", "loaded anew"):
        assert _cell(page, guest, "vp-spark") == ""
        assert "/" not in _cell(page, guest, "vp-meter")
        assert _cell(page, guest, "vp-rate") == ""
        with page.expect_response(lambda response: "usage.json" in response.url):
            page.reload()
        see_state(page, guest.name, "Off")


def test_the_charts_name_no_value_of_what_is_off(page: Page, lab: Lab, guest: Guest) -> None:
    open_machine(page, guest)
    values = page.locator("vp-charts figcaption b")
    expect(values.first).to_contain_text("%", timeout=SEEN_MS)
    lab.hosts[0].virsh("destroy", guest.uuid)
    see_heading_state(page, "Off")
    expect(values).to_have_text(["–"] * 4, timeout=1000)
    page.reload()
    expect(page.locator("vp-charts canvas")).to_have_count(4, timeout=SEEN_MS)
    expect(values).to_have_text(["–"] * 4)


def test_a_hosts_charts_stay_when_maintenance_begins_and_ends(page: Page, lab: Lab) -> None:
    page.goto("/hypervisors/")
    page.locator("main").get_by_role("link", name=lab.hosts[0].name).first.click()
    charts = page.locator("vp-host-charts canvas")
    expect(charts).to_have_count(2, timeout=SEEN_MS)
    for press, state in (("Maintenance", "Maintenance"), ("Leave maintenance", "Online")):
        page.locator("#host-actions").get_by_role("button", name=press).click()
        with page.expect_response(lambda response: response.request.headers.get("hx-target", "").startswith("host-")):
            page.locator("dialog#dialog[open] [type=submit]").last.click()
        expect(page.locator("#host-heading")).to_contain_text(state, timeout=SEEN_MS)
        expect(page.locator(".alert", has_text="In maintenance")).to_have_count(1 if state == "Maintenance" else 0)
        expect(charts).to_have_count(2)


def test_the_page_of_a_machine_that_vanished_comes_back_with_it(page: Page, lab: Lab) -> None:
    host = lab.hosts[0]
    guest = define_guest(host, "again1", start=False)
    try:
        open_machine(page, guest)
        page.evaluate("window.notReloaded = true")
        (host.lab.directory / "again.xml").write_text(host.virsh("dumpxml", guest.uuid))
        host.virsh("undefine", guest.uuid)
        expect(page.locator("main")).to_contain_text("No host has this machine", timeout=SEEN_MS)
        host.virsh("define", str(host.lab.directory / "again.xml"))
        expect(page.locator("#vm-buttons").get_by_role("button", name="Start")).to_be_visible(timeout=SEEN_MS)
        assert page.evaluate("window.notReloaded")
    finally:
        remove_guest(lab.hosts, guest)


def test_a_role_reaches_the_pages_that_are_open(page: Page, chromium: Browser, portal: Stack, guest: Guest) -> None:
    make = f"from django.contrib.auth.models import User; User.objects.create_user('waits', password='{_PASSWORD}')"
    portal.manage("shell", "-c", make)
    context = chromium.new_context(base_url=portal.url)
    theirs = context.new_page()
    theirs.goto("/vms/")
    theirs.fill("[name=login]", "waits")
    theirs.fill("[name=password]", _PASSWORD)
    theirs.click("button[type=submit]")
    expect(theirs.locator("main")).to_contain_text("No virtual machine is shared with you")
    expect(theirs.locator("html")).to_have_attribute("data-live", "on", timeout=SEEN_MS)
    theirs.evaluate("window.notReloaded = true")
    open_machine(page, guest, "access/")
    _give(page, "VM user")
    card = theirs.locator(".vp-machine", has_text=guest.name)
    expect(card.locator("vp-state")).to_have_text("Running", timeout=SEEN_MS)
    card.get_by_role("link", name=guest.name, exact=True).click()
    expect(theirs.get_by_role("heading", level=1)).to_contain_text(guest.name)
    assert theirs.evaluate("window.notReloaded")
    # To take a role back ends the sessions.
    page.locator("#roles tbody tr", has_text="waits").get_by_role("button", name="Take back").click()
    confirm(page, "waits")
    expect(theirs.get_by_label("Password")).to_be_visible(timeout=SEEN_MS)
    context.close()


def _give(page: Page, role: str) -> None:
    form = page.locator("#roles form", has=page.get_by_label("User name"))
    form.get_by_label("User name").fill("waits")
    form.get_by_label("Role").select_option(label=role)
    form.get_by_role("button", name="Give").click()
    expect(page.locator("#roles tbody tr", has_text="waits")).to_contain_text(role)


def test_the_search_on_top_forgets_what_the_list_is_not_narrowed_to(page: Page) -> None:
    page.goto("/vms/")
    search = page.locator("#search")
    search.fill("no-such-machine")
    search.press("Enter")
    page.locator("main").get_by_role("link", name="Clear the filters").click()
    expect(page.locator("main")).not_to_contain_text("No virtual machine matches")
    page.locator(".vp-nav").get_by_role("link", name="Hosts").click()
    expect(page.locator("main").get_by_role("link", name="Add host")).to_be_visible()
    expect(search).to_have_value("")


def test_enter_twice_forces_nothing_off(page: Page, guest: Guest) -> None:
    page.goto(f"/vms/?q={guest.name}")
    see_state(page, guest.name, "Running")
    page.get_by_label("Select this page").check()
    page.locator(".vp-bulk").get_by_role("button", name="Force off").press("Enter")
    dialog = page.locator("#dialog[open]")
    expect(dialog).to_contain_text("what the guest has not written is lost")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    see_state(page, guest.name, "Running")


def test_what_changes_before_a_page_hears_of_changes_is_seen(page: Page, lab: Lab, guest: Guest) -> None:
    held: list[WebSocketRoute] = []
    page.route_web_socket(re.compile("/ws/live/"), lambda route: held.append(route))
    open_machine(page, guest)
    see_heading_state(page, "Running")
    wait_for(page, lambda: held)
    lab.hosts[0].virsh("desc", guest.uuid, "--live", "--config", "told while nobody listened")
    wait_for(page, lambda: "told while nobody listened" in page.request.get(page.url).text())
    expect(page.locator("#vm-facts")).not_to_contain_text("nobody listened")
    held[0].connect_to_server()
    expect(page.locator("#vm-facts")).to_contain_text("told while nobody listened", timeout=SEEN_MS)
