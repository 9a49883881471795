"""axe finds nothing serious on any main screen, and no screen scrolls sideways, wide or narrow, light or dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from deploy.environment import REPOSITORY
from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.lab import Lab
from deploy.stack import Stack
from tests.browser.people import see_state

AXE = (Path(REPOSITORY) / "node_modules/axe-core/axe.min.js").read_text()
SCREENS = {
    "list": "/vms/",
    "machine": "/vms/{uuid}/",
    "console": "/vms/{uuid}/screen/",
    "a disk": "/vms/{uuid}/hardware/?show=disk:vda",
    "add hardware": "/vms/{uuid}/hardware/?show=add",
    "boot order": "/vms/{uuid}/hardware/?show=section:boot",
    "snapshots": "/vms/{uuid}/snapshots/",
    "take a snapshot": "/vms/{uuid}/snapshots/take/",
    "snapshot schedule": "/vms/{uuid}/snapshots/schedule/",
    "history": "/vms/{uuid}/history/",
    "access": "/vms/{uuid}/access/",
    "hosts": "/hypervisors/",
    "host": "/hypervisors/{host}/",
    "a host's machines": "/hypervisors/{host}/vms/",
    "pool": "/hypervisors/pools/{pool}/",
    "move": "/vms/{uuid}/migrate/",
    "delete": "/vms/{uuid}/delete/",
    "storage pools": "/hypervisors/{host}/storage/",
    "storage pool": "{storage}",
    "storage": "/storage/",
    "shared storage": "{shared}",
    "new storage pool": "/storage/pools/create/",
    "edit a storage pool": "{storage}edit/",
    "delete a storage pool": "{storage}delete/",
    "networks": "/networks/",
    "new network": "/networks/create/",
    "a network": "{network}",
    "edit a network": "{network}edit/",
    "map of networks": "/networks/map/",
    "network filters": "/networks/filters/",
    "new network filter": "/networks/filters/create/{host}/",
    "a host's devices": "/hypervisors/{host}/devices/",
    "a host's secrets": "/hypervisors/{host}/secrets/",
    "new secret": "/hypervisors/{host}/secrets/create/",
    "maintenance": "/hypervisors/{host}/admin-state/?state=maintenance",
    "add a host": "/hypervisors/add/",
    "images": "/images/",
    "operations": "/operations/",
    "appliances": "/appliances/new/",
    "export": "/vms/{uuid}/export/",
    "people": "/people/",
    "a person": "/people/1/",
    "add a person": "/people/add/",
    "audit": "/audit/",
    "new machine": "/vms/new/",
    "new machine of a cloud image": "/vms/new/?method=cloud_image",
    "new volume": "{storage}volumes/create/",
    "fetch": "{storage}fetch/",
    "profile": "/profile/",
}


@pytest.fixture(scope="module")
def guest(lab: Lab, portal: Stack) -> Iterator[Guest]:
    made = define_guest(lab.hosts[0], "seen", start=True)
    yield made
    remove_guest(lab.hosts, made)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_no_screen_shuts_anybody_out(page: Page, guest: Guest, scheme: str, width: int) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/vms/")
    see_state(page, guest.name, "Running")
    arguments = places(page, guest)
    faults: dict[str, object] = {}
    for screen, path in SCREENS.items():
        answer = page.goto(path.format(**arguments))
        assert answer is not None
        assert answer.ok, f"{screen}: {answer.status}"
        expect(page.get_by_role("heading", level=1).first).to_be_attached()
        found = serious_faults(page)
        wide = page.evaluate("document.documentElement.scrollWidth")
        if found or wide > width:
            faults[screen] = [*found, f"{wide} px wide"]
    assert faults == {}


def places(page: Page, guest: Guest) -> dict[str, str]:
    """What stands in the braces of `SCREENS`."""
    page.goto("/vms/")
    host = page.locator(".vp-host[data-host]").first.get_attribute("data-host")
    page.goto(f"/hypervisors/{host}/storage/")
    storage = page.get_by_role("link", name="shared").get_attribute("href")
    pool = page.locator(".vp-pretitle a").last.get_attribute("href")
    page.goto("/storage/")
    shared = page.get_by_role("link", name="shared", exact=True).get_attribute("href")
    page.goto(f"/hypervisors/{host}/networks/")
    network = page.get_by_role("link", name="default", exact=True).get_attribute("href")
    assert host is not None
    assert network is not None
    assert storage is not None
    assert pool is not None
    assert shared is not None
    pool = pool.rstrip("/").rpartition("/")[2]
    return {"uuid": guest.uuid, "host": host, "storage": storage, "pool": pool, "shared": shared, "network": network}


def serious_faults(page: Page) -> list[str]:
    page.evaluate(AXE)
    found = page.evaluate("axe.run({resultTypes: ['violations'], rules: {'target-size': {enabled: true}}})")
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
