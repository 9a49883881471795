"""New virtual machines as people make them: on one page in a browser, from click to a system that runs."""

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from deploy.lab.cloud_image import cached_cloud_image
from deploy.lab.host import Host
from deploy.lab.installer_iso import FILE_NAME, cached_installer_iso
from deploy.lab.lab import Lab
from deploy.lab.process import LabError
from deploy.stack import Stack
from tests.browser.people import SEEN_MS, see_console, see_heading_state, wait_for

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDpX235ytvSD2WGdcRID3mWlplnMDx455TgVBNFbzCrK anna@desk"
CLOUD_IMAGE, SMALL_IMAGE = "debian-12-cloud.qcow2", "small.qcow2"
# What the screen shows of one colour, as its part of the whole.
_SHARE_OF_COLOUR = """
(canvas, colour) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (colour.every((part, index) => Math.abs(data[at + index] - part) < 24)) count += 1;
  }
  return 4 * count / data.length;
}
"""


class Library:
    """The lab's shared storage, as the portal has seen it by now; what is made in it is taken away."""

    def __init__(self, lab: Lab, portal: Stack) -> None:
        self.lab = lab
        self.hosts: list[Host] = list(lab.hosts)
        self._portal = portal
        self._before = (set(self.names()), {path.name for path in lab.plan.pool_path.iterdir()})

    def names(self) -> list[str]:
        texts = [host.virsh("list", "--all", "--name") for host in self.hosts]
        return [name for text in texts for name in text.split() if name]

    def host_of(self, name: str) -> Host:
        return next(host for host in self.hosts if name in host.virsh("list", "--all", "--name").split())

    def files(self) -> set[str]:
        return {path.name for path in self.lab.plan.pool_path.iterdir()}

    def clean(self) -> None:
        for name in set(self.names()) - self._before[0]:
            host = self.host_of(name)
            _try(host, "destroy", name)
            _try(host, "undefine", name, "--nvram")
        for name in self.files() - self._before[1]:
            (self.lab.plan.pool_path / name).unlink(missing_ok=True)
        for host in self.hosts:
            _try(host, "pool-refresh", "shared")


@pytest.fixture(scope="module")
def library(lab: Lab, portal: Stack) -> Iterator[Library]:
    found = Library(lab, portal)
    shutil.copy(cached_cloud_image(), lab.plan.pool_path / CLOUD_IMAGE)
    found.hosts[0].run("qemu-img", "create", "-q", "-f", "qcow2", str(lab.plan.pool_path / SMALL_IMAGE), "16M")
    for host in found.hosts:
        host.virsh("pool-refresh", "shared")
    yield found
    found.clean()


@pytest.fixture
def form(page: Page, library: Library) -> Locator:
    """The page, reached as people do; with the images that were put there behind the portal's back."""
    wait_for(page, lambda: _knows(page, SMALL_IMAGE) and _knows(page, CLOUD_IMAGE), seconds=60)
    page.goto("/vms/")
    page.get_by_role("link", name="New virtual machine").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("New virtual machine", timeout=SEEN_MS)
    return page.locator("#creation")


def test_debian_is_installed_from_an_image_that_is_uploaded_on_the_page(
    page: Page, form: Locator, library: Library
) -> None:
    form.get_by_role("button", name="Upload an ISO image…").click()
    page.locator("#create-upload input[type=file]").set_input_files(cached_installer_iso())
    expect(field(form, "iso").locator("option:checked")).to_contain_text(FILE_NAME, timeout=2 * SEEN_MS)
    expect(field(form, "system")).to_have_value("Debian 12", timeout=SEEN_MS)
    fill(form, "name", "installed")
    summary = page.locator("#creation-summary")
    expect(summary).to_contain_text("1 GiB", timeout=SEEN_MS)
    summary.get_by_role("button", name="Create and run").click()
    page.wait_for_url("**/vms/*-*/", timeout=2 * SEEN_MS)
    expect(page.get_by_role("heading", level=1)).to_contain_text("installed", timeout=SEEN_MS)
    expect(page.get_by_role("main")).to_contain_text(f"Installing from {FILE_NAME}", timeout=SEEN_MS)
    see_heading_state(page, "Running")
    page.goto(f"{page.url}screen/")
    see_console(page)
    screen = page.locator("vp-console canvas").first
    # newt's blue screen, most of it under a grey window with a red title: "[!!] Select a language".
    wait_for(page, lambda: _share(screen, 170, 170, 170) > 0.5, seconds=300)
    assert _share(screen, 0, 0, 170) > 0.05
    assert 0 < _share(screen, 170, 0, 0) < 0.1
    assert FILE_NAME in library.host_of("installed").virsh("domblklist", "installed")


