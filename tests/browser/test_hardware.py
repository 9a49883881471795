"""A machine's hardware by click: what is added, changed and taken away is so for virsh, and who comes late is told."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.host import Host
from deploy.lab.lab import Lab
from tests.browser.people import confirm, open_machine, wait_for
from tests.lab.domains.test_creation import iso_image

SEEN_MS = 60_000
SECONDS = 60
POOL = "shared"
VOLUMES = ("wired-data.qcow2", "wired.iso")


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    return lab.hosts[0]


@pytest.fixture(scope="module")
def guest(lab: Lab, host: Host) -> Iterator[Guest]:
    """A running one with 2 vCPUs and an empty CD drive, and an image for that in its host's storage."""
    made = define_guest(host, "wired1", vcpu_count=2, start=False)
    try:
        host.virsh("attach-disk", made.uuid, "", "sda", "--targetbus", "sata", "--type", "cdrom", "--config")
        (host.lab.pool_path / "wired.iso").write_bytes(iso_image())
        host.virsh("pool-refresh", POOL)
        host.virsh("start", made.uuid)
        made.wait_until_counting()
        yield made
    finally:
        remove_guest(lab.hosts, made)
        for volume in VOLUMES:
            (host.lab.pool_path / volume).unlink(missing_ok=True)
        for one in lab.hosts:
            one.virsh("pool-refresh", POOL)


@pytest.fixture(scope="module")
def idle(lab: Lab, host: Host) -> Iterator[Guest]:
    """One that is off."""
    made = define_guest(host, "wired2", start=False)
    yield made
    remove_guest(lab.hosts, made)


def xml_of(host: Host, guest: Guest, *options: str) -> ElementTree.Element:
    return ElementTree.fromstring(host.virsh("dumpxml", guest.uuid, *options))


def said(host: Host, guest: Guest, path: str, attribute: str) -> tuple[list[str], list[str]]:
    """What the attribute says at the path, in what runs and in what is stored."""
    both = (xml_of(host, guest), xml_of(host, guest, "--inactive"))
    live, stored = ([element.get(attribute, "") for element in xml.findall(path)] for xml in both)
    return list(filter(None, live)), list(filter(None, stored))


def open_part(page: Page, guest: Guest, show: str) -> None:
    open_machine(page, guest, f"hardware/?show={show}")
    expect(page.locator(f'#hardware-pane [data-show="{show}"]').first).to_be_visible(timeout=SEEN_MS)
    # What is typed before the page's script runs is nothing that it could see as typed.
    expect(page.locator("vp-hardware:defined")).to_be_visible(timeout=SEEN_MS)


def see_storage(page: Page, guest: Guest, host: Host, show: str, name: str) -> None:
    """Wait until the form offers it: what a host has is read some time after it is there."""

    def is_offered() -> bool:
        if name in page.request.get(f"/vms/{guest.uuid}/hardware/part/?show={show}").text():
            return True
        host.virsh("pool-refresh", POOL)
        page.wait_for_timeout(2_000)
        return False

    open_machine(page, guest)
    wait_for(page, is_offered, seconds=3 * SECONDS)


def listed(page: Page, name: str) -> Locator:
    return page.locator("#vm-hardware-list a").filter(has_text=name)


def apply(page: Page, name: str = "Apply") -> None:
    page.locator("#hardware-pane").get_by_role("button", name=name, exact=True).click()


