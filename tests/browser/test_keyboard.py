"""Everything by keyboard: Tab walks through each page with the focus in sight and nowhere held; menus, by arrows."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from deploy.lab.guest import Guest
from deploy.lab.lab import Lab
from tests.browser.people import SEEN_MS, open_machine
from tests.browser.test_accessibility import MORE_SCREENS, SCREENS, guest_with_snapshot, places

# On a screen Tab is the guest's; Ctrl+Alt leaves it.
_WALKED = {screen: path for screen, path in (SCREENS | MORE_SCREENS).items() if screen != "console"}
_MOST_STOPS = 300
# Where the focus is, and whether anything about it, or about the line or box that it is in, tells so.
_FOCUS = """() => {
  const element = document.activeElement;
  if (!element || element === document.body || element === document.documentElement) return null;
  window.stops ??= new Map();
  if (!window.stops.has(element)) window.stops.set(element, window.stops.size);
  const isTold = (one) => {
    const style = getComputedStyle(one);
    return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
  };
  const around = [element, element.closest("tr"), element.closest("label"), element.closest("form")].filter(Boolean);
  const box = element.getBoundingClientRect();
  const isInside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  const isSeen = box.width > 0 && box.height > 0 && isInside;
  const html = element.outerHTML.slice(0, 160);
  // A date has stops inside.
  const parts = element.type === "date" ? 4 : 1;
  return {number: window.stops.get(element), parts, isTold: around.some(isTold), isSeen, html};
}"""


@pytest.fixture(scope="module")
def guest(lab: Lab) -> Iterator[Guest]:
    with guest_with_snapshot(lab, "walked") as made:
        yield made


def test_tab_walks_through_every_page_with_the_focus_in_sight(page: Page, guest: Guest) -> None:
    open_machine(page, guest)
    arguments = places(page, guest)
    faults: dict[str, list[str]] = {}
    for screen, path in _WALKED.items():
        page.goto(path.format(**arguments))
        expect(page.get_by_role("heading", level=1).first).to_be_attached()
        if found := walk(page):
            faults[screen] = found
    assert faults == {}


def walk(page: Page) -> list[str]:
    """What is wrong from the first stop until the focus leaves the page."""
    faults: list[str] = []
    before, times = -1, 0
    for _ in range(_MOST_STOPS):
        page.keyboard.press("Tab")
        at = page.evaluate(_FOCUS)
        if at is None or at["number"] < before:
            return faults
        times = times + 1 if at["number"] == before else 1
        if times > at["parts"]:
            return [*faults, f"holds the focus: {at['html']}"]
        # Inside a date the browser itself tells which part it is.
        if times == 1 and not (at["isSeen"] and at["isTold"]):
            faults.append(f"{'not told' if at['isSeen'] else 'out of sight'}: {at['html']}")
        before = at["number"]
    return [*faults, f"no end after {_MOST_STOPS} stops"]


def test_menus_are_walked_with_the_arrows_and_closed_by_tab_and_escape(page: Page, guest: Guest) -> None:
    open_machine(page, guest)
    page.goto(f"/vms/?q={guest.name}")
    menu = page.locator("#list tbody details.vp-menu")
    summary = menu.locator("summary")
    summary.focus()
    # Its entries are fetched when it opens.
    page.keyboard.press("ArrowDown")
    entries = menu.locator(".vp-menu-items :is(a, button)")
    expect(entries.first).to_be_focused(timeout=SEEN_MS)
    page.keyboard.press("ArrowDown")
    expect(entries.nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(entries.last).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(entries.first).to_be_focused()
    page.keyboard.press("Home")
    expect(entries.first).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    expect(summary).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(entries.first).to_be_focused()
    page.keyboard.press("Tab")
    expect(menu).not_to_have_attribute("open", "")
    assert page.evaluate("document.activeElement.closest('details') === null")
