"""The console in the browser beyond the judges' round: windows, gaps, rights, ends."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.lab import Lab
from deploy.stack import Stack
from tests.browser.people import SEEN_MS, log_of, see_console, wait_for

BOOT_SECONDS = 120
_SHIFTED = set('ABCDEFGHIJKLMNOPQRSTUVWXYZ>_"$&|~?')


@pytest.fixture(scope="module")
def guest(lab: Lab) -> Iterator[Guest]:
    made = define_guest(lab.hosts[0], "console1")
    yield made
    remove_guest(lab.hosts, made)


def open_console(page: Page, guest: Guest, part: str = "screen") -> None:
    """Once the inventory knows the machine and its shell is there."""
    wait_for(page, guest.counts, seconds=BOOT_SECONDS)
    wait_for(page, lambda: _status(page, guest, part) == 200)
    see_console(page)


def _status(page: Page, guest: Guest, part: str) -> int:
    response = page.goto(f"/vms/{guest.uuid}/{part}/")
    return response.status if response else 0


def becomes(page: Page, state: str) -> None:
    expect(page.locator("vp-console")).to_have_attribute("data-state", state, timeout=SEEN_MS)


def type_line(page: Page, text: str) -> None:
    """On a US keyboard, as a person does: Playwright alone would send a > without Shift."""
    page.locator(".vp-console-screen canvas").first.click()
    for letter in text:
        if letter in _SHIFTED:
            page.keyboard.down("Shift")
        page.keyboard.press("Space" if letter == " " else letter, delay=15)
        if letter in _SHIFTED:
            page.keyboard.up("Shift")
    page.keyboard.press("Enter")


def say(page: Page, guest: Guest, text: str) -> None:
    """Have the guest say it on its serial line. A busy emulated machine loses keys: then it is typed again."""
    deadline = time.monotonic() + 90
    while text not in log_of(guest):
        assert time.monotonic() < deadline, f"the guest did not say {text!r}"
        type_line(page, f"echo {text} > /dev/ttyS0")
        wait_for(page, lambda: text in log_of(guest), seconds=8, or_go_on=True)


def host_index(lab: Lab, guest: Guest) -> int:
    """Of the host that runs it."""
    return next(n for n, host in enumerate(lab.hosts) if guest.name in host.virsh("list", "--name").split())


def test_typing_reaches_the_guest_and_not_the_page(page: Page, guest: Guest) -> None:
    open_console(page, guest)
    say(page, guest, "a/b?t")
    assert page.evaluate("document.activeElement.tagName") == "CANVAS"
    expect(page.locator("#help")).to_be_hidden()


def test_the_keyboard_is_the_machines_as_soon_as_its_screen_is_open(page: Page, guest: Guest) -> None:
    open_console(page, guest)
    expect(page.locator(".vp-console-screen canvas")).to_be_focused()
    page.locator(".vp-tabs [aria-current]").focus()
    page.keyboard.type("t?")
    expect(page.locator("#tasks")).not_to_have_attribute("open", "")
    expect(page.locator("#help")).to_be_hidden()


def test_a_phone_has_a_keyboard_and_one_menu_and_the_whole_width(
    chromium: Browser, portal: Stack, guest: Guest, signed_in: Path
) -> None:
    context = chromium.new_context(
        base_url=portal.url, storage_state=signed_in, viewport={"width": 400, "height": 800}, has_touch=True
    )
    page = context.new_page()
    open_console(page, guest)
    stage = page.locator(".vp-console-stage").bounding_box()
    assert stage is not None
    assert stage["width"] == 400
    assert stage["height"] < 350
    expect(page.locator("[data-do=ctrl-alt-del]")).to_be_hidden()
    page.click("[data-do=menu]")
    expect(page.locator("[data-do=ctrl-alt-del]")).to_be_visible()
    page.click("[data-do=menu]")
    page.click("[data-do=keyboard]")
    deadline = time.monotonic() + 90
    while "phone!" not in log_of(guest):
        assert time.monotonic() < deadline
        tap(page, "echo phone! > /dev/ttyS0")
        wait_for(page, lambda: "phone!" in log_of(guest), seconds=8, or_go_on=True)
    context.close()


def tap(page: Page, text: str) -> None:
    """On the keyboard that the page draws."""
    special = {" ": ["␣"], ">": ["Shift", "."], "!": ["Shift", "1"], "S": ["Shift", "s"]}
    for letter in text:
        for key in special.get(letter, [letter]):
            page.locator(f'vp-screen-keyboard [data-key="{key}"]').click()
    page.locator('vp-screen-keyboard [data-key="⏎"]').click()


def test_ctrl_and_alt_give_the_keyboard_back(page: Page, guest: Guest) -> None:
    open_console(page, guest)
    page.locator(".vp-console-screen canvas").click()
    expect(page.locator(".vp-console-hint")).to_have_text("Ctrl+Alt gives the keyboard back")
    page.keyboard.down("Control")
    page.keyboard.down("Alt")
    page.keyboard.up("Alt")
    page.keyboard.up("Control")
    expect(page.locator("[data-do=ctrl-alt-del]")).to_be_focused()


def test_a_window_of_its_own(page: Page, guest: Guest) -> None:
    open_console(page, guest)
    with page.context.expect_page() as opened:
        page.click("[data-do=window]")
    becomes(opened.value, "connected")
    say(opened.value, guest, "own-window")


def test_scaling_is_remembered(page: Page, guest: Guest) -> None:
    open_console(page, guest)
    page.click("[data-do=scale]")
    page.reload()
    expect(page.locator("[data-do=scale]")).to_have_attribute("aria-pressed", "false")
    page.click("[data-do=scale]")
    expect(page.locator("[data-do=scale]")).to_have_attribute("aria-pressed", "true")


def test_the_console_follows_a_migration_by_virsh(page: Page, guest: Guest, lab: Lab) -> None:
    open_console(page, guest)
    say(page, guest, "before-the-move")
    boots, source = guest.boots(), host_index(lab, guest)
    options = ("--live", "--p2p", "--persistent", "--undefinesource")
    lab.hosts[source].virsh("migrate", *options, guest.name, lab.hosts[1 - source].uri, timeout_seconds=180)
    # Only the connection to the new host can be left: the old one's server is gone.
    expect(page.locator(".vp-console-screen")).to_have_count(1, timeout=SEEN_MS)
    becomes(page, "connected")
    say(page, guest, "after-the-move")
    assert guest.boots() == boots


def test_a_proxy_that_dies_is_only_a_gap(page: Page, portal: Stack, guest: Guest) -> None:
    open_console(page, guest)
    page.evaluate(
        "() => { window.states = []; const element = document.querySelector('vp-console');"
        " new MutationObserver(() => window.states.push(element.dataset.state))"
        ".observe(element, {attributeFilter: ['data-state']}); }"
    )
    portal.kill("console")
    wait_for(page, lambda: page.evaluate("window.states.at(-1) === 'connected' && window.states.length > 1"))
    assert "reconnecting" in page.evaluate("window.states")
    say(page, guest, "back-again")


def test_who_may_only_view_cannot_type(page: Page, chromium: Browser, portal: Stack, guest: Guest) -> None:
    open_console(page, guest)
    portal.manage(
        "shell",
        "-c",
        "from django.contrib.auth.models import User; from hypervisors.models import Domain, Role, RoleBinding\n"
        "user = User.objects.create_user('viewer', password='viewer-may-only-look')\n"
        f"RoleBinding.objects.create(user=user, scope='domain', domain=Domain.objects.get(uuid='{guest.uuid}'), "
        "role=Role.objects.get(key='viewer'))",
    )
    context = chromium.new_context(base_url=portal.url)
    viewer = context.new_page()
    viewer.goto(f"/vms/{guest.uuid}/console/")
    viewer.fill("[name=login]", "viewer")
    viewer.fill("[name=password]", "viewer-may-only-look")
    viewer.click("button[type=submit]")
    becomes(viewer, "viewing")
    expect(viewer.locator("[data-do=ctrl-alt-del]")).to_be_disabled()
    type_line(viewer, "echo by-viewer > /dev/ttyS0")
    say(page, guest, "by-admin")
    assert "by-viewer" not in log_of(guest)
    # Who watches is listed, and sent away from there.
    viewers = page.locator(".vp-console-viewers")
    expect(viewers).to_contain_text("viewer", timeout=SEEN_MS)
    viewers.locator("summary").click()
    viewers.get_by_role("button", name="Disconnect viewer").click()
    becomes(viewer, "kicked")
    expect(viewer.locator(".vp-console-detail")).to_have_text("Disconnected by admin.")
    # It is no longer told who else watches.
    expect(viewer.locator(".vp-console-viewers")).to_be_hidden()
    viewer.click(".vp-console-again")
    becomes(viewer, "viewing")
    # The right taken back ends it.
    portal.manage(
        "shell",
        "-c",
        "from hypervisors.models import RoleBinding; RoleBinding.objects.get(user__username='viewer').delete()",
    )
    becomes(viewer, "kicked")
    context.close()


def test_off_and_started_from_the_console(page: Page, guest: Guest, lab: Lab) -> None:
    open_console(page, guest)
    lab.hosts[host_index(lab, guest)].virsh("destroy", guest.uuid)
    becomes(page, "off")
    expect(page.locator(".vp-console-panel")).to_contain_text("The machine is off")
    page.click(".vp-console-start")
    becomes(page, "connected")


def test_logging_out_closes_the_console(chromium: Browser, portal: Stack, guest: Guest) -> None:
    context = chromium.new_context(base_url=portal.url)
    page = context.new_page()
    page.goto("/vms/")
    page.fill("[name=login]", "admin")
    page.fill("[name=password]", portal.admin_password)
    page.click("button[type=submit]")
    page.get_by_role("heading", name="Virtual machines", exact=True).wait_for()
    open_console(page, guest)
    other = context.new_page()
    other.goto("/vms/")
    other.evaluate("document.querySelector('form[action*=logout]').requestSubmit()")
    becomes(page, "kicked")
    expect(page.locator(".vp-console-again")).to_be_visible()
    context.close()
