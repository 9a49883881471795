"""An appliance imported and a machine exported by click; asserted by virsh, and by the bytes that come down."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from deploy.lab.lab import Lab
from deploy.lab.process import LabError
from hypervisors.imaging.ova import read_package
from tests.browser.people import SEEN_MS, wait_for
from tests.browser.test_accessibility import serious_faults
from tests.unit.imaging import packages

MIB = 1024**2
POOL = "shared"


@pytest.fixture
def ova(lab: Lab, tmp_path: Path) -> Iterator[str]:
    """The name of an OVA in the shared storage: one disk that boots nothing, and a TPM that is not taken over."""
    raw = tmp_path / "disk.raw"
    raw.write_bytes(random.Random(3).randbytes(2 * MIB) + bytes(6 * MIB))
    disk = packages.stream_optimized(raw)
    tpm = (
        "<Item><rasd:ElementName>Virtual TPM</rasd:ElementName><rasd:InstanceID>50</rasd:InstanceID>"
        "<rasd:ResourceType>1</rasd:ResourceType><rasd:ResourceSubType>vmware.vtpm</rasd:ResourceSubType></Item>"
    )
    ovf = packages.descriptor([("disk0.vmdk", len(disk), 8)], name="Clicked appliance", extra_items=tpm)
    manifest = packages.manifest([("a.ovf", ovf), ("disk0.vmdk", disk)])
    before = set(lab.plan.pool_path.iterdir())
    (lab.plan.pool_path / "clicked.ova").write_bytes(
        packages.archive([("a.ovf", ovf), ("a.mf", manifest), ("disk0.vmdk", disk)])
    )
    for host in lab.hosts:
        host.virsh("pool-refresh", POOL)
    try:
        yield "clicked.ova"
    finally:
        for host in lab.hosts:
            for command in (("destroy",), ("undefine", "--nvram")):
                _try(lab, host.name, command[0], "Clicked-appliance", *command[1:])
        for path in set(lab.plan.pool_path.iterdir()) - before:
            path.unlink()
        for host in lab.hosts:
            host.virsh("pool-refresh", POOL)


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("SHOTS"):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for width in (1280, 400):
                page.set_viewport_size({"width": width, "height": 900})
                page.screenshot(path=f"{folder}/{name}-{scheme}-{width}.png", full_page=True)
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": 1280, "height": 800})


def test_an_appliance_becomes_a_machine_and_goes_out_again(page: Page, lab: Lab, ova: str) -> None:
    page.goto("/appliances/new/")

    def is_listed() -> bool:
        page.reload()
        return page.get_by_role("link", name=ova).count() == 1

    wait_for(page, is_listed, seconds=40)
    shot(page, "choose")
    page.get_by_role("link", name=ova).click()
    expect(page.get_by_role("heading", name="Not taken over")).to_be_visible(timeout=SEEN_MS)
    expect(page.get_by_role("main")).to_contain_text("Virtual TPM (type 1, vmware.vtpm)")
    expect(page.get_by_role("main")).to_contain_text("8 MiB, of which 2 MiB hold something")
    assert serious_faults(page) == []
    shot(page, "page")
    page.get_by_label("Memory in MiB").fill("1")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("#error-memory_mib")).to_contain_text("greater than or equal to 16")
    shot(page, "errors")
    page.get_by_label("Memory in MiB").fill("64")
    with page.expect_response(lambda answer: "/appliances/new/" in answer.url):
        page.get_by_label("Host", exact=True).select_option(label=lab.hosts[1].name)
    expect(page.get_by_label("Memory in MiB")).to_have_value("64")
    page.get_by_label("Start it when it is imported").uncheck()
    page.get_by_role("button", name="Import", exact=True).click()
    # What is being made is shown until it is there, and then itself.
    page.wait_for_url("**/vms/*/", timeout=2 * SEEN_MS)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Clicked-appliance")
    assert "Clicked-appliance" in lab.hosts[1].virsh("list", "--all", "--name")
    open_export(page)
    dialog = page.locator("dialog#dialog[open]")
    expect(dialog).to_contain_text("OVA: for VMware, VirtualBox and vmportal")
    shot(page, "export")
    dialog.get_by_role("button", name="Export", exact=True).click()
    expect(dialog).to_be_hidden()
    made = lab.plan.pool_path / "Clicked-appliance.ova"
    wait_for(
        page, lambda: made.exists() and "vmportal-export" not in " ".join(os.listdir(lab.plan.pool_path)), seconds=60
    )

    export_url = f"{page.url}export/"

    def can_be_downloaded() -> bool:
        page.goto(export_url)
        return page.get_by_role("link", name="Download").count() == 1

    wait_for(page, can_be_downloaded, seconds=60)
    shot(page, "exported")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    content = Path(download.value.path()).read_bytes()
    assert content == made.read_bytes()
    package = read_package(lambda offset, length: content[offset : offset + length], size_bytes=len(content))
    assert [member.name for member in package.members] == [
        "Clicked-appliance.ovf",
        "Clicked-appliance-1.vmdk",
        "Clicked-appliance.mf",
    ]


def open_export(page: Page) -> None:
    page.locator("#vm-buttons summary[aria-label='More actions']").click()
    page.locator("#vm-buttons").get_by_text("Export", exact=True).click()
    expect(page.get_by_role("button", name="Export", exact=True)).to_be_visible()


def _try(lab: Lab, host_name: str, *arguments: str) -> None:
    host = next(host for host in lab.hosts if host.name == host_name)
    try:
        host.virsh(*arguments)
    except LabError:
        return
