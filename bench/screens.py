"""How soon somebody types in a guest: from the sign-in form, and from a search among all machines.

`python -m bench.screens` measures this alone, with 10,000 machines of libvirt's test driver around one real guest.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from bench.figures import Figure
from bench.fleets import DOMAINS_PER_HYPERVISOR, register, wait_for_domains, write_fleet
from bench.pages import paint_figures, signed_in
from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.lab import bring_up, find_lab_plan, take_down
from deploy.stack import Stack
from tests.browser.chromium import CHROMIUM, CHROMIUM_ARGUMENTS

SIZE = 10_000
ROUNDS = 5
_LAB = "benchsc"
_TARGET_SECONDS = 3
_PASSWORD = "uses-one-machine-only"


def screen_figures(stack: Stack, page: Page, browser: Browser, guest: Guest, size: int) -> list[Figure]:
    """`page` is an operator's. The guest runs."""
    _make_user(stack, guest)
    searches = _rounds(lambda: _by_search(page, guest))
    sign_ins = _rounds(lambda: _by_signing_in(stack, browser))
    return [
        _figure(f"Search among {size:,}, Enter, one click: the screen has the keyboard", searches),
        _figure("Sign-in form of who uses one VM: its screen has the keyboard", sign_ins),
    ]


def _rounds(measure: Callable[[], float]) -> list[float]:
    """After one that fills the caches, as whoever works with it has them."""
    measure()
    return [measure() for _ in range(ROUNDS)]


def _by_search(page: Page, guest: Guest) -> float:
    page.goto("/operations/")
    started = time.monotonic()
    page.keyboard.press("/")
    page.keyboard.type(guest.name)
    page.keyboard.press("Enter")
    page.locator("#vm-buttons").get_by_role("link", name="Console").click()
    return _until_typing(page, started)


def _make_user(stack: Stack, guest: Guest) -> None:
    code = (
        "from django.contrib.auth.models import User; from hypervisors.models import Domain, Role, RoleBinding\n"
        f"user = User.objects.create_user('uses-one', password='{_PASSWORD}')\n"
        f"domain = Domain.objects.get(uuid='{guest.uuid}')\n"
        "role = Role.objects.get(key='vm-user')\n"
        "RoleBinding.objects.create(user=user, scope='domain', domain=domain, role=role)"
    )
    stack.manage("shell", "-v", "0", "-c", code)


def _by_signing_in(stack: Stack, browser: Browser) -> float:
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
    page.locator(".vp-console-screen canvas:focus").wait_for()
    return time.monotonic() - started


def _figure(what: str, seconds: list[float]) -> Figure:
    median, slowest = statistics.median(seconds), max(seconds)
    value = f"{median:.2f} s median, {slowest:.2f} s slowest of {len(seconds)}"
    return Figure(what=what, value=value, target=f"{_TARGET_SECONDS} s", met=slowest < _TARGET_SECONDS)


def _alone(browser: Browser) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="vmportal-bench-") as directory:
        uris = write_fleet(Path(directory), SIZE // DOMAINS_PER_HYPERVISOR, DOMAINS_PER_HYPERVISOR)
        stack = Stack(Path(directory) / "data", env={"VMPORTAL_ALLOW_TEST_DRIVER": "1"})
        try:
            stack.start()
            register(stack, uris)
            wait_for_domains(stack, SIZE)
            return paint_figures(stack, SIZE, browser) + _beside_fleet(stack, browser, Path(directory))
        finally:
            stack.stop()
            plan = find_lab_plan(_LAB, None)
            if plan is not None:
                take_down(plan)


def _beside_fleet(stack: Stack, browser: Browser, directory: Path) -> list[Figure]:
    lab = bring_up(_LAB, directory / "lab", host_count=1)
    host = lab.hosts[0]
    stack.manage("register_hypervisor", "-v", "0", "--pool", "lab", "--name", host.name, "--uri", host.uri)
    guest = define_guest(host, "measured", start=True)
    guest.wait_until_counting()
    wait_for_domains(stack, SIZE + 1)
    figures = screen_figures(stack, signed_in(browser, stack), browser, guest, SIZE)
    remove_guest(lab.hosts, guest)
    return figures


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        print("\n".join(figure.row() for figure in _alone(browser)))
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
