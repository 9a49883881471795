"""The one search by keyboard, the tree that opens to where one is, and a host's machines as the list."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.lab import Lab
from tests.browser.people import SEEN_MS, open_machine, row, see_console


@pytest.fixture(scope="module")
def guest(lab: Lab) -> Iterator[Guest]:
    made = define_guest(lab.hosts[0], "needle1", start=True)
    yield made
    remove_guest(lab.hosts, made)


def test_search_enter_and_one_click_lead_to_a_screen(page: Page, guest: Guest) -> None:
    open_machine(page, guest)
    page.goto("/operations/")
    started = time.monotonic()
    page.keyboard.press("/")
    page.keyboard.type("needle")
    page.keyboard.press("Enter")
    page.locator("#vm-buttons").get_by_role("link", name="Console").click()
    see_console(page)
    print(f"search, Enter, one click to the screen: {time.monotonic() - started:.1f} s")


def test_the_search_proposes_and_is_used_by_keyboard_alone(page: Page, guest: Guest, lab: Lab) -> None:
    open_machine(page, guest)
    search = page.get_by_role("combobox", name="Search machines, hosts, networks")
    search.fill(lab.hosts[0].name)
    options = page.get_by_role("option")
    expect(options.first).to_contain_text(lab.hosts[0].name)
    expect(search).to_have_attribute("aria-expanded", "true")
    search.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    assert search.get_attribute("aria-activedescendant") == options.first.get_attribute("id")
    search.press("ArrowUp")
    expect(options.last).to_have_attribute("aria-selected", "true")
    search.press("Escape")
    expect(options).to_have_count(0)
    expect(search).to_be_focused()
    search.fill("no-such-name")
    expect(page.locator(".vp-found")).to_contain_text("Nothing here is called")


def test_beside_the_list_the_search_is_its_filter(page: Page, guest: Guest) -> None:
    page.goto("/vms/")
    expect(row(page, guest.name)).to_have_count(1)
    expect(page.get_by_role("searchbox")).to_have_count(0)
    search = page.locator("#search")
    search.fill("no-such-name")
    expect(page.locator("#list")).to_contain_text("No virtual machine matches")
    expect(page).to_have_url(re.compile(r"\?q=no-such-name$"))
    search.fill("needle")
    expect(page.locator("#list tbody tr")).to_have_count(1)
    search.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(guest.name)
    page.go_back()
    expect(page.locator("#search")).to_have_value("needle")
    expect(page.locator("#list tbody tr")).to_have_count(1)


def test_the_tree_opens_to_where_the_page_is(page: Page, guest: Guest, lab: Lab) -> None:
    open_machine(page, guest)
    branch = page.locator(".vp-host", has_text=lab.hosts[0].name)
    expect(branch.locator("li a[aria-current=page]")).to_have_text(re.compile(guest.name), timeout=SEEN_MS)
    page.locator(".vp-pretitle").get_by_role("link", name=lab.hosts[0].name).click()
    expect(branch.locator(".vp-branch-row a[aria-current=page]")).to_have_text(lab.hosts[0].name)
    branch.locator(".vp-twist").click()
    expect(branch.locator("li a")).to_be_hidden()


def test_a_hosts_machines_are_the_list_with_its_filters(page: Page, guest: Guest, lab: Lab) -> None:
    open_machine(page, guest)
    page.locator(".vp-pretitle").get_by_role("link", name=lab.hosts[0].name).click()
    page.locator(".vp-tabs").get_by_role("link", name="Virtual machines").click()
    expect(row(page, guest.name)).to_have_count(1)
    page.locator("#search").fill("no-such-name")
    expect(page.locator("#list")).to_contain_text("No virtual machine matches")
    page.get_by_role("link", name="Clear the filters").click()
    expect(row(page, guest.name)).to_have_count(1)
    page.locator("#list thead").get_by_role("link", name="State").click()
    expect(page).to_have_url(re.compile(r"/hypervisors/\d+/vms/\?sort=state$"))
    expect(page.locator(".vp-tabs [aria-current]")).to_contain_text("Virtual machines")
