#!/usr/bin/env python3
"""Take the README's screenshots from a portal of its own over two real hypervisors: `docs/screenshots/take.py` as root.

Needs what `./test` installs: the lab, Chromium, and the test packages in .venv.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402 - the path comes first

from deploy.lab.guest import Guest  # noqa: E402
from deploy.lab.installer_iso import FILE_NAME as INSTALLER  # noqa: E402
from deploy.lab.installer_iso import cached_installer_iso  # noqa: E402
from deploy.lab.lab import Lab, bring_up, find_lab_plan, take_down  # noqa: E402
from deploy.stack import Stack  # noqa: E402
from tests.browser.chromium import CHROMIUM, CHROMIUM_ARGUMENTS  # noqa: E402

HERE = Path(__file__).resolve().parent
NAME = "shots"
CLOUD_IMAGE = "debian-12-genericcloud-amd64.qcow2"
# Long enough for the sparklines to have something to show.
WARM_UP_MS = 90_000


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="vmportal-shots-") as directory:
        try:
            lab = bring_up(NAME, Path(directory) / "lab", host_count=2, guest_count=8)
            stack = Stack(Path(directory) / "data")
            try:
                stack.prepare([("lab", host.name, host.uri) for host in lab.hosts])
                stack.launch()
                stack.wait_healthy()
                _take(stack, lab)
            finally:
                stack.stop()
        finally:
            plan = find_lab_plan(NAME, None)
            if plan is not None:
                take_down(plan)


def _take(stack: Stack, lab: Lab) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        for scheme, width, height in (("light", 1280, 800), ("dark", 1280, 800), ("light", 400, 800)):
            page = _signed_in(browser, stack, scheme, width, height)
            if scheme == "light" and width == 1280:
                _work(page, stack, lab)
                page.wait_for_timeout(WARM_UP_MS)
            _take_all(page, lab, f"{scheme}-{width}")
            page.context.close()
        browser.close()


def _signed_in(browser: Browser, stack: Stack, scheme: str, width: int, height: int) -> Page:
    context = browser.new_context(
        base_url=stack.url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto("/vms/")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(stack.admin_password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Virtual machines", exact=True).wait_for()
    return page


def _work(page: Page, stack: Stack, lab: Lab) -> None:
    """Something for the drawer, the storage pool, the audit and the page of a new machine to show."""
    _put_images(lab)
    _take_snapshots(lab)
    for action in ("Pause", "Resume"):
        page.goto("/vms/?q=web")
        page.get_by_label("Select this page").check()
        page.locator(".vp-bulk summary").click()
        page.locator(".vp-bulk").get_by_role("button", name=action, exact=True).click()
        page.locator("#dialog[open] [type=submit]").click()
        page.wait_for_timeout(3_000)
    stack.manage(
        "shell",
        "-c",
        "from django.contrib.auth.models import User\nfor name in ('alice', 'bob'): User.objects.create_user(name)",
    )
    page.goto(f"/vms/{_guest(lab).uuid}/access/")
    for name, role in (("alice", "vm-user"), ("bob", "viewer")):
        people = page.locator("#roles form.vp-role-form").first
        people.get_by_label("User name").fill(name)
        people.get_by_label("Role").select_option(role)
        people.get_by_role("button", name="Give").click()
        page.locator("#roles td", has_text=name).wait_for()
    page.goto(_storage_path(page))
    for name in ("archive.qcow2", "database-data.qcow2"):
        page.get_by_role("button", name="New volume…").click()
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_role("button", name="Create", exact=True).click()
        page.get_by_role("link", name=name, exact=True).or_(page.locator("td", has_text=name)).first.wait_for()


def _guest(lab: Lab) -> Guest:
    return next(guest for guest in lab.example_guests if guest.name == "web1")


def _other_guest(lab: Lab) -> Guest:
    """Whose snapshots are shown: one that has any cannot move, so not the one that is shown moving."""
    return next(guest for guest in lab.example_guests if guest.name == "mail1")


def _take_snapshots(lab: Lab) -> None:
    """Three, of which the last is a branch of its own."""
    guest = _other_guest(lab)
    host = next(host for host in lab.hosts if guest.name in host.virsh("list", "--name").split())
    host.virsh("snapshot-create-as", guest.name, "installed", "--description", "As it came from the installer")
    host.virsh("snapshot-create-as", guest.name, "before-upgrade", "--description", "The evening before")
    host.virsh("snapshot-revert", guest.name, "installed")
    host.virsh("snapshot-create-as", guest.name, "other-mail-server", "--description", "Tried instead")


def _storage_path(page: Page) -> str:
    page.goto("/vms/")
    host = page.locator(".vp-host[data-host]").first.get_attribute("data-host")
    page.goto(f"/hypervisors/{host}/storage/")
    links = page.locator("main a[href^='/storage/']").all()
    paths = [link.get_attribute("href") or "" for link in links]
    return next(path for path in paths if re.fullmatch(r"/storage/\d+/", path))


def _take_all(page: Page, lab: Lab, suffix: str) -> None:
    guest = _guest(lab)
    page.goto("/vms/")
    host = page.locator(".vp-host[data-host]").first.get_attribute("data-host")
    if page.viewport_size and page.viewport_size["width"] > 1000:
        for twist in page.locator(".vp-host .vp-twist").all():
            twist.click()
    page.wait_for_timeout(6_000)
    page.screenshot(path=HERE / f"list-{suffix}.png")
    for name, path in {"machine": f"/vms/{guest.uuid}/", "host": f"/hypervisors/{host}/"}.items():
        page.goto(path)
        page.wait_for_timeout(6_000)
        page.screenshot(path=HERE / f"{name}-{suffix}.png")
    pages = {"storage": _storage_path(page), "access": f"/vms/{guest.uuid}/access/", "audit": "/audit/"}
    pages["hardware"] = f"/vms/{guest.uuid}/hardware/?show=disk:vda"
    pages |= {"snapshots": f"/vms/{_other_guest(lab).uuid}/snapshots/", "networks": "/networks/map/"}
    for name, path in pages.items():
        page.goto(path)
        page.wait_for_timeout(2_000)
        page.screenshot(path=HERE / f"{name}-{suffix}.png")
    _take_creation(page, suffix)
    page.goto("/vms/")
    page.keyboard.press("t")
    page.locator(".vp-task.is-parent").first.get_by_role("button", name="Show each of them").click()
    page.wait_for_timeout(1_000)
    page.screenshot(path=HERE / f"tasks-{suffix}.png")
    page.goto(f"/vms/{guest.uuid}/screen/")
    page.locator("vp-console .vp-console-status", has_text="Connected").wait_for()
    page.wait_for_timeout(3_000)
    page.screenshot(path=HERE / f"console-{suffix}.png")
    page.goto(f"/vms/{guest.uuid}/")
    page.locator("#vm-buttons").get_by_role("button", name="Migrate…").click()
    page.locator("dialog#dialog[open] .vp-target").first.wait_for()
    page.screenshot(path=HERE / f"migrate-{suffix}.png")


def _take_creation(page: Page, suffix: str) -> None:
    """The page of a new machine: from the installer's image, and from a cloud image."""
    for name, method, image in (("create", "iso", INSTALLER), ("create-cloud", "cloud_image", CLOUD_IMAGE)):
        page.goto(f"/vms/new/?method={method}")
        menu = page.locator("#id_iso" if method == "iso" else "#id_image")
        menu.select_option(menu.locator("option", has_text=image).get_attribute("value"))
        page.locator("#creation-summary", has_text=image).wait_for()
        page.screenshot(path=HERE / f"{name}-{suffix}.png")


def _put_images(lab: Lab) -> None:
    """What a new machine can be made of."""
    shutil.copy(cached_installer_iso(), lab.plan.pool_path / INSTALLER)
    lab.hosts[0].run("qemu-img", "create", "-q", "-f", "qcow2", str(lab.plan.pool_path / CLOUD_IMAGE), "2G")
    for host in lab.hosts:
        host.virsh("pool-refresh", "shared")


if __name__ == "__main__":
    main()
