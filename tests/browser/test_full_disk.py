"""A page that is open says that the database cannot be written, and when that is over."""

from playwright.sync_api import Browser, expect

from deploy.stack import Stack
from tests.disks import fill, small_disk

# A heartbeat of the page is ten seconds.
SOON_MS = 30_000


def test_an_open_page_says_that_the_disk_is_full_until_it_is_not(chromium: Browser) -> None:
    with (
        small_disk(mebibytes=80) as disk,
        Stack(disk / "data", env={"WEB_CONCURRENCY": "1"}) as stack,
        chromium.new_context(base_url=stack.url) as context,
    ):
        page = context.new_page()
        page.goto("/vms/")
        page.get_by_label("User name").fill("admin")
        page.get_by_label("Password").fill(stack.admin_password)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Virtual machines", exact=True).wait_for()
        banner = page.locator("vp-trouble")
        expect(banner).to_be_hidden()
        filler = fill(disk)
        expect(banner).to_be_visible(timeout=SOON_MS)
        expect(banner).to_contain_text("The database cannot be written: its disk is full, since")
        # What is fetched afterwards says it at once.
        page.get_by_role("link", name="Operations").first.click()
        page.get_by_role("heading", name="Operations", exact=True).wait_for()
        expect(banner).to_be_visible()
        filler.unlink()
        expect(banner).to_be_hidden(timeout=SOON_MS)
