"""Snapshots of a machine taken, gone back to and deleted by click, with the tree that follows; asserted by virsh."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.lab import Lab
from deploy.stack import Stack
from tests.browser.people import open_machine, wait_for

# What it takes on a busy machine until a worker has done it and the page shows it.
_SEEN_MS = 60_000


@pytest.fixture
def guest(lab: Lab, portal: Stack) -> Iterator[Guest]:
    """One that is off."""
    made = define_guest(lab.hosts[0], "snapped", start=False)
    yield made
    remove_guest(lab.hosts, made)


def _dialog(page: Page, button: Locator) -> Locator:
    button.click()
    dialog = page.locator("dialog#dialog[open]")
    expect(dialog).to_be_visible(timeout=_SEEN_MS)
    return dialog


def _lines(page: Page) -> Locator:
    return page.locator(".vp-snapshot-lines .vp-snapshot-name")


def _wait_until_free(page: Page, guest: Guest) -> None:
    """What was asked for is over: the next may be."""
    wait_for(page, lambda: "vp-running" not in page.request.get(f"/vms/{guest.uuid}/band/").text(), seconds=60)


def _take(page: Page, guest: Guest, name: str, *, mode: str) -> None:
    dialog = _dialog(page, page.locator("#snapshots").get_by_role("button", name="Take a snapshot"))
    dialog.get_by_label("Name", exact=True).fill(name)
    dialog.get_by_role("radio", name=mode, exact=False).first.check()
    dialog.get_by_role("button", name="Take a snapshot").click()
    expect(dialog).to_be_hidden(timeout=_SEEN_MS)
    expect(_lines(page).filter(has_text=name)).to_be_visible(timeout=_SEEN_MS)
    _wait_until_free(page, guest)


def test_snapshots_are_taken_gone_back_to_and_deleted(page: Page, lab: Lab, guest: Guest) -> None:
    host = lab.hosts[0]
    open_machine(page, guest, "snapshots/")
    expect(page.locator("#snapshots")).to_contain_text("No snapshots", timeout=_SEEN_MS)
    _take(page, guest, "before", mode="Inside the disks")
    _take(page, guest, "after", mode="Inside the disks")
    expect(_lines(page)).to_have_text(["before", "after", "You are here"], timeout=_SEEN_MS)
    assert host.virsh("snapshot-list", guest.uuid, "--name").split() == ["after", "before"]

    page.get_by_role("link", name="before").click()
    expect(page.locator("#snapshot-title")).to_have_text("before", timeout=_SEEN_MS)
    dialog = _dialog(page, page.locator(".vp-snapshot-details").get_by_role("button", name="Go back to it"))
    expect(dialog).to_contain_text("is lost")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    dialog.get_by_role("button", name="Go back").click()
    expect(dialog).to_be_hidden(timeout=_SEEN_MS)
    expect(page.locator(".vp-snapshot-details .badge")).to_be_visible(timeout=_SEEN_MS)
    wait_for(page, lambda: host.virsh("snapshot-current", guest.uuid, "--name") == "before", seconds=60)
    # The present state is a branch of its own now, beside what was taken later.
    expect(_lines(page)).to_have_text(["before", "after", "You are here"], timeout=_SEEN_MS)
    expect(page.locator(".vp-snapshot-lines li.is-fork")).to_have_count(2, timeout=_SEEN_MS)
    _wait_until_free(page, guest)

    dialog = _dialog(page, page.locator(".vp-snapshot-details").get_by_role("button", name="Describe"))
    dialog.get_by_label("Description").fill("As it was delivered")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator(".vp-snapshot-description")).to_have_text("As it was delivered", timeout=_SEEN_MS)
    _wait_until_free(page, guest)

    dialog = _dialog(page, page.locator(".vp-snapshot-details").get_by_role("button", name="Delete"))
    dialog.get_by_role("radio", name="With the one that was taken from it").check()
    expect(dialog).to_contain_text("after")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator("#snapshots")).to_contain_text("No snapshots", timeout=_SEEN_MS)
    assert host.virsh("snapshot-list", guest.uuid, "--name").split() == []
    assert Path(guest.disk_path).exists()


def test_a_schedule_is_made_and_what_cannot_be_says_why(page: Page, lab: Lab, guest: Guest) -> None:
    open_machine(page, guest, "snapshots/")
    schedules = page.locator(".vp-snapshot-schedules")
    dialog = _dialog(page, schedules.get_by_role("button", name="Add a schedule"))
    dialog.get_by_label("How often").select_option("hours")
    expect(dialog.get_by_label("At", exact=True)).to_be_hidden()
    dialog.get_by_label("Hours between two").fill("6")
    dialog.get_by_label("How many are kept").fill("3")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog).to_be_hidden(timeout=_SEEN_MS)
    expect(schedules).to_contain_text("every 6 hours", timeout=_SEEN_MS)
    expect(schedules).to_contain_text("the newest 3 are kept", timeout=_SEEN_MS)
    # It is off: there is no memory, and the choice says so.
    dialog = _dialog(page, page.locator("#snapshots").get_by_role("button", name="Take a snapshot").first)
    expect(dialog.get_by_role("radio", name="with memory")).to_be_disabled()
    expect(dialog).to_contain_text("It is off: there is no memory to keep.")
