"""A machine's last screen, its guest, and a disk that moves: what a person sees and clicks."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.host import Host
from deploy.lab.lab import Lab
from tests.browser.people import SEEN_MS, open_machine, press, see_heading_state, wait_for

DIRECTORY = "/var/lib/libvirt/for-browsers"


@pytest.fixture
def guest(lab: Lab) -> Iterator[Guest]:
    made = define_guest(lab.hosts[0], "shown1", start=True)
    made.wait_until_counting()
    yield made
    remove_guest(lab.hosts, made)


@pytest.fixture
def local(lab: Lab) -> Iterator[str]:
    """The name of a storage pool that only the first host has; what is in it goes afterwards."""
    host, name = lab.hosts[0], "only-here"
    host.run("mkdir", "-p", DIRECTORY)
    host.virsh("pool-create-as", name, "dir", "--target", DIRECTORY)
    yield name
    host.virsh("pool-destroy", name)
    host.run("rm", "-rf", DIRECTORY)


def _disk_path(host: Host, guest: Guest) -> str:
    source = ElementTree.fromstring(host.virsh("dumpxml", guest.uuid)).find("devices/disk/source")
    assert source is not None
    return source.get("file", "")


def test_the_last_screen_is_seen_and_stays_dated_when_the_machine_is_off(page: Page, lab: Lab, guest: Guest) -> None:
    open_machine(page, guest)
    picture = page.locator("vp-last-screen img")
    expect(picture).to_have_attribute("alt", re.compile("The screen of shown1 at"), timeout=60_000)
    assert picture.evaluate("image => image.naturalWidth") > 100
    expect(page.locator("vp-last-screen")).not_to_have_attribute("old", "")
    lab.hosts[0].virsh("destroy", guest.uuid)
    see_heading_state(page, "Off")
    expect(page.locator(".vp-last-screen-time")).to_have_text(re.compile(r"as of \d\d:\d\d"), timeout=SEEN_MS)
    page.reload()
    expect(page.locator("vp-last-screen[old] img")).to_be_visible()
    lab.hosts[0].virsh("start", guest.uuid)
    see_heading_state(page, "Running")
    expect(page.locator("vp-last-screen")).not_to_have_attribute("old", "", timeout=60_000)
    page.locator("vp-last-screen a").click()
    expect(page).to_have_url(re.compile("/screen/$"))


def test_a_machine_without_an_agent_says_how_to_get_one(page: Page, lab: Lab, guest: Guest) -> None:
    open_machine(page, guest)
    card = page.locator(".vp-guest")
    expect(card).to_contain_text("It has no channel for a guest agent", timeout=SEEN_MS)
    card.get_by_role("button", name="Add the channel").click()
    # It has no controller for channels, and none can be added while it runs.
    expect(card).to_contain_text("from its next start on", timeout=60_000)
    assert "org.qemu.guest_agent.0" in lab.hosts[0].virsh("dumpxml", "--inactive", guest.uuid)
    lab.hosts[0].virsh("destroy", guest.uuid)
    lab.hosts[0].virsh("start", guest.uuid)
    expect(card).to_contain_text("apt install qemu-guest-agent", timeout=60_000)


def test_a_disk_moves_by_click_with_progress(page: Page, lab: Lab, guest: Guest, local: str) -> None:
    host = lab.hosts[0]
    # libvirt does not know files that others have made.
    host.virsh("pool-refresh", "shared")

    def open_dialog() -> bool:
        """The storage pool and the volume are seen within a minute."""
        open_machine(page, guest)
        page.locator("#vm-buttons summary[aria-label='More actions']").click()
        page.get_by_role("button", name="Move disk…").click()
        dialog = page.locator("dialog#dialog[open]")
        expect(dialog).to_contain_text("Move a disk of")
        is_known = dialog.locator("option", has_text=local).count() == 1
        return is_known and dialog.locator("input[name=disk]:enabled").count() == 1

    wait_for(page, open_dialog, seconds=120)
    dialog = page.locator("dialog#dialog[open]")
    expect(dialog.locator("input[name=disk]")).to_be_checked()
    expect(dialog.locator("option", has_text=local)).to_contain_text("on this host only")
    words = dialog.locator("option", has_text=local).inner_text()
    dialog.get_by_label("To the storage pool").select_option(label=words)
    dialog.get_by_label("At most, MiB/s").fill("8")
    dialog.get_by_role("button", name="Move disk").click()
    expect(page.locator("#vm-band")).to_contain_text("Move disk vda", timeout=SEEN_MS)
    expect(page.locator("#vm-band")).to_contain_text(re.compile(r"\d+ %"), timeout=SEEN_MS)
    expect(page.locator("#vm-facts")).to_contain_text(f"{DIRECTORY}/shown1.qcow2", timeout=60_000)
    expect(page.locator("#vm-band")).not_to_contain_text("Move disk vda", timeout=60_000)
    assert _disk_path(host, guest) == f"{DIRECTORY}/shown1.qcow2"
    press(page, "Pause")
    see_heading_state(page, "Paused")
