"""axe finds nothing serious on any main screen, and no screen scrolls sideways, wide or narrow, light or dark."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from deploy.environment import REPOSITORY
from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.lab import Lab
from deploy.stack import Stack
from tests.browser.hosts_things import make_filter, make_secret, things_go
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
    "history": "/vms/{uuid}/history/",
    "access": "/vms/{uuid}/access/",
    "hosts": "/hypervisors/",
    "host": "/hypervisors/{host}/",
    "a host's machines": "/hypervisors/{host}/vms/",
    "pool": "/hypervisors/pools/{pool}/",
    "storage pools": "/hypervisors/{host}/storage/",
    "storage pool": "{storage}",
    "storage": "/storage/",
    "shared storage": "{shared}",
    "new storage pool": "/storage/pools/create/",
    "networks": "/networks/",
    "a network": "{network}",
    "add a host": "/hypervisors/add/",
    "images": "/images/",
    "operations": "/operations/",
    "appliances": "/appliances/new/",
    "people": "/people/",
    "a person": "/people/1/",
    "audit": "/audit/",
    "new machine": "/vms/new/",
    "new machine of a cloud image": "/vms/new/?method=cloud_image",
    "profile": "/profile/",
}
# What is seen in both widths and both colours, but not in each of the four.
MORE_SCREENS = {
    "take a snapshot": "/vms/{uuid}/snapshots/take/",
    "snapshot schedule": "/vms/{uuid}/snapshots/schedule/",
    "move": "/vms/{uuid}/migrate/",
    "delete": "/vms/{uuid}/delete/",
    "edit a storage pool": "{storage}edit/",
    "delete a storage pool": "{storage}delete/",
    "maintenance": "/hypervisors/{host}/admin-state/?state=maintenance",
    "export": "/vms/{uuid}/export/",
    "add a person": "/people/add/",
    "new volume": "{storage}volumes/create/",
    "new volume as XML": "{storage}volumes/create/xml/",
    "a volume": "{volume}",
    "a volume's XML": "{volume}xml/",
    "fetch": "{storage}fetch/",
    "processor": "/vms/{uuid}/hardware/?show=section:processor",
    "add a network card": "/vms/{uuid}/hardware/?show=add:interface",
    "a disk's XML": "/vms/{uuid}/hardware/?show=disk:vda&tab=xml",
    "remove a disk": "/vms/{uuid}/hardware/remove/?show=disk:vda",
    "move a disk": "/vms/{uuid}/disks/move/?disk=vda",
    "disk images": "/vms/{uuid}/disks/images/",
    "XML": "/vms/{uuid}/xml/",
    "go back to a snapshot": "{snapshot}revert/",
    "delete a snapshot": "{snapshot}delete/",
    "a snapshot's XML": "{snapshot}xml/",
    "a storage pool's XML": "{storage}xml/",
    "a host's networks": "/hypervisors/{host}/networks/",
    "a host's devices": "/hypervisors/{host}/devices/",
    "a host's secrets": "/hypervisors/{host}/secrets/",
    "new secret": "/hypervisors/{host}/secrets/create/",
    "another value of a secret": "{secret}",
    "new network": "/networks/create/",
    "edit a network": "{network}edit/",
    "delete a network": "{network}delete/",
    "a network's XML": "{network}xml/",
    "versions of a network's XML": "{network}xml/versions/",
    "map of networks": "/networks/map/",
    "network filters": "/networks/filters/?host={host}",
    "network filter": "{filter}",
    "new network filter": "/networks/filters/create/{host}/",
}
_MORE_SEEN = [("light", 1280), ("dark", 400)]


@pytest.fixture(scope="module")
def guest(lab: Lab, portal: Stack) -> Iterator[Guest]:
    with guest_with_snapshot(lab, "seen") as made:
        yield made


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_no_screen_shuts_anybody_out(page: Page, guest: Guest, scheme: str, width: int) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/vms/")
    see_state(page, guest.name, "Running")
    arguments = places(page, guest)
    faults: dict[str, object] = {}
    screens = SCREENS | MORE_SCREENS if (scheme, width) in _MORE_SEEN else SCREENS
    for screen, path in screens.items():
        answer = page.goto(path.format(**arguments))
        assert answer is not None
        assert answer.ok, f"{screen}: {answer.status}"
        expect(page.get_by_role("heading", level=1).first).to_be_attached()
        found = serious_faults(page)
        wide = page.evaluate("document.documentElement.scrollWidth")
        if found or wide > width:
            faults[screen] = [*found, f"{wide} px wide"]
    assert faults == {}


@contextmanager
def guest_with_snapshot(lab: Lab, name: str) -> Iterator[Guest]:
    """One that runs, and whose disk is two images since a snapshot was taken. What `places` made goes with it."""
    made = define_guest(lab.hosts[0], name, start=False)
    overlay = Path(f"{made.disk_path}.later")
    try:
        disk = f"vda,file={overlay}"
        lab.hosts[0].virsh("snapshot-create-as", made.uuid, "before", "--disk-only", "--diskspec", disk)
        lab.hosts[0].virsh("start", made.uuid)
        # So that its disk is a volume.
        lab.hosts[0].virsh("pool-refresh", "shared")
        yield made
    finally:
        remove_guest(lab.hosts, made)
        overlay.unlink(missing_ok=True)
        things_go(lab.hosts[0], name)


def places(page: Page, guest: Guest) -> dict[str, str]:
    """What stands in the braces of `SCREENS` and `MORE_SCREENS`."""
    page.goto("/vms/")
    host = page.locator(".vp-host[data-host]").first.get_attribute("data-host")
    page.goto(f"/hypervisors/{host}/storage/")
    storage = page.get_by_role("link", name="shared").get_attribute("href")
    pool = page.locator(".vp-pretitle a").last.get_attribute("href")
    assert storage is not None
    page.goto(storage)
    volumes = page.locator("main a[href^='/storage/volumes/']").filter(has_text=Path(guest.disk_path).name)
    volume = volumes.first.get_attribute("href", timeout=60_000)
    page.goto("/storage/")
    shared = page.get_by_role("link", name="shared", exact=True).get_attribute("href")
    page.goto(f"/vms/{guest.uuid}/snapshots/")
    snapshot = page.locator(".vp-snapshot-lines a").get_attribute("href", timeout=60_000)
    assert host is not None
    page.goto(f"/hypervisors/{host}/networks/")
    network = page.locator("main").get_by_role("link", name="default", exact=True).get_attribute("href")
    assert snapshot is not None
    assert network is not None
    assert volume is not None
    assert pool is not None
    assert shared is not None
    pool = pool.rstrip("/").rpartition("/")[2]
    return {
        "uuid": guest.uuid,
        "host": host,
        "storage": storage,
        "volume": volume,
        "pool": pool,
        "shared": shared,
        "snapshot": f"/snapshots/{snapshot.rpartition('=')[2]}/",
        "network": network,
        "filter": make_filter(page, host, guest.name),
        "secret": make_secret(page, host, guest.name),
    }


def serious_faults(page: Page) -> list[str]:
    page.evaluate(AXE)
    found = page.evaluate("axe.run({resultTypes: ['violations'], rules: {'target-size': {enabled: true}}})")
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