def test_a_disk_and_a_card_are_plugged_into_a_running_guest_and_the_disk_is_taken_out(
    page: Page, guest: Guest, host: Host
) -> None:
    see_storage(page, guest, host, "add:disk", f">{POOL} · ")
    open_part(page, guest, "section:general")
    page.get_by_role("link", name="Add hardware").click()
    page.locator("#hardware-pane").get_by_role("link", name="Disk", exact=False).first.click()
    expect(page.locator("#hardware-title")).to_contain_text("Add: Disk", timeout=SEEN_MS)
    form = page.locator("#hardware-pane form.vp-hardware-form")
    form.get_by_label("Storage pool", exact=True).first.select_option(label=_option(form, "Storage pool", POOL))
    form.get_by_role("textbox", name="Name of the volume optional").fill("wired-data.qcow2")
    form.get_by_label("Size", exact=True).fill("64")
    form.get_by_label("Size: unit").select_option("MiB")
    expect(form).to_contain_text("Applies now")
    apply(page, "Add")
    # The page goes on to what was added.
    expect(page.locator("#hardware-title")).to_contain_text("Disk vdb", timeout=SEEN_MS)
    assert said(host, guest, "devices/disk[@device='disk']/target", "dev") == (["vda", "vdb"], ["vda", "vdb"])
    wait_for(page, lambda: "vdb" in guest.devices(), seconds=SECONDS)

    open_part(page, guest, "add:interface")
    form = page.locator("#hardware-pane form.vp-hardware-form")
    form.get_by_label("Network", exact=True).select_option("default")
    apply(page, "Add")
    wait_for(
        page, lambda: [len(side) for side in said(host, guest, "devices/interface", "type")] == [2, 2], seconds=SECONDS
    )
    expect(listed(page, "Network card")).to_have_count(2, timeout=SEEN_MS)

    open_part(page, guest, "disk:vdb")
    page.locator("#hardware-pane").get_by_role("link", name="Remove").or_(
        page.locator("#hardware-pane").get_by_role("button", name="Remove")
    ).click()
    dialog = page.locator("dialog#dialog[open]")
    expect(dialog).to_contain_text("Remove Disk vdb of “wired1”?")
    dialog.get_by_label("Take it away also").check()
    dialog.get_by_role("button", name="Remove", exact=True).click()
    wait_for(
        page,
        lambda: said(host, guest, "devices/disk[@device='disk']/target", "dev") == (["vda"], ["vda"]),
        seconds=SECONDS,
    )
    expect(listed(page, "Disk vdb")).to_have_count(0, timeout=SEEN_MS)


def _option(form: Locator, label: str, beginning: str) -> str:
    """The text of the choice that begins so."""
    texts = form.get_by_label(label, exact=True).first.locator("option").all_inner_texts()
    return next(text for text in texts if text.startswith(beginning))


def test_a_medium_is_put_into_a_drive_and_taken_out_again(page: Page, guest: Guest, host: Host) -> None:
    see_storage(page, guest, host, "disk:sda", "wired.iso")
    open_part(page, guest, "disk:sda")
    expect(page.locator(".vp-media")).to_contain_text("It is empty")
    page.get_by_label("It is empty").select_option(label=_option(page.locator(".vp-media"), "It is empty", "wired.iso"))
    page.get_by_role("button", name="Insert").click()
    expect(page.locator(".vp-media")).to_contain_text("In it: wired.iso", timeout=SEEN_MS)
    path = str(host.lab.pool_path / "wired.iso")
    assert said(host, guest, "devices/disk[@device='cdrom']/source", "file") == ([path], [path])
    page.get_by_role("button", name="Eject", exact=True).click()
    expect(page.locator(".vp-media")).to_contain_text("It is empty", timeout=SEEN_MS)
    assert said(host, guest, "devices/disk[@device='cdrom']/source", "file") == ([], [])


def test_memory_is_changed_now_and_for_the_next_start(page: Page, guest: Guest, host: Host) -> None:
    open_part(page, guest, "section:memory")
    page.get_by_label("Memory now", exact=True).fill("80")
    expect(page.locator("#hardware-timing")).to_contain_text("Applies now", timeout=SEEN_MS)
    apply(page)
    wait_for(
        page, lambda: xml_of(host, guest, "--inactive").findtext("currentMemory") == str(80 * 1024), seconds=SECONDS
    )


