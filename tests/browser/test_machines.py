"""The judges' round: what virsh does shows up, a console takes typing, and a machine moves while its counter counts."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.lab import Lab
from tests.browser.people import (
    SEEN_MS,
    confirm,
    log_of,
    open_console,
    open_machine,
    press,
    row,
    see_console,
    see_heading_state,
    see_state,
    type_command,
    wait_for,
)

# All that an element says, as it changes.
_WORDS_FROM_NOW_ON = """element => {
  const said = [];
  const note = () => { if (/Cancel/.test(element.textContent) || said.length) said.push(element.textContent); };
  new MutationObserver(note).observe(element, {childList: true});
  return said;
}"""


@pytest.fixture
def guest(lab: Lab) -> Iterator[Guest]:
    """A running one on the first host."""
    made = define_guest(lab.hosts[0], "web1", start=True)
    yield made
    remove_guest(lab.hosts, made)


@pytest.fixture
def guest_that_is_off(lab: Lab) -> Iterator[Guest]:
    made = define_guest(lab.hosts[0], "db1", start=False)
    yield made
    remove_guest(lab.hosts, made)


def test_the_tree_shows_both_hosts_online(page: Page, lab: Lab) -> None:
    page.goto("/vms/")
    for host in lab.hosts:
        branch = page.locator(".vp-host").filter(has_text=host.name)
        expect(branch.locator(".vp-branch-row")).to_contain_text("Online", timeout=SEEN_MS)


def test_a_host_shows_its_load_and_draws_its_last_hour(page: Page, lab: Lab) -> None:
    page.goto("/hypervisors/")
    page.locator("main").get_by_role("link", name=lab.hosts[0].name).first.click()
    expect(page.locator("vp-host-charts canvas")).to_have_count(2, timeout=SEEN_MS)
    expect(page.locator("main")).to_contain_text("Plain emulation")


def test_a_page_that_is_open_follows_virsh(page: Page, lab: Lab, guest_that_is_off: Guest) -> None:
    host, name, uuid = lab.hosts[0], guest_that_is_off.name, guest_that_is_off.uuid
    page.goto("/vms/")
    page.evaluate("window.notReloaded = true")
    see_state(page, name, "Off")
    host.virsh("start", uuid)
    see_state(page, name, "Running")
    host.virsh("suspend", uuid)
    see_state(page, name, "Paused")
    host.virsh("resume", uuid)
    see_state(page, name, "Running")
    host.virsh("destroy", uuid)
    see_state(page, name, "Off")
    host.virsh("domrename", uuid, "db1-renamed")
    see_state(page, "db1-renamed", "Off")
    host.virsh("domrename", uuid, name)
    see_state(page, name, "Off")
    definition = host.virsh("dumpxml", uuid)
    host.virsh("undefine", uuid)
    expect(row(page, name)).to_have_count(0, timeout=SEEN_MS)
    (host.lab.directory / "again.xml").write_text(definition)
    host.virsh("define", str(host.lab.directory / "again.xml"))
    see_state(page, name, "Off")
    assert page.evaluate("window.notReloaded")


def test_start_and_type_into_the_screen_and_force_off(page: Page, lab: Lab, guest_that_is_off: Guest) -> None:
    guest = guest_that_is_off
    open_machine(page, guest)
    press(page, "Start")
    see_heading_state(page, "Running")
    assert lab.hosts[0].virsh("domstate", guest.uuid).strip() == "running"
    open_console(page, guest)
    type_command(page, guest, "echo typed-here > /dev/ttyS0", until="typed-here")
    page.locator("#vm-buttons summary[aria-label='Other ways to stop']").click()
    press(page, "Force off")
    confirm(page, guest.name)
    see_heading_state(page, "Off")
    assert lab.hosts[0].virsh("domstate", guest.uuid).strip() == "shut off"
    expect(page.locator("vp-console")).to_contain_text("The machine is off", timeout=SEEN_MS)


def test_a_machine_moves_by_click_while_it_counts_and_is_typed_into(page: Page, lab: Lab, guest: Guest) -> None:
    source, target = lab.hosts[:2]
    open_console(page, guest)
    type_command(page, guest, "echo before-it-moves > /dev/ttyS0", until="before-it-moves")
    counted = guest.counts()[-1]
    press(page, "Migrate…")
    dialog = page.locator("dialog#dialog[open]")
    expect(dialog).to_contain_text(guest.name)
    here = dialog.locator(".vp-target").filter(has_text=source.name)
    expect(here.get_by_role("radio")).to_be_disabled()
    dialog.locator(".vp-target").filter(has_text=target.name).get_by_role("radio").check()
    dialog.get_by_role("button", name="Migrate", exact=True).click()
    task = page.locator(".vp-task").filter(has_text=guest.name).first
    expect(task).to_contain_text(f"runs on {target.name}", ignore_case=True, timeout=60_000)
    expect(page.locator(".vp-pretitle, .page-pretitle, main").first).to_contain_text(target.name, timeout=SEEN_MS)
    assert target.virsh("domstate", guest.uuid).strip() == "running"
    assert guest.uuid not in source.virsh("list", "--all", "--uuid")
    see_console(page)
    type_command(page, guest, "echo after-it-moved > /dev/ttyS0", until="after-it-moved")
    wait_for(page, lambda: guest.counts()[-1] > counted)
    numbers = guest.counts()
    assert guest.boots() == 1, log_of(guest)[-2000:]
    assert numbers == sorted(numbers), "the counter was reset"


def test_a_move_that_is_cancelled_by_click_leaves_the_machine_where_it_ran(page: Page, lab: Lab, guest: Guest) -> None:
    source, target = lab.hosts[:2]
    guest.wait_until_counting()
    # Slow enough to be stopped half-way.
    source.virsh("migrate-setspeed", guest.uuid, "1")
    open_console(page, guest)
    press(page, "Migrate…")
    dialog = page.locator("dialog#dialog[open]")
    dialog.locator(".vp-target").filter(has_text=target.name).get_by_role("radio").check()
    dialog.get_by_role("button", name="Migrate", exact=True).click()
    task = page.locator(".vp-task").filter(has_text=guest.name).first
    expect(task).to_contain_text(re.compile(r"MiB/s|KiB/s"), timeout=SEEN_MS)
    said = task.locator(".vp-task-outcome").evaluate_handle(_WORDS_FROM_NOW_ON)
    task.get_by_role("button", name="Cancel").click()
    expect(task).to_contain_text(f"It still runs on {source.name}.", timeout=SEEN_MS)
    expect(task).to_contain_text("Cancelled")
    *while_it_ended, _ = said.json_value()
    assert while_it_ended
    assert all(words.startswith("Cancelling…") for words in while_it_ended)
    assert source.virsh("domstate", guest.uuid).strip() == "running"
    wait_for(page, lambda: guest.uuid not in target.virsh("list", "--all", "--uuid"))
    see_console(page)
    type_command(page, guest, "echo still-here > /dev/ttyS0", until="still-here")
    guest.wait_until_counting()
    assert guest.boots() == 1


def test_names_that_bite_are_shown_as_they_are(page: Page, lab: Lab) -> None:
    names = ['o\'brien "q" 100%', "<b>bold", "café 🚀", "n" * 200]
    guests = [define_guest(lab.hosts[0], name, start=False) for name in names]
    try:
        page.goto("/vms/")
        for name in names:
            see_state(page, name, "Off")
            expect(row(page, name).locator(".c-name a")).to_have_text(name)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 1280
        open_machine(page, guests[1])
    finally:
        for made in guests:
            remove_guest(lab.hosts, made)


def test_several_are_started_and_forced_off_at_once(page: Page, lab: Lab) -> None:
    guests = [define_guest(lab.hosts[number % 2], f"bulk{number}", start=False) for number in range(3)]
    try:
        page.goto("/vms/?q=bulk")
        for made in guests:
            see_state(page, made.name, "Off")
        page.evaluate("document.querySelector('.vp-bulk').dataset.most = 2")
        page.get_by_label("Select this page").check()
        expect(page.locator(".vp-bulk").get_by_role("button", name="Start")).to_be_disabled()
        expect(page.locator(".vp-bulk")).to_contain_text("narrow the list")
        page.get_by_label("Select this page").uncheck()
        page.evaluate("document.querySelector('.vp-bulk').dataset.most = 3")
        page.get_by_label("Select this page").check()
        before = row(page, "bulk1").bounding_box()
        page.get_by_label("Select this page").uncheck()
        assert row(page, "bulk1").bounding_box() == before
        page.get_by_label("Select this page").check()
        page.locator(".vp-bulk").get_by_role("button", name="Start").click()
        confirm_many(page, "Start: 3 machines", "bulk1")
        for made in guests:
            see_state(page, made.name, "Running")
        if not page.get_by_label("Select this page").is_checked():
            page.get_by_label("Select this page").check()
        page.locator(".vp-bulk").get_by_role("button", name="Force off").click()
        confirm_many(page, "Force off: 3 machines", "bulk1")
        for made in guests:
            see_state(page, made.name, "Off")
        _see_one_task_for_all(page, [made.name for made in guests])
    finally:
        for made in guests:
            remove_guest(lab.hosts, made)


def confirm_many(page: Page, title: str, name: str) -> None:
    """Say yes to the question about many, which names them."""
    dialog = page.locator("#dialog[open]")
    expect(dialog.get_by_role("heading")).to_have_text(title)
    expect(dialog).to_contain_text(name)
    dialog.locator("[type=submit]").click()
    expect(dialog).to_have_count(0)
    expect(page.locator(".vp-bulk")).to_be_hidden()


def _see_one_task_for_all(page: Page, names: list[str]) -> None:
    """The drawer has one line for the bulk request, which opens into its parts."""
    if page.locator(".vp-tasks").is_hidden():
        page.keyboard.press("t")
    parent = page.locator(".vp-tasks-rows > .vp-task.is-parent").first
    expect(parent).to_contain_text("Force off")
    expect(parent).to_contain_text("3 virtual machines")
    expect(parent).to_contain_text("3 done.", timeout=SEEN_MS)
    parent.get_by_role("button", name="Show each of them").click()
    for name in names:
        expect(parent.locator(".vp-task-children .vp-task").filter(has_text=name)).to_contain_text("It is off.")
    parent.get_by_role("button", name="Show each of them").click()
    expect(parent.locator(".vp-task-children .vp-task")).to_have_count(0)
    parent.get_by_role("link", name="3 virtual machines").click()
    for name in names:
        expect(page.locator(".vp-operations tbody tr").filter(has_text=name)).to_contain_text("It is off.")
