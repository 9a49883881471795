"""The images page in a real browser, over images of the lab's own storage."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from deploy.lab.lab import Lab
from deploy.stack import Stack
from tests.browser.people import SEEN_MS
from tests.unit.storage.test_image_heads import iso_head

POOL = "shared"


@pytest.fixture
def images(portal: Stack, lab: Lab) -> Iterator[Path]:
    """The directory of the shared storage, with an installer, a web page that is called .iso, and a disk."""
    host, directory = lab.hosts[0], lab.plan.pool_path
    files = {
        "debian.iso": iso_head("Debian 11.5.0 amd64 1") + bytes(2**20),
        "broken.iso": b"<!DOCTYPE html><html>404 Not Found</html>" + bytes(2**20),
    }
    for name, content in files.items():
        (directory / name).write_bytes(content)
    host.run("qemu-img", "create", "-q", "-f", "qcow2", str(directory / "golden.qcow2"), "8M")
    yield directory
    for name in (*files, "golden.qcow2"):
        (directory / name).unlink()
    for each in lab.hosts[:2]:
        each.virsh("pool-refresh", POOL)


def test_images_are_known_by_their_content_and_by_what_people_say(page: Page, images: Path, lab: Lab) -> None:
    page.goto("/hypervisors/")
    page.get_by_role("main").get_by_role("link", name=lab.hosts[0].name, exact=True).first.click()
    page.get_by_role("link", name="Storage", exact=False).first.click()
    page.get_by_role("link", name=POOL, exact=True).first.click()
    page.get_by_role("button", name="Refresh").click()
    line = page.locator(".vp-volumes tbody tr").filter(has_text="golden.qcow2")
    expect(line).to_be_visible(timeout=SEEN_MS)
    line.get_by_label("Actions: golden.qcow2").click()
    line.get_by_role("button", name="Show among the images").click()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Images").click()
    rows = page.locator(".vp-images tbody tr")
    installer = rows.filter(has_text="debian.iso")
    expect(installer).to_contain_text("Debian", timeout=SEEN_MS)
    expect(installer).to_contain_text("2 hosts")
    expect(installer).to_have_count(1)
    expect(rows.filter(has_text="broken.iso")).to_contain_text("It is called .iso and is none", timeout=SEEN_MS)
    expect(rows.filter(has_text="golden.qcow2")).to_contain_text("Disk image")
    page.get_by_label("Name, system or storage pool").fill("golden")
    expect(rows).to_have_count(1)
    page.get_by_role("link", name="ISOs").click()
    expect(page.get_by_role("main")).to_contain_text("No image fits the filter")
    page.get_by_role("link", name="Show all").click()
    expect(rows).to_have_count(3)
    page.get_by_text("Upload…", exact=True).click()
    page.get_by_role("button", name=POOL).first.click()
    expect(page.locator("vp-upload")).to_be_visible()
