"""Machines deleted with a disk kept, cloned, and made of a template by click; asserted by virsh."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.lab import Lab
from deploy.stack import Stack
from tests.browser.people import SEEN_MS, open_machine, row, wait_for

POOL = "shared"


@pytest.fixture
def guest(lab: Lab) -> Iterator[Guest]:
    """One that is off."""
    made = define_guest(lab.hosts[0], "golden", start=False)
    yield made
    remove_guest(lab.hosts, made)


@pytest.fixture(autouse=True)
def clean(lab: Lab) -> Iterator[None]:
    """What a test left on the first host goes afterwards."""
    host = lab.hosts[0]
    before, defined = _volumes(lab), set(host.virsh("list", "--all", "--uuid").split())
    yield
    for uuid in set(host.virsh("list", "--all", "--uuid").split()) - defined:
        if uuid in host.virsh("list", "--uuid").split():
            host.virsh("destroy", uuid)
        host.virsh("undefine", uuid)
    for name in _volumes(lab) - before:
        host.virsh("vol-delete", name, "--pool", POOL)


def _volumes(lab: Lab) -> set[str]:
    lab.hosts[0].virsh("pool-refresh", POOL)
    return {line.split()[0] for line in lab.hosts[0].virsh("vol-list", POOL).splitlines() if line.strip()}


def _give_disk(lab: Lab, guest: Guest, path: str) -> None:
    """Defined anew, which libvirt tells of; of a disk that is attached to one that is off it does not."""
    root = ElementTree.fromstring(lab.hosts[0].virsh("dumpxml", "--inactive", guest.uuid))
    disk = ElementTree.Element("disk", type="file", device="disk")
    ElementTree.SubElement(disk, "driver", name="qemu", type="qcow2")
    ElementTree.SubElement(disk, "source", file=path)
    ElementTree.SubElement(disk, "target", dev="vdb", bus="virtio")
    devices = root.find("devices")
    assert devices is not None
    devices.append(disk)
    file = lab.hosts[0].plan.directory / "two-disks.xml"
    file.write_bytes(ElementTree.tostring(root))
    lab.hosts[0].virsh("define", str(file))


def _know_volumes(page: Page, lab: Lab, *names: str) -> None:
    """The storage pool is read again, as by its button."""
    page.goto("/hypervisors/")
    page.get_by_role("main").get_by_role("link", name=lab.hosts[0].name, exact=True).first.click()
    page.get_by_role("link", name="Storage", exact=False).first.click()
    page.get_by_role("link", name=POOL, exact=True).first.click()
    page.get_by_role("button", name="Refresh").first.click()
    for name in names:
        expect(page.get_by_role("main")).to_contain_text(name, timeout=SEEN_MS)


def _choose(page: Page, word: str) -> Locator:
    """An entry of the machine's menu; the dialog that it opens."""
    page.locator("#vm-buttons summary[aria-label='More actions']").click()
    page.locator("#vm-buttons .vp-menu-items").get_by_role("button", name=word, exact=True).click()
    dialog = page.locator("dialog#dialog[open]")
    expect(dialog).to_be_visible()
    return dialog


def test_a_machine_is_protected_then_deleted_with_one_disk_kept(
    page: Page, portal: Stack, lab: Lab, guest: Guest
) -> None:
    host = lab.hosts[0]
    host.virsh("vol-create-as", POOL, "kept.qcow2", "1M", "--format", "qcow2")
    kept = host.virsh("vol-path", "kept.qcow2", "--pool", POOL).strip()
    _give_disk(lab, guest, kept)
    _know_volumes(page, lab, "kept.qcow2", Path(guest.disk_path).name)
    open_machine(page, guest)
    press_menu(page, "Protect from deletion")
    expect(page.locator("#vm-facts")).to_contain_text("nobody can delete it", timeout=SEEN_MS)
    page.locator("#vm-buttons summary[aria-label='More actions']").click()
    expect(page.locator("#vm-buttons")).to_contain_text("It is protected from deletion")
    page.locator("#vm-buttons .vp-menu-items").get_by_role("button", name="Allow deletion").click()
    expect(page.locator("#vm-facts")).not_to_contain_text("nobody can delete it", timeout=SEEN_MS)
    dialog = _choose(page, "Delete…")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    box = dialog.locator(".vp-delete-disk").filter(has_text="kept.qcow2").get_by_role("checkbox")
    expect(box).to_be_checked()
    box.uncheck()
    dialog.get_by_role("button", name="Delete", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("main")).to_contain_text("No host has this machine", timeout=SEEN_MS)
    expect(page.get_by_role("main")).to_contain_text("1 disk is deleted", timeout=3 * SEEN_MS)
    assert guest.uuid not in host.virsh("list", "--all", "--uuid")
    assert (Path(kept).exists(), Path(guest.disk_path).exists()) == (True, False)


