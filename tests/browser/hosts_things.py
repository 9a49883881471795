"""A network filter and a secret of a host, made by their pages: no event of libvirt would tell of others."""

from contextlib import suppress

from playwright.sync_api import Page, expect

from deploy.lab.host import Host
from deploy.lab.process import LabError

_SEEN_MS = 60_000


def make_filter(page: Page, host: str, name: str) -> str:
    """Its address; the one that is there, if there is."""
    page.goto(f"/networks/filters/?host={host}")
    link = page.locator("#filter-list").get_by_role("link", name=name, exact=True)
    if link.count() == 0:
        page.goto(f"/networks/filters/create/{host}/")
        xml = page.get_by_label("XML")
        xml.fill(xml.input_value().replace("my-filter", name))
        page.get_by_role("button", name="Create", exact=True).click()
        # Another page before it has led on would have it not asked for.
        page.wait_for_url("**/networks/filters/", timeout=_SEEN_MS)
        page.goto(f"/networks/filters/?host={host}")
        expect(link).to_be_visible(timeout=_SEEN_MS)
    return link.get_attribute("href") or ""


def make_secret(page: Page, host: str, usage: str) -> str:
    """The address of the dialog for another value of it; the one that is there, if there is."""
    page.goto(f"/hypervisors/{host}/secrets/")
    line = page.locator("#host-secrets tbody tr").filter(has_text=usage)
    if line.count() == 0:
        page.get_by_role("button", name="New secret…").click()
        dialog = page.locator("dialog#dialog[open]")
        dialog.get_by_label("Usage").fill(usage)
        dialog.get_by_label("Value").fill("never seen")
        dialog.get_by_role("button", name="Create", exact=True).click()
        expect(line).to_be_visible(timeout=_SEEN_MS)
    return line.locator("a[hx-get]").get_attribute("href") or ""


def things_go(host: Host, name: str) -> None:
    """Both of this name, as far as they are there."""
    lines = [line.split() for line in host.virsh("secret-list").splitlines()]
    secrets = [words[0] for words in lines if words[-1:] == [name]]
    for command in (("nwfilter-undefine", name), *(("secret-undefine", uuid) for uuid in secrets)):
        with suppress(LabError):
            host.virsh(*command)
