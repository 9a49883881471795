"""The audit as an administrator looks through it."""

import re

from playwright.sync_api import Page, expect

from deploy.stack import Stack


def test_the_list_narrows_while_one_types_and_the_address_keeps_it(page: Page, portal: Stack) -> None:
    portal.manage(
        "shell",
        "-c",
        "from hypervisors.access import audit\n"
        "audit.record(None, 'sign in', subject_type='person', subject_name='mallory', outcome='failed')\n"
        "audit.record(None, 'register a host', subject_name='kvm9', before={'uri': 'a'}, after={'uri': 'b'})",
    )
    page.goto("/vms/")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Audit").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Audit")
    rows = page.locator(".vp-audit tbody tr")
    search = page.get_by_label("Who, what, details or address")
    search.press_sequentially("mallory")
    expect(rows).to_have_count(1)
    expect(search).to_be_focused()
    expect(page).to_have_url(re.compile(r"/audit/\?q=mallory$"))
    page.reload()
    expect(rows).to_have_count(1)
    page.get_by_role("link", name="Clear").click()
    page.get_by_label("Action").select_option("register a host")
    expect(page).to_have_url(re.compile(r"\?action=register"))
    changed = rows.filter(has_text="kvm9")
    expect(changed.locator("del")).to_have_text("a")
    expect(changed.locator("ins")).to_have_text("b")
    page.get_by_role("group", name="Outcome").get_by_role("link", name="Failed").click()
    expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()
