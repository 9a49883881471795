"""What a person does and sees, in the page's own words."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from deploy.lab.guest import Guest

# These machines are slow and busy; that it is quick is measured by bench/.
SEEN_MS = 30_000
_SHIFTED = {">": "Shift+Period", "S": "Shift+KeyS"}


def row(page: Page, name: str) -> Locator:
    """The line of the list with this name."""
    return page.locator("#list tbody tr").filter(has=page.get_by_role("link", name=name, exact=True))


def see_state(page: Page, name: str, word: str) -> None:
    """The list says so; without a reload, wherever it was opened before."""
    expect(row(page, name).locator(".c-state")).to_have_text(re.compile(rf"^\s*{word}\s*$"), timeout=SEEN_MS)


def open_machine(page: Page, guest: Guest, part: str = "") -> None:
    # One that was defined just now may not have been seen yet.
    wait_for(page, lambda: page.request.get(f"/vms/{guest.uuid}/").ok)
    page.goto(f"/vms/{guest.uuid}/{part}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(guest.name)


def see_heading_state(page: Page, word: str) -> None:
    expect(page.locator(".vp-heading-state vp-state")).to_have_text(re.compile(rf"^\s*{word}\s*$"), timeout=SEEN_MS)


def press(page: Page, name: str) -> None:
    """A button at the head of the machine's page."""
    page.locator("#vm-buttons").get_by_role("button", name=name, exact=True).click()


def confirm(page: Page, name: str) -> None:
    """Say yes to the question, which names the machine."""
    dialog = page.locator("vp-confirm dialog[open]")
    expect(dialog).to_contain_text(name)
    dialog.locator(".vp-dialog-yes").click()


def open_console(page: Page, guest: Guest) -> None:
    open_machine(page, guest, "screen/")
    see_console(page)


def see_console(page: Page) -> None:
    expect(page.locator("vp-console .vp-console-status")).to_have_text("Connected", timeout=SEEN_MS)


def type_command(page: Page, guest: Guest, command: str, *, until: str) -> None:
    """Type it on the screen, and again should the shell not have been there yet, until the log says `until`."""
    deadline = time.monotonic() + 60
    while until not in log_of(guest):
        assert time.monotonic() < deadline, f"the guest did not say {until!r}"
        page.locator("vp-console canvas").first.click()
        for character in command:
            # A real keyboard holds Shift; so must this one, or the guest's keyboard sees another key.
            page.keyboard.press(_SHIFTED.get(character, character), delay=10)
        page.keyboard.press("Enter")
        wait_for(page, lambda: until in log_of(guest), seconds=8, or_go_on=True)


def wait_for(page: Page, condition: Callable[[], Any], *, seconds: float = 30, or_go_on: bool = False) -> Any:
    """The condition's first true value; the page lives on meanwhile."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            assert or_go_on, "what was waited for was not seen"
            return value
        page.wait_for_timeout(50)
    return value


def log_of(guest: Guest) -> str:
    """The guest's serial line."""
    path = Path(guest.serial_log_path)
    return path.read_text(errors="replace") if path.exists() else ""