def test_what_cannot_be_plugged_in_waits_for_the_next_start_and_can_be_thrown_away(
    page: Page, guest: Guest, host: Host
) -> None:
    open_part(page, guest, "add:sound")
    expect(page.locator("#hardware-timing")).to_contain_text("Applies at the next start: ")
    apply(page, "Add")
    expect(listed(page, "Sound card")).to_contain_text("at next start", timeout=SEEN_MS)
    assert said(host, guest, "devices/sound", "model") == ([], ["ich9"])
    banner = page.locator("#vm-pending")
    expect(banner).to_contain_text("for the next start", timeout=SEEN_MS)
    banner.get_by_role("button", name="Revert").click()
    expect(page.locator("vp-confirm dialog[open]")).to_contain_text("Sound card")
    confirm(page, guest.name)
    expect(banner.get_by_role("status")).to_have_count(0, timeout=SEEN_MS)
    expect(listed(page, "Sound card")).to_have_count(0, timeout=SEEN_MS)
    assert said(host, guest, "devices/sound", "model") == ([], [])


def test_another_topology_waits_until_the_guest_was_shut_down_and_started(page: Page, guest: Guest, host: Host) -> None:
    open_part(page, guest, "section:processor")
    for label, number in (("Sockets", "2"), ("Cores in each die", "1"), ("Threads in each core", "1")):
        page.get_by_label(label, exact=True).fill(number)
    expect(page.locator("#hardware-timing")).to_contain_text("Applies at the next start", timeout=SEEN_MS)
    apply(page)
    expect(listed(page, "Processor")).to_contain_text("at next start", timeout=SEEN_MS)
    assert said(host, guest, "cpu/topology", "sockets") == ([], ["2"])
    page.locator("#vm-pending").get_by_role("link", name="See which").click()
    expect(page.locator("#hardware-pane table")).to_contain_text("Sockets", timeout=SEEN_MS)
    page.locator("#vm-pending").get_by_role("button", name="Shut down and start").click()
    confirm(page, guest.name)
    wait_for(page, lambda: said(host, guest, "cpu/topology", "sockets") == (["2"], ["2"]), seconds=2 * SECONDS)
    expect(page.locator("#vm-pending").get_by_role("status")).to_have_count(0, timeout=SEEN_MS)


def test_the_second_of_two_people_is_told_and_overwrites_nothing(
    page: Page, chromium: Browser, idle: Guest, host: Host
) -> None:
    open_part(page, idle, "section:general")
    page.get_by_label("Description", exact=True).fill("typed by the second")
    # The other one is virsh, or somebody's browser: both change the stored definition.
    context = chromium.new_context(
        base_url=page.url.partition("/vms/")[0],
        storage_state=page.context.storage_state(),
        viewport={"width": 1280, "height": 800},
    )
    try:
        first = context.new_page()
        open_part(first, idle, "section:general")
        first.get_by_label("Title", exact=True).fill("by the first")
        apply(first)
        wait_for(first, lambda: xml_of(host, idle, "--inactive").findtext("title") == "by the first", seconds=SECONDS)
    finally:
        context.close()
    expect(page.locator(".vp-hardware-meanwhile")).to_be_visible(timeout=SEEN_MS)
    expect(page.get_by_label("Description", exact=True)).to_have_value("typed by the second")
    apply(page)
    expect(page.locator(".vp-hardware-conflict")).to_contain_text("Title: –, now by the first", timeout=SEEN_MS)
    expect(page.get_by_label("Title", exact=True)).to_have_value("by the first")
    apply(page)
    wait_for(
        page, lambda: xml_of(host, idle, "--inactive").findtext("description") == "typed by the second", seconds=SECONDS
    )
    assert xml_of(host, idle, "--inactive").findtext("title") == "by the first"


