"""Memory used is what the guest says now; until it says anything, that is what the pages say."""

from playwright.sync_api import Page, expect

from deploy.lab.lab import Lab
from tests.browser.people import SEEN_MS, see_state

# It boots, is found silent, is asked, and answers twice.
TOLD_MS = 120_000


def test_a_guest_that_does_not_tell_yet_is_not_reported_and_then_is(page: Page, lab: Lab) -> None:
    with lab.guest(lab.hosts[0], "memory") as guest:
        page.goto("/vms/?q=memory")
        see_state(page, guest.name, "Running")
        meter = page.locator(f'[data-uuid="{guest.uuid}"] vp-meter')
        expect(meter).to_contain_text("96 MiB · not reported", timeout=SEEN_MS)
        page.goto(f"/vms/{guest.uuid}/")
        used = page.locator('figure[data-chart="memory"] figcaption b')
        expect(used).to_have_text("not reported", timeout=SEEN_MS)
        expect(used).to_contain_text(" / 96 MiB", timeout=TOLD_MS)
        page.goto("/vms/?q=memory&sort=used&order=desc")
        expect(meter).to_contain_text(" / 96 MiB", timeout=SEEN_MS)
