"""Networks by click: a new one, a fixed address under a running network, a change that waits, its end."""

import re

import pytest
from playwright.sync_api import Page, expect

from deploy.lab.lab import Lab
from deploy.lab.process import LabError
from deploy.stack import Stack
from tests.browser.people import confirm, wait_for

NAME = "clicked, 'lan'"
WAIT_MS = 60_000


@pytest.fixture(autouse=True)
def nothing_left(lab: Lab) -> None:
    """Of a run before this one."""
    for host in lab.hosts:
        for command in ("net-destroy", "net-undefine"):
            try:
                host.virsh(command, "--network", NAME)
            except LabError:
                continue


def test_one_is_made_changed_while_it_runs_restarted_and_deleted(page: Page, portal: Stack, lab: Lab) -> None:
    host = lab.hosts[0]
    page.goto("/networks/")
    # What the host has of itself is there first.
    default = page.locator(".vp-network-lines tbody tr").filter(has_text=host.name)
    expect(default.get_by_role("link", name="default", exact=True)).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("link", name="New network").first.click()
    page.get_by_label("Host", exact=True).select_option(label=host.name)
    page.get_by_label("Kind", exact=True).select_option("bridge")
    expect(page.get_by_label("IPv4 network")).to_have_count(0, timeout=WAIT_MS)
    page.get_by_label("Kind", exact=True).select_option("nat")
    page.get_by_label("IPv4 network").fill("10.66.6.0/24")
    page.get_by_label("Name", exact=True).fill(NAME)
    expect(page.locator("#error-ipv4")).to_contain_text("is the network itself", timeout=WAIT_MS)
    page.get_by_label("IPv4 network").fill("10.66.6.1/24")
    page.get_by_role("button", name="XML", exact=True).click()
    expect(page.locator("#id_xml")).to_have_value(re.compile(r'<range start="10\.66\.6\.2"'), timeout=WAIT_MS)
    page.get_by_role("button", name="Fields", exact=True).click()
    expect(page.get_by_label("IPv4 network")).to_have_value("10.66.6.1/24", timeout=WAIT_MS)
    page.get_by_role("button", name="Create", exact=True).click()
    link = page.locator(".vp-network-lines").get_by_role("link", name=NAME, exact=True)
    expect(link).to_be_visible(timeout=WAIT_MS)
    link.click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("Active", timeout=WAIT_MS)
    # Its creation is about the host.
    wait_for(page, lambda: NAME in host.virsh("net-list", "--autostart", "--name"), seconds=60)
    _keep_an_address(page, lab)
    _change(page, lab)
    _change_as_xml(page, lab)
    page.locator("#network-actions").get_by_label("More actions").click()
    page.get_by_role("button", name="Delete…").click()
    dialog = page.locator("dialog#dialog[open]")
    expect(dialog).to_contain_text(NAME, timeout=WAIT_MS)
    dialog.get_by_role("button", name="Delete", exact=True).click()
    expect(heading).to_contain_text("Gone", timeout=WAIT_MS)
    assert NAME not in host.virsh("net-list", "--all", "--name").splitlines()


def _keep_an_address(page: Page, lab: Lab) -> None:
    """Added while the network runs, and removed again."""
    form = page.locator(".vp-entry-form").filter(has=page.locator('[name="section"][value="static_host"]'))
    form.get_by_label("Address", exact=True).fill("10.66.6.9")
    form.get_by_label("MAC address").fill("52:54:00:66:06:09")
    form.get_by_role("button", name="Add").click()
    table = page.locator("#static-hosts")
    expect(table).to_contain_text("10.66.6.9", timeout=WAIT_MS)
    expect(form.get_by_label("Address", exact=True)).to_have_value("", timeout=WAIT_MS)
    wait_for(page, lambda: "10.66.6.9" in lab.hosts[0].virsh("net-dumpxml", "--network", NAME), seconds=60)
    _wait_for_its_end(page)
    table.get_by_role("button", name="Remove 10.66.6.9").click()
    # What changes meanwhile draws the table anew, under the question.
    table.evaluate("table => { const anew = table.cloneNode(true); table.replaceWith(anew); htmx.process(anew); }")
    confirm(page, "10.66.6.9")
    expect(table).not_to_contain_text("10.66.6.9", timeout=WAIT_MS)
    _wait_for_its_end(page)


def _wait_for_its_end(page: Page) -> None:
    """What was asked for holds the network until it is over; the next would be told to wait."""
    wait_for(page, lambda: "<vp-progress" not in page.request.get(f"{page.url}operations/").text(), seconds=60)


def _change(page: Page, lab: Lab) -> None:
    """Of what waits for a restart the page says so, and offers it."""
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_label("Domain").fill("clicked.lan")
    page.get_by_role("button", name="Save").click()
    waiting = page.locator(".vp-pending")
    expect(waiting).to_contain_text("domain", timeout=WAIT_MS)
    _wait_for_its_end(page)
    assert "clicked.lan" not in lab.hosts[0].virsh("net-dumpxml", "--network", NAME)
    waiting.get_by_role("button", name="Restart").click()
    confirm(page, NAME)
    expect(waiting).to_have_count(0, timeout=WAIT_MS)
    _wait_for_its_end(page)
    assert "clicked.lan" in lab.hosts[0].virsh("net-dumpxml", "--network", NAME)


def _change_as_xml(page: Page, lab: Lab) -> None:
    """What was typed into the fields goes on into the editor, which shows what it would change before anything does."""
    address = page.url
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_label("Domain").fill("as-xml.lan")
    page.get_by_role("link", name="XML", exact=True).click()
    expect(page.locator("vp-xml-editor .cm-content")).to_contain_text("as-xml.lan", timeout=WAIT_MS)
    expect(page).to_have_url(f"{address}xml/")
    page.get_by_role("button", name="Review changes").click()
    expect(page.locator(".vp-diff")).to_contain_text("as-xml.lan", timeout=WAIT_MS)
    page.get_by_role("button", name="Apply", exact=True).click()
    expect(page.locator("#xml-outcome")).to_contain_text("It is changed", timeout=WAIT_MS)
    assert "as-xml.lan" in lab.hosts[0].virsh("net-dumpxml", "--inactive", "--network", NAME)
    page.goto(address)
    _wait_for_its_end(page)
