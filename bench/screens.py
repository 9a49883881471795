"""How soon somebody types in a guest: from the sign-in form, and from a search among all machines."""

import time

from playwright.sync_api import Browser, Page

from bench.figures import Figure
from deploy.lab.guest import Guest
from deploy.stack import Stack

_TARGET_SECONDS = 3
_PASSWORD = "uses-one-machine-only"


def screen_figures(stack: Stack, page: Page, browser: Browser, guest: Guest, size: int) -> list[Figure]:
    """`page` is an operator's. The guest runs."""
    return [
        _figure(f"Search among {size:,}, Enter, one click: the screen has the keyboard", _by_search(page, guest)),
        _figure("Sign-in form of who uses one VM: its screen has the keyboard", _by_signing_in(stack, browser, guest)),
    ]


def _by_search(page: Page, guest: Guest) -> float:
    page.goto("/operations/")
    started = time.monotonic()
    page.keyboard.press("/")
    page.keyboard.type(guest.name)
    page.keyboard.press("Enter")
    page.locator("#vm-buttons").get_by_role("link", name="Console").click()
    return _until_typing(page, started)


def _by_signing_in(stack: Stack, browser: Browser, guest: Guest) -> float:
    code = (
        "from django.contrib.auth.models import User; from hypervisors.models import Domain, Role, RoleBinding\n"
        f"user = User.objects.create_user('uses-one', password='{_PASSWORD}')\n"
        f"domain = Domain.objects.get(uuid='{guest.uuid}')\n"
        "role = Role.objects.get(key='vm-user')\n"
        "RoleBinding.objects.create(user=user, scope='domain', domain=domain, role=role)"
    )
    stack.manage("shell", "-v", "0", "-c", code)
    page = browser.new_context(base_url=stack.url, viewport={"width": 1280, "height": 800}).new_page()
    page.goto("/")
    page.get_by_label("User name").fill("uses-one")
    page.get_by_label("Password").fill(_PASSWORD)
    started = time.monotonic()
    page.get_by_role("button", name="Sign in").click()
    seconds = _until_typing(page, started)
    page.context.close()
    return seconds


def _until_typing(page: Page, started: float) -> float:
    page.wait_for_function("document.activeElement?.matches('.vp-console-screen canvas')")
    return time.monotonic() - started


def _figure(what: str, seconds: float) -> Figure:
    met = seconds < _TARGET_SECONDS
    return Figure(what=what, value=f"{seconds:.1f} s", target=f"{_TARGET_SECONDS} s", met=met)
