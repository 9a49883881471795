"""XML in the browser: edited, looked over, applied; two people at once; an older version back; and no word lost."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.host import Host
from deploy.lab.lab import Lab
from tests.browser.people import SEEN_MS, open_machine
from tests.browser.test_accessibility import serious_faults

_EDITOR = "vp-xml-editor .cm-content"


@pytest.fixture
def guest(lab: Lab) -> Iterator[Guest]:
    made = define_guest(lab.hosts[0], "xml1", start=False)
    yield made
    remove_guest(lab.hosts, made)


def open_xml(page: Page, guest: Guest) -> Locator:
    open_machine(page, guest, "xml/")
    editor = page.locator(_EDITOR)
    expect(editor).to_contain_text("<domain", timeout=SEEN_MS)
    return editor


def type_title(page: Page, title: str) -> None:
    """By keyboard alone: a title after the name, which the search of the editor finds."""
    page.locator(_EDITOR).click()
    page.keyboard.press("Control+f")
    page.keyboard.type("</name>")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    # Letter by letter: the end tag that the editor writes is typed over.
    page.keyboard.type(f"<title>{title}</title>")


def review(page: Page) -> None:
    page.get_by_role("button", name=re.compile("Review (changes|again)")).click()


def title_of(host: Host, guest: Guest) -> str:
    found = re.search(r"<title>(.*?)</title>", host.virsh("dumpxml", guest.uuid, "--inactive"))
    return found[1] if found else ""


def test_it_is_edited_looked_over_applied_and_taken_back(page: Page, lab: Lab, guest: Guest) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    open_xml(page, guest)
    # What is not well-formed is marked where it breaks, before and after it is sent.
    page.locator(_EDITOR).click()
    page.keyboard.press("Control+Home")
    page.keyboard.insert_text("<odd>")
    expect(page.locator(".cm-lint-marker-error")).to_be_visible(timeout=SEEN_MS)
    review(page)
    expect(page.locator("#xml-review [role=alert]")).to_contain_text("cannot be read", timeout=SEEN_MS)
    page.locator(_EDITOR).click()
    page.keyboard.press("Control+Home")
    for _letter in "<odd>":
        page.keyboard.press("Delete")
    type_title(page, "written here")
    # None of these letters was a shortcut of the page.
    expect(page.locator(_EDITOR)).to_contain_text("<title>written here</title>")
    review(page)
    expect(page.locator(".vp-diff .is-added, .vp-diff .is-changed").first).to_contain_text(
        "written here", timeout=SEEN_MS
    )
    expect(page.locator("#xml-review")).to_contain_text("It fits libvirt's schema")
    assert title_of(lab.hosts[0], guest) == ""
    page.get_by_role("button", name="Apply", exact=True).click()
    expect(page.locator("#xml-outcome")).to_contain_text("It is defined so.", timeout=2 * SEEN_MS)
    assert title_of(lab.hosts[0], guest) == "written here"
    # Back to what it was: an older version, looked over like any text.
    page.get_by_role("link", name="Versions", exact=True).click()
    mine = page.locator(".vp-xml-table tbody tr").filter(has_text="admin")
    expect(mine).to_contain_text("Edit XML", timeout=SEEN_MS)
    mine.get_by_role("link", name="Changes").click()
    expect(page.locator(".vp-xml-compared")).to_contain_text("written here", timeout=SEEN_MS)
    page.get_by_role("link", name="Restore…").last.click()
    expect(page.locator(_EDITOR)).not_to_contain_text("written here", timeout=SEEN_MS)
    review(page)
    page.get_by_role("button", name="Apply", exact=True).click()
    expect(page.locator("#xml-outcome")).to_contain_text("It is defined so.", timeout=2 * SEEN_MS)
    assert title_of(lab.hosts[0], guest) == ""
    assert [text for text in said if "Content Security Policy" in text] == []


def test_the_second_of_two_is_told_and_loses_nothing(
    page: Page, context: BrowserContext, lab: Lab, guest: Guest
) -> None:
    open_xml(page, guest)
    other = context.new_page()
    open_xml(other, guest)
    type_title(other, "second")
    type_title(page, "first")
    review(page)
    page.get_by_role("button", name="Apply", exact=True).click()
    expect(page.locator("#xml-outcome")).to_contain_text("It is defined so.", timeout=2 * SEEN_MS)
    # Without a reload, and before the second has done anything.
    expect(other.locator("#xml-news")).to_contain_text("It was changed since you opened this", timeout=SEEN_MS)
    review(other)
    expect(other.locator("#xml-review")).to_contain_text("What was changed meanwhile", timeout=SEEN_MS)
    expect(other.locator(".vp-diff").first).to_contain_text("first")
    expect(other.locator(".vp-diff").last).to_contain_text("second")
    expect(other.locator(_EDITOR)).to_contain_text("second")
    assert title_of(lab.hosts[0], guest) == "first"
    other.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_no_xml_page_shuts_anybody_out(page: Page, lab: Lab, guest: Guest, scheme: str, width: int) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 900})
    open_xml(page, guest)
    type_title(page, "seen by axe")
    review(page)
    expect(page.locator(".vp-diff")).to_be_visible(timeout=SEEN_MS)
    faults = {"editor": serious_faults(page)}
    wide = [page.evaluate("document.documentElement.scrollWidth")]
    page.goto(f"/vms/{guest.uuid}/xml/versions/")
    expect(page.locator(".vp-xml-table tbody tr").first).to_be_visible(timeout=SEEN_MS)
    faults["versions"] = serious_faults(page)
    wide.append(page.evaluate("document.documentElement.scrollWidth"))
    assert faults == {"editor": [], "versions": []}
    assert max(wide) <= width