def test_what_is_typed_is_kept_until_it_is_applied_or_cancelled(page: Page, idle: Guest, host: Host) -> None:
    open_part(page, idle, "section:general")
    title = page.get_by_label("Title", exact=True)
    title.fill("not yet")
    expect(listed(page, "General")).to_contain_text("edited, not applied")
    # To another part, which is edited too, and to another tab of the machine.
    listed(page, "Disk vda").click()
    expect(page.locator("#hardware-title")).to_contain_text("Disk vda", timeout=SEEN_MS)
    page.get_by_label("Cache", exact=True).select_option("writeback")
    expect(listed(page, "Disk vda")).to_contain_text("edited, not applied")
    page.get_by_role("link", name="Overview", exact=True).click()
    expect(page.locator("vp-hardware")).to_have_count(0, timeout=SEEN_MS)
    page.get_by_role("link", name="Hardware", exact=True).click()
    expect(title).to_have_value("not yet", timeout=SEEN_MS)
    # What virsh does meanwhile takes nothing away, and is said.
    host.virsh("desc", idle.uuid, "--config", "by virsh")
    expect(page.locator(".vp-hardware-meanwhile")).to_be_visible(timeout=SEEN_MS)
    expect(title).to_have_value("not yet")
    title.press("Escape")
    page.locator("vp-confirm dialog[open]").get_by_role("button", name="Discard").click()
    expect(title).not_to_have_value("not yet", timeout=SEEN_MS)
    expect(listed(page, "General")).not_to_contain_text("edited")
    # The disk is none of what virsh has changed: it is applied as it was typed.
    listed(page, "Disk vda").click()
    cache = page.get_by_label("Cache", exact=True)
    expect(cache).to_have_value("writeback", timeout=SEEN_MS)
    expect(page.locator(".vp-hardware-meanwhile")).to_be_hidden()
    cache.press("Control+Enter")
    wait_for(
        page,
        lambda: said(host, idle, "devices/disk/driver", "cache") == (["writeback"], ["writeback"]),
        seconds=SECONDS,
    )
    expect(listed(page, "Disk vda")).not_to_contain_text("edited", timeout=SEEN_MS)


def test_who_leaves_the_page_with_something_typed_is_asked(page: Page, idle: Guest) -> None:
    open_part(page, idle, "section:general")
    page.get_by_label("Title", exact=True).fill("not yet")
    expect(listed(page, "General")).to_contain_text("edited, not applied", timeout=SEEN_MS)
    with page.expect_event("dialog", timeout=SEEN_MS) as asked:
        page.on("dialog", lambda dialog: dialog.accept())
        page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"


def test_what_virsh_changes_is_shown_at_once_where_nobody_types(page: Page, idle: Guest, host: Host) -> None:
    open_part(page, idle, "section:general")
    host.virsh("desc", idle.uuid, "--title", "--config", "by virsh")
    expect(page.get_by_label("Title", exact=True)).to_have_value("by virsh", timeout=SEEN_MS)


def test_the_boot_order_is_changed_by_keyboard_alone(page: Page, idle: Guest, host: Host) -> None:
    open_part(page, idle, "section:boot")
    card = page.locator("vp-boot-order li").filter(has_text="Network card")
    card.get_by_role("checkbox").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("vp-boot-order li").first).to_contain_text("Network card")
    apply_button = page.locator("#hardware-pane").get_by_role("button", name="Apply", exact=True)
    for _ in range(40):
        page.keyboard.press("Tab")
        if apply_button.evaluate("button => button === document.activeElement"):
            break
    page.keyboard.press("Enter")
    wait_for(page, lambda: _boots(host, idle) == ["interface", "disk"], seconds=SECONDS)


def _boots(host: Host, guest: Guest) -> list[str]:
    """Tags of the devices that it boots from, in order."""
    devices = xml_of(host, guest, "--inactive").find("devices")
    assert devices is not None
    found = [(boot.get("order", ""), device.tag) for device in devices for boot in device.findall("boot")]
    return [tag for _order, tag in sorted(found)]


def test_on_a_phone_one_sees_the_list_or_a_part_of_it(page: Page, idle: Guest) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    open_machine(page, idle, "hardware/")
    expect(page.locator("#hardware-pane")).to_be_hidden()
    listed(page, "Disk vda").click()
    expect(page.locator("#hardware-title")).to_contain_text(re.compile("Disk vda"), timeout=SEEN_MS)
    expect(page.locator("#vm-hardware-list")).to_be_hidden()
    page.get_by_role("link", name="Hardware").last.click()
    expect(page.locator("#vm-hardware-list")).to_be_visible()
