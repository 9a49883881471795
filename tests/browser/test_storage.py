"""Volumes by click: made, seen and deleted; asserted by virsh on both hosts."""

import pytest
from playwright.sync_api import Locator, Page, expect

from deploy.lab.lab import Lab
from deploy.stack import Stack
from tests.browser.people import SEEN_MS, confirm, wait_for

POOL = "shared"


@pytest.fixture
def storage(page: Page, portal: Stack, lab: Lab) -> str:
    """The address of the page of the storage that both hosts have, reached by clicks, as its first host sees it."""
    page.goto("/hypervisors/")
    page.get_by_role("main").get_by_role("link", name=lab.hosts[0].name, exact=True).first.click()
    page.get_by_role("link", name="Storage pools", exact=False).first.click()
    page.get_by_role("link", name=POOL, exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(POOL)
    expect(page.get_by_role("main")).to_contain_text("2 hosts", timeout=SEEN_MS)
    return page.url


def test_a_volume_is_made_seen_and_deleted_by_click(page: Page, storage: str, lab: Lab) -> None:
    first, second = lab.hosts[:2]
    try:
        page.get_by_role("button", name="New volume…").click()
        dialog = page.locator("dialog#dialog[open]")
        dialog.get_by_label("Name", exact=True).fill("a/../b")
        dialog.get_by_role("button", name="Create", exact=True).click()
        expect(dialog.get_by_role("alert")).to_contain_text("has no “/”")
        dialog.get_by_label("Name", exact=True).fill("clicked.qcow2")
        dialog.get_by_label("Size", exact=True).fill("0.25")
        dialog.get_by_role("button", name="Create", exact=True).click()
        expect(dialog).to_be_hidden()
        line = page.locator(".vp-volumes tbody tr").filter(has_text="clicked.qcow2")
        expect(line).to_contain_text("256 MiB", timeout=SEEN_MS)
        expect(line).to_contain_text("qcow2")
        assert "clicked.qcow2" in first.virsh("vol-list", POOL)
        assert "clicked.qcow2" in second.virsh("vol-list", POOL)
        page.keyboard.press("t")
        expect(page.locator(".vp-task").filter(has_text="clicked.qcow2").first).to_contain_text("It is created.")
        page.keyboard.press("t")
        open_menu(line, "clicked.qcow2")
        line.get_by_role("button", name="Delete…").click()
        confirm(page, "clicked.qcow2")
        expect(line).to_have_count(0, timeout=SEEN_MS)
        wait_for(page, lambda: "clicked.qcow2" not in first.virsh("vol-list", POOL))
        assert "clicked.qcow2" not in second.virsh("vol-list", POOL)
    finally:
        for host in (first, second):
            if "clicked.qcow2" in host.virsh("vol-list", POOL):
                host.virsh("vol-delete", "clicked.qcow2", "--pool", POOL)


def test_what_virsh_makes_shows_up_by_the_refresh_button(page: Page, storage: str, lab: Lab) -> None:
    host = lab.hosts[0]
    host.virsh("vol-create-as", POOL, "by-virsh.img", "1M", "--format", "raw")
    try:
        page.get_by_role("button", name="Refresh", exact=True).click()
        line = page.locator(".vp-volumes tbody tr").filter(has_text="by-virsh.img")
        expect(line).to_contain_text("1 MiB", timeout=SEEN_MS)
    finally:
        host.virsh("vol-delete", "by-virsh.img", "--pool", POOL)
    page.get_by_role("button", name="Refresh", exact=True).click()
    expect(line).to_have_count(0, timeout=SEEN_MS)


def test_a_size_without_room_is_asked_about(page: Page, storage: str) -> None:
    page.get_by_role("button", name="New volume…").click()
    dialog = page.locator("dialog#dialog[open]")
    dialog.get_by_label("Name", exact=True).fill("huge.qcow2")
    dialog.get_by_label("Size", exact=True).fill("900")
    dialog.get_by_label("Unit", exact=True).select_option("TiB")
    expect(dialog.get_by_label("although it is larger")).to_have_count(0)
    dialog.get_by_role("button", name="Create", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("It can grow to 921600.0 GiB")
    expect(dialog.get_by_label("although it is larger")).to_be_visible()


def test_what_cannot_be_done_to_a_volume_in_use_says_why(page: Page, storage: str, lab: Lab) -> None:
    host = lab.hosts[0]
    host.virsh("vol-create-as", POOL, "under.qcow2", "1M", "--format", "qcow2")
    backing = ("--backing-vol", "under.qcow2", "--backing-vol-format", "qcow2")
    host.virsh("vol-create-as", POOL, "top.qcow2", "1M", "--format", "qcow2", *backing)
    try:
        page.get_by_role("button", name="Refresh", exact=True).click()
        line = page.locator(".vp-volumes tbody tr").filter(has_text="1 volume is on top of it")
        open_menu(line, "under.qcow2")
        for word in ("Delete", "Resize volume", "Wipe volume"):
            entry = line.get_by_role("button", name=word)
            expect(entry).to_have_attribute("aria-disabled", "true")
            expect(entry).to_contain_text("cannot be read without it: “top.qcow2”")
        page.keyboard.press("Escape")
        expect(entry).to_be_hidden()
    finally:
        for name in ("top.qcow2", "under.qcow2"):
            host.virsh("vol-delete", name, "--pool", POOL)


def test_a_volume_is_resized_cloned_and_wiped_by_click(page: Page, storage: str, lab: Lab) -> None:
    host = lab.hosts[0]
    host.virsh("vol-create-as", POOL, "one.qcow2", "8M", "--format", "qcow2")
    dialog = page.locator("dialog#dialog[open]")
    try:
        page.get_by_role("button", name="Refresh", exact=True).click()
        line = page.locator(".vp-volumes tbody tr").filter(has=page.get_by_text("one.qcow2", exact=True))
        open_menu(line, "one.qcow2")
        line.get_by_role("button", name="Resize volume…").click()
        # Said while it is typed, before anything is asked for.
        dialog.get_by_label("New size").fill("4")
        expect(dialog).to_contain_text("what is beyond it would be lost")
        dialog.get_by_label("New size").fill("16")
        expect(dialog).to_contain_text("It can be done")
        dialog.get_by_role("button", name="Resize volume").click()
        expect(line).to_contain_text("16 MiB", timeout=SEEN_MS)
        open_menu(line, "one.qcow2")
        line.get_by_role("button", name="Clone volume…").click()
        expect(dialog.get_by_label("Name of the copy")).to_have_value("one-copy.qcow2")
        dialog.get_by_role("button", name="Clone volume").click()
        copy = page.locator(".vp-volumes tbody tr").filter(has_text="one-copy.qcow2")
        expect(copy).to_contain_text("16 MiB", timeout=SEEN_MS)
        open_menu(copy, "one-copy.qcow2")
        copy.get_by_role("button", name="Wipe volume…").click()
        dialog.get_by_label("Type its name").fill("one")
        dialog.get_by_role("button", name="Wipe volume").click()
        expect(dialog.get_by_role("alert")).to_contain_text("Type the name of the volume: “one-copy.qcow2”")
        dialog.get_by_label("Type its name").fill("one-copy.qcow2")
        dialog.get_by_role("button", name="Wipe volume").click()
        expect(copy).to_contain_text("raw", timeout=SEEN_MS)
        assert "16777216" in host.virsh("vol-dumpxml", "one.qcow2", "--pool", POOL)
    finally:
        host.virsh("pool-refresh", POOL)
        for name in ("one.qcow2", "one-copy.qcow2"):
            if name in host.virsh("vol-list", POOL):
                host.virsh("vol-delete", name, "--pool", POOL)


def open_menu(line: Locator, name: str) -> None:
    line.get_by_label(f"Actions: {name}").click()