def test_a_cloud_image_becomes_a_guest_with_all_that_the_form_says(page: Page, form: Locator, library: Library) -> None:
    choose(form, "Cloud image")
    select(form, "image", CLOUD_IMAGE)
    fill(form, "name", "cloudy")
    fill(form, "memory", "512", unit="MiB")
    fill(form, "user", "anna")
    fill(form, "ssh_keys", KEY)
    fill(form, "hostname", "cloudy.example")
    field(form, "interface-1-addressing").select_option("static")
    fill(form, "interface-1-address", "198.51.100.7/24")
    form.get_by_role("button", name="Create and run").click()
    page.wait_for_url("**/vms/*-*/", timeout=2 * SEEN_MS)
    guest = Guest(library.host_of("cloudy"), "cloudy")
    wait_for(page, guest.answers, seconds=240)
    wait_for(page, lambda: "done" in guest.run(page, "/usr/bin/cloud-init", "status"), seconds=120)
    assert guest.ask("guest-get-host-name")["host-name"].split(".")[0] == "cloudy"
    assert guest.run(page, "/bin/cat", "/home/anna/.ssh/authorized_keys").strip() == KEY
    assert "198.51.100.7/24" in guest.run(page, "/sbin/ip", "-4", "address")
    # The next guest is told the same without being asked.
    page.goto("/vms/new/?method=cloud_image")
    expect(field(form, "user")).to_have_value("anna", timeout=SEEN_MS)
    expect(field(form, "ssh_keys")).to_have_value(KEY, timeout=SEEN_MS)


def test_ten_are_made_at_once_on_top_of_one_image(page: Page, form: Locator, library: Library) -> None:
    choose(form, "Cloud image")
    select(form, "image", SMALL_IMAGE)
    fill(form, "name", "many-{nn}")
    fill(form, "count", "10")
    fill(form, "memory", "64", unit="MiB")
    expect(page.locator("#creation-summary")).to_contain_text("10 virtual machines", timeout=SEEN_MS)
    expect(page.locator("#creation-summary")).to_contain_text("many-01, many-02", timeout=SEEN_MS)
    form.get_by_role("button", name="Create and edit").click()
    page.wait_for_url("**/operations/*/", timeout=2 * SEEN_MS)
    expect(page.get_by_role("main")).to_contain_text("10 done.", timeout=3 * SEEN_MS)
    made = [name for name in library.names() if name.startswith("many-")]
    assert sorted(made) == [f"many-{number:02}" for number in range(1, 11)]
    host = library.host_of("many-10")
    disk = next(line.split()[-1] for line in host.virsh("domblklist", "many-10").splitlines() if ".qcow2" in line)
    assert json.loads(host.run("qemu-img", "info", "--output=json", disk))["backing-filename"].endswith(SMALL_IMAGE)


def test_two_clicks_make_one_machine_and_back_is_the_form(page: Page, form: Locator, library: Library) -> None:
    choose(form, "Network (PXE)")
    fill(form, "name", "clicked-twice")
    fill(form, "memory", "64", unit="MiB")
    form.get_by_role("button", name="Create and edit").dblclick()
    page.wait_for_url("**/vms/*-*/", timeout=2 * SEEN_MS)
    assert library.names().count("clicked-twice") == 1
    # The operation's page, which led on to the machine, is none to come back to.
    page.go_back()
    page.wait_for_url("**/vms/new/**", timeout=2 * SEEN_MS)
    page.goto("/operations/")
    expect(page.locator("#rows tbody tr, .vp-operations tbody tr").filter(has_text="clicked-twice")).to_have_count(
        1, timeout=SEEN_MS
    )


