"""A session that ends while one works, and machines that are called like others."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.lab import Lab
from deploy.stack import Stack
from tests.browser.people import SEEN_MS, open_machine, press

OVERRIDE = "\u202e"


@pytest.fixture
def guest(lab: Lab) -> Iterator[Guest]:
    """A running one that calls itself db1, and turns what stands behind its title around."""
    made = define_guest(lab.hosts[0], "web1", start=True)
    lab.hosts[0].virsh("desc", made.uuid, "--live", "--config", "--title", f"db1{OVERRIDE}")
    yield made
    remove_guest(lab.hosts, made)


def test_after_signing_in_again_one_is_on_the_page_where_one_pressed(page: Page, portal: Stack, guest: Guest) -> None:
    open_machine(page, guest)
    there = page.url
    page.context.clear_cookies(name="sessionid")
    press(page, "Pause")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(portal.admin_password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(there)
    expect(page.locator("#vm-buttons").get_by_role("button", name="Pause")).to_be_visible(timeout=SEEN_MS)


def test_the_question_calls_it_by_its_name_with_host_and_title_apart(page: Page, lab: Lab, guest: Guest) -> None:
    open_machine(page, guest)
    expect(page.locator(".vp-heading-title")).to_contain_text("db1", timeout=SEEN_MS)
    page.reload()
    page.locator("#vm-buttons summary[aria-label='Other ways to stop']").click()
    press(page, "Force off")
    dialog = page.locator("vp-confirm dialog[open]")
    expect(dialog.locator(".vp-dialog-title")).to_have_text("Force “web1” off?")
    said = dialog.locator(".vp-identity > div:visible").all_inner_texts()
    assert [" ".join(line.split()) for line in said] == [
        "Name web1",
        f"Host {lab.hosts[0].name}",
        "Title db1⟨U+202E⟩",
    ]
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