def test_a_machine_is_cloned_made_a_template_and_many_are_linked_to_it(
    page: Page, portal: Stack, lab: Lab, guest: Guest
) -> None:
    host = lab.hosts[0]
    _know_volumes(page, lab, Path(guest.disk_path).name)
    open_machine(page, guest)
    dialog = _choose(page, "Clone…")
    dialog.get_by_label("Name", exact=True).fill("golden")
    dialog.get_by_role("button", name="Clone", exact=True).click()
    expect(dialog).to_contain_text("is taken")
    dialog.get_by_label("Name", exact=True).fill("twin")
    dialog.get_by_role("button", name="Clone", exact=True).click()
    expect(dialog).to_be_hidden()
    wait_for(page, lambda: "twin" in host.virsh("list", "--all", "--name").split(), seconds=60)
    assert "twin.qcow2" in _volumes(lab)

    open_machine(page, guest)
    dialog = _choose(page, "Make it a template…")
    dialog.get_by_label("Description").fill("Debian with all that we need")
    dialog.get_by_role("button", name="Make it a template", exact=True).click()
    expect(dialog).to_be_hidden()
    wait_for(page, lambda: "urn:vmportal:template" in host.virsh("dumpxml", "--inactive", guest.uuid), seconds=60)

    page.goto("/templates/")
    expect(page.get_by_role("main")).to_contain_text("Debian with all that we need", timeout=SEEN_MS)
    page.get_by_role("button", name="New machine from golden").click()
    dialog = page.locator("dialog#dialog[open]")
    dialog.get_by_label("Name", exact=True).fill("linked-{n}")
    dialog.get_by_label("How many").fill("2")
    dialog.get_by_label("Start it").uncheck()
    dialog.get_by_role("button", name="Create", exact=True).click()
    expect(dialog).to_be_hidden()
    names = {"linked-1", "linked-2"}
    wait_for(page, lambda: names <= set(host.virsh("list", "--all", "--name").split()), seconds=60)
    assert guest.disk_path in host.virsh("vol-dumpxml", "linked-1.qcow2", "--pool", POOL)
    page.get_by_role("main").get_by_role("link", name="golden", exact=True).first.click()
    for name in sorted(names):
        expect(page.get_by_role("main")).to_contain_text(name, timeout=SEEN_MS)
    expect(page.get_by_role("button", name="Turn back into a machine")).to_have_attribute("aria-disabled", "true")

    page.goto("/vms/")
    for name in sorted(names):
        row(page, name).get_by_role("checkbox").check()
    row(page, "golden").get_by_role("checkbox").check()
    page.locator(".vp-bulk summary").last.click()
    page.locator(".vp-bulk [data-kind=delete_domain]").click()
    dialog = page.locator("dialog#dialog[open]")
    expect(dialog).to_contain_text("Delete 2 machines; skip 1")
    expect(dialog).to_contain_text("Linked clones are on top of its disks")
    dialog.get_by_role("button", name="Delete", exact=True).click()
    wait_for(page, lambda: not names & set(host.virsh("list", "--all", "--name").split()), seconds=60)
    wait_for(page, lambda: not {"linked-1.qcow2", "linked-2.qcow2"} & _volumes(lab), seconds=60)
    assert Path(guest.disk_path).exists()


def press_menu(page: Page, word: str) -> None:
    page.locator("#vm-buttons summary[aria-label='More actions']").click()
    page.locator("#vm-buttons .vp-menu-items").get_by_role("button", name=word, exact=True).click()
