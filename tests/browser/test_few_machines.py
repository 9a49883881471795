"""From the sign-in form to typing in the guest, for who uses one machine or a few."""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.lab import Lab
from deploy.stack import Stack
from tests.browser.people import SEEN_MS, open_machine, see_console, type_command

PASSWORD = "uses-a-few-machines"


@pytest.fixture(scope="module")
def guests(lab: Lab) -> Iterator[list[Guest]]:
    """A running one, whose shell listens, and one that is off."""
    made = [define_guest(lab.hosts[0], "mine1", start=True), define_guest(lab.hosts[1], "mine2", start=False)]
    made[0].wait_until_counting()
    yield made
    for guest in made:
        remove_guest(lab.hosts, guest)


@pytest.fixture
def somebody(chromium: Browser, portal: Stack) -> Iterator[Page]:
    """A browser at the sign-in form."""
    context = chromium.new_context(base_url=portal.url, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.goto("/")
    yield page
    context.close()


def make_user(portal: Stack, name: str, machines: list[Guest]) -> None:
    uuids = [guest.uuid for guest in machines]
    portal.manage(
        "shell",
        "-v",
        "0",
        "-c",
        "from django.contrib.auth.models import User; from hypervisors.models import Domain, Role, RoleBinding\n"
        f"user = User.objects.create_user('{name}', password='{PASSWORD}')\n"
        "role = Role.objects.get(key='vm-user')\n"
        f"for domain in Domain.objects.filter(uuid__in={uuids}):\n"
        "    RoleBinding.objects.create(user=user, scope='domain', domain=domain, role=role)",
    )


def sign_in(page: Page, name: str) -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_a_user_with_one_machine_types_in_it_as_soon_as_they_are_signed_in(
    page: Page, portal: Stack, guests: list[Guest], somebody: Page
) -> None:
    open_machine(page, guests[0])
    make_user(portal, "user-of-one", guests[:1])
    started = time.monotonic()
    # The first action; the second is to type.
    sign_in(somebody, "user-of-one")
    expect(somebody.locator(".vp-console-screen canvas")).to_be_focused(timeout=SEEN_MS)
    print(f"from the sign-in form to the screen's keyboard: {time.monotonic() - started:.1f} s")
    type_command(somebody, guests[0], "echo it is mine > /dev/ttyS0", until="it is mine")
    expect(somebody.locator("vp-tree, .vp-nav, .vp-search:visible")).to_have_count(0)
    assert somebody.locator(".vp-tabs a").all_inner_texts() == ["Overview", "Console", "History"]


def test_a_user_with_a_few_machines_opens_a_screen_with_one_click(
    page: Page, portal: Stack, guests: list[Guest], somebody: Page
) -> None:
    for guest in guests:
        open_machine(page, guest)
    make_user(portal, "user-of-two", guests)
    sign_in(somebody, "user-of-two")
    running = somebody.locator(".vp-machine", has_text=guests[0].name)
    off = somebody.locator(".vp-machine", has_text=guests[1].name)
    expect(running.locator("vp-state")).to_have_text("Running", timeout=SEEN_MS)
    expect(off.locator("vp-state")).to_have_text("Off")
    expect(off.get_by_role("link", name="Open console")).to_be_hidden()
    expect(off.get_by_role("button", name="Start")).to_be_visible()
    running.get_by_role("link", name="Open console").click()
    see_console(somebody)