def test_what_is_wrong_is_said_while_it_is_typed_and_nothing_is_lost(page: Page, form: Locator) -> None:
    choose(form, "Network (PXE)")
    hostile = "a,b='\"<&]]>;$(x)`\\"
    form.get_by_text("Title and description").click()
    fill(form, "description", hostile)
    fill(form, "name", "no/such")
    expect(form.locator("#error-name")).to_contain_text("“/”", timeout=SEEN_MS)
    fill(form, "memory", "0")
    expect(form.locator("#error-memory")).to_contain_text("between 16 MiB and 16 TiB", timeout=SEEN_MS)
    fill(form, "interface-1-mac", "zz:zz")
    expect(form.locator("#error-interface-1-mac")).not_to_be_empty(timeout=SEEN_MS)
    form.get_by_role("button", name="Create and run").click()
    expect(field(form, "name")).to_be_focused(timeout=SEEN_MS)
    expect(field(form, "description")).to_have_value(hostile, timeout=SEEN_MS)
    expect(page.locator("#creation-summary")).to_contain_text("3 fields need another look", timeout=SEEN_MS)
    choose(form, "Cloud image")
    form.get_by_text("Packages and raw user-data").click()
    fill(form, "user_data", "a: [b")
    expect(form.locator("#error-user_data")).not_to_be_empty(timeout=SEEN_MS)
    fill(form, "user_data", "packages: [vim]")
    expect(form.locator("#error-user_data")).to_be_empty(timeout=SEEN_MS)


def test_a_machine_is_made_with_the_keyboard_alone(page: Page, form: Locator, library: Library) -> None:
    page.locator("#method-iso").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#method-pxe")).to_be_checked(timeout=SEEN_MS)
    tab_to(page, field(form, "name"))
    page.keyboard.press("Control+a")
    page.keyboard.type("typed")
    tab_to(page, field(form, "memory"))
    page.keyboard.press("Control+a")
    page.keyboard.type("64")
    page.keyboard.press("Tab")
    page.keyboard.type("MiB")
    expect(page.locator("#creation-summary")).to_contain_text("64 MiB", timeout=SEEN_MS)
    # Enter in a field checks, and makes nothing.
    page.keyboard.press("Enter")
    tab_to(page, form.get_by_role("button", name="Show XML"))
    page.keyboard.press("Enter")
    dialog = page.locator("dialog#dialog[open]")
    expect(dialog.locator("#creation-xml")).to_contain_text("<name>typed</name>", timeout=SEEN_MS)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    tab_to(page, form.get_by_role("button", name="Create and edit"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/vms/*-*/", timeout=2 * SEEN_MS)
    assert "shut off" in library.host_of("typed").virsh("domstate", "typed")


class Guest:
    """What its agent answers."""

    def __init__(self, host: Host, name: str) -> None:
        self._host, self._name = host, name

    def ask(self, command: str, **arguments: Any) -> Any:
        request = json.dumps({"execute": command, "arguments": arguments})
        return json.loads(self._host.virsh("qemu-agent-command", self._name, request))["return"]

    def answers(self) -> bool:
        try:
            self.ask("guest-ping")
        except LabError:
            return False
        return True

    def run(self, page: Page, *command: str) -> str:
        """What the command printed inside, once it has ended."""
        pid = self.ask("guest-exec", path=command[0], arg=list(command[1:]), **{"capture-output": True})["pid"]
        ended = wait_for(page, self._ending(pid), seconds=60)
        return base64.b64decode(ended.get("out-data", "")).decode()

    def _ending(self, pid: int) -> Callable[[], Any]:
        def ended() -> Any:
            status = self.ask("guest-exec-status", pid=pid)
            return status if status["exited"] else None

        return ended


def choose(form: Locator, method: str) -> None:
    form.locator(".vp-method", has_text=method).first.click()
    expect(form.locator(".vp-method", has_text=method).first.locator("input")).to_be_checked(timeout=SEEN_MS)


def field(form: Locator, name: str) -> Locator:
    return form.locator(f'[id="id_{name}"]')


def fill(form: Locator, name: str, text: str, *, unit: str = "") -> None:
    """A field of the form, and its unit."""
    field(form, name).fill(text)
    if unit:
        field(form, f"{name}_unit").select_option(unit)


def select(form: Locator, name: str, image: str) -> None:
    menu = field(form, name)
    menu.select_option(menu.locator("option", has_text=image).get_attribute("value"))


def tab_to(page: Page, wanted: Locator) -> None:
    for _ in range(80):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError("the Tab key does not lead there")


def _knows(page: Page, image: str) -> bool:
    return image in page.request.get("/vms/new/?method=cloud_image").text()


def _share(screen: Locator, *colour: int) -> float:
    return float(screen.evaluate(_SHARE_OF_COLOUR, list(colour)))


def _try(host: Host, *arguments: str) -> None:
    try:
        host.virsh(*arguments)
    except LabError:
        return
