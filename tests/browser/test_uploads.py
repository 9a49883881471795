"""Uploads by a person in Chromium: cut, paused, reloaded; asserted by the bytes of the host's file."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from playwright.sync_api import CDPSession, Locator, Page, expect

from deploy.lab.host import Host
from deploy.lab.lab import Lab
from deploy.stack import Stack
from tests.browser.people import SEEN_MS, wait_for

POOL = "shared"
MIB = 1024**2
SLOW_BYTES_PER_SECOND = 8 * MIB


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 MiB that no two places have in common."""
    path = tmp_path_factory.mktemp("files") / "big image & co.img"
    block = Random(7).randbytes(MIB)
    path.write_bytes(b"".join(bytes([number]) + block[1:] for number in range(120)))
    return path


@pytest.fixture
def storage(page: Page, portal: Stack, lab: Lab) -> Iterator[str]:
    """The page of the storage that both hosts have; whatever is uploaded goes again."""
    page.goto("/hypervisors/")
    page.get_by_role("main").get_by_role("link", name=lab.hosts[0].name, exact=True).first.click()
    page.get_by_role("link", name="Storage pools", exact=False).first.click()
    page.get_by_role("link", name=POOL, exact=True).first.click()
    expect(page.locator("vp-upload")).to_be_visible()
    yield page.url
    for name in _names(lab.hosts[0]):
        if name.startswith(("big image", "small")):
            lab.hosts[0].virsh("vol-delete", name, "--pool", POOL)


class Network:
    """The browser's, as slow as is told."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("Network.enable")

    def slow(self) -> None:
        self._set(SLOW_BYTES_PER_SECOND)

    def fast(self) -> None:
        self._set(-1)

    def _set(self, upload: int) -> None:
        conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": upload}
        self._session.send("Network.emulateNetworkConditions", conditions)


def row_of(page: Page, name: str) -> Locator:
    return page.locator(".vp-upload-row").filter(has_text=name)


def percent(row: Locator) -> float:
    return float(row.locator("progress").get_attribute("value") or 0)


def choose(page: Page, *files: Path) -> None:
    page.locator("vp-upload input[type=file]").set_input_files(list(files))


def test_an_upload_is_cut_paused_and_reloaded_and_arrives_whole(
    page: Page, portal: Stack, storage: str, lab: Lab, image: Path
) -> None:
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    network = Network(page)
    network.slow()
    page.get_by_text("Checksum", exact=True).click()
    page.get_by_label("SHA-256 as published").fill(f"{digest}  {image.name}")
    choose(page, image)
    row = row_of(page, image.name)
    wait_for(page, lambda: percent(row) > 20)
    expect(row).to_contain_text(re.compile(r"MiB / 120 MiB · [\d.]+ MiB/s · \d+ s"))
    # It is no volume yet.
    expect(page.locator("#volumes")).not_to_contain_text(image.name)
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("Paused")
    row.get_by_role("button", name="Resume").click()
    wait_for(page, lambda: percent(row) > 40)
    # Every connection breaks; Supervisor starts it again.
    portal.kill("nginx", group=True)
    expect(row).to_contain_text("Interrupted; trying again", timeout=SEEN_MS)
    wait_for(page, lambda: percent(row) > 50)
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("Paused")
    page.reload()
    network.fast()
    row = row_of(page, image.name)
    expect(row).to_contain_text("Choose this file again to go on", timeout=SEEN_MS)
    assert percent(row) > 10
    choose(page, image)
    expect(row).to_have_count(1)
    expect(row).to_contain_text("Uploaded · SHA-256 as expected", timeout=SEEN_MS)
    expect(row).to_contain_text(digest)
    expect(page.locator(".vp-volumes")).to_contain_text(image.name, timeout=SEEN_MS)
    assert hashlib.sha256(_path(lab.hosts[0], image.name).read_bytes()).hexdigest() == digest
    row.get_by_role("button", name="Remove from this list").click()
    expect(row).to_have_count(0)


def test_uploads_go_on_on_other_pages_and_a_cancelled_one_leaves_nothing(
    page: Page, storage: str, lab: Lab, image: Path
) -> None:
    image = image.rename(image.with_name("big image 2.img"))
    network = Network(page)
    network.slow()
    choose(page, image)
    row = row_of(page, image.name)
    wait_for(page, lambda: percent(row) > 5)
    page.get_by_role("link", name="Virtual machines", exact=True).first.click()
    expect(page.get_by_role("heading", name="Virtual machines", exact=True)).to_be_visible()
    page.go_back()
    wait_for(page, lambda: percent(row) > 30)
    row.get_by_role("button", name="Cancel").click()
    expect(row).to_have_count(0)
    wait_for(page, lambda: image.name not in _names(lab.hosts[0]))
    network.fast()


def test_what_cannot_be_uploaded_says_why(page: Page, storage: str, lab: Lab, tmp_path: Path) -> None:
    small = tmp_path / "small.img"
    small.write_bytes(b"x" * 100_000)
    page.get_by_text("Checksum", exact=True).click()
    page.get_by_label("SHA-256 as published").fill("no checksum")
    choose(page, small)
    row = row_of(page, "small.img")
    expect(row).to_contain_text("64 hexadecimal digits")
    choose(page, small)
    expect(row).to_contain_text("Uploaded", timeout=SEEN_MS)
    choose(page, small)
    expect(row).to_contain_text("There is a volume called “small.img”")


def test_a_volume_is_downloaded_by_click(page: Page, storage: str, tmp_path: Path) -> None:
    small = tmp_path / "small 2.img"
    small.write_bytes(Random(3).randbytes(300_000))
    choose(page, small)
    line = page.locator(".vp-volumes tbody tr").filter(has_text="small 2.img")
    line.get_by_label("Actions: small 2.img").click(timeout=SEEN_MS)
    link = line.get_by_role("link", name="Download")
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "small 2.img"
    assert download.value.path().read_bytes() == small.read_bytes()


def _names(host: Host) -> list[str]:
    host.virsh("pool-refresh", POOL)
    return [line.rsplit("   ", 1)[0].strip() for line in host.virsh("vol-list", POOL).splitlines() if line.strip()]


def _path(host: Host, name: str) -> Path:
    return Path(host.virsh("vol-path", name, "--pool", POOL).strip())
