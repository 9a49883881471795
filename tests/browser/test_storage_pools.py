"""Storage pools by click: who sees shared storage, a new one on every host, its start and stop, its end."""

import re

import pytest
from playwright.sync_api import Page, expect

from deploy.lab.lab import Lab
from deploy.lab.process import LabError
from deploy.stack import Stack
from tests.browser.people import SEEN_MS, confirm, wait_for

NAME = "clicked, 'pool'"


@pytest.fixture
def path(lab: Lab) -> str:
    return f"/run/vmportal-clicked-{lab.plan.name}"


@pytest.fixture(autouse=True)
def nothing_left(lab: Lab, path: str) -> None:
    """Of a run before this one."""
    for host in lab.hosts:
        for command in ("pool-destroy", "pool-undefine"):
            try:
                host.virsh(command, NAME)
            except LabError:
                continue
        host.run("rm", "-rf", path)


def test_shared_storage_is_shown_once_with_who_sees_it(page: Page, portal: Stack, lab: Lab) -> None:
    page.goto("/storage/")
    lines = page.locator(".vp-storage-lines tbody tr").filter(has=page.get_by_role("link", name="shared", exact=True))
    expect(lines).to_have_count(1, timeout=SEEN_MS)
    lines.get_by_role("link", name="shared", exact=True).click()
    # The system has looked by itself, or does so in a moment.
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"of {len(lab.hosts)} hosts", timeout=SEEN_MS)
    seen = page.locator(".vp-sights .is-seen")
    expect(seen).to_have_count(len(lab.hosts), timeout=SEEN_MS)
    expect(seen.first).to_contain_text("seen since")
    page.get_by_role("button", name="Look who sees it").click()
    page.keyboard.press("t")
    expect(page.locator(".vp-task").filter(has_text="one and the same storage on").first).to_be_visible(timeout=SEEN_MS)


def test_one_is_made_on_every_host_stopped_started_and_deleted(page: Page, portal: Stack, lab: Lab, path: str) -> None:
    page.goto("/storage/")
    page.get_by_role("link", name="New storage pool").first.click()
    page.get_by_label("Host", exact=True).select_option(label=f"Every host of lab ({len(lab.hosts)})")
    page.get_by_label("Type", exact=True).select_option("netfs")
    expect(page.get_by_label("Server", exact=True)).to_be_visible()
    page.get_by_label("Type", exact=True).select_option("dir")
    page.get_by_label("Name", exact=True).fill(NAME)
    page.get_by_label("Folder", exact=True).fill("not/a path")
    page.get_by_label("Name", exact=True).focus()
    expect(page.locator("#error-target_path")).to_contain_text("A path begins with “/”")
    page.get_by_label("Folder", exact=True).fill(path)
    page.get_by_label("If it is new").select_option("folder")
    page.get_by_role("button", name="XML", exact=True).click()
    expect(page.locator("vp-xml-editor .cm-content")).to_contain_text(path)
    expect(page.locator("#id_xml")).to_have_value(re.compile(re.escape(f"<path>{path}</path>")))
    page.get_by_role("button", name="Fields", exact=True).click()
    expect(page.get_by_label("Name", exact=True)).to_have_value(NAME)
    expect(page.get_by_label("If it is new")).to_have_value("folder")
    page.get_by_role("button", name=f"Create on {len(lab.hosts)} hosts").click()
    link = page.locator(".vp-storage-lines").get_by_role("link", name=NAME, exact=True).first
    expect(link).to_be_visible(timeout=SEEN_MS)
    for host in lab.hosts:
        wait_for(page, lambda host=host: "running" in host.virsh("pool-info", NAME))
    _manage(page, lab)


def _manage(page: Page, lab: Lab) -> None:
    """On the first host: stopped, started, deleted."""
    host = lab.hosts[0]
    page.goto("/hypervisors/")
    page.get_by_role("main").get_by_role("link", name=host.name, exact=True).first.click()
    page.get_by_role("link", name="Storage pools", exact=False).first.click()
    page.get_by_role("link", name=NAME, exact=True).click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("Active")
    _choose(page, "Stop")
    confirm(page, NAME)
    expect(heading).to_contain_text("Inactive", timeout=SEEN_MS)
    assert NAME not in host.virsh("pool-list", "--name")
    _choose(page, "Start")
    expect(heading).to_contain_text("Active", timeout=SEEN_MS)
    page.locator("#storage-actions").get_by_label("More actions").click()
    page.get_by_role("button", name="Delete…").click()
    dialog = page.locator("dialog#dialog[open]")
    expect(dialog).to_contain_text(NAME)
    dialog.get_by_role("button", name="Delete", exact=True).click()
    wait_for(page, lambda: NAME not in host.virsh("pool-list", "--all", "--name"))


def _choose(page: Page, word: str) -> None:
    page.locator("#storage-actions").get_by_label("More actions").click()
    page.locator("#storage-actions .vp-menu-items").get_by_role("button", name=word, exact=True).click()
