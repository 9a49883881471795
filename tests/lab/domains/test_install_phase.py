"""The end of a machine's first boots on real hypervisors: media ejected, started again, seed gone."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from django.utils import timezone

from deploy.lab.boot_image import cached_boot_image
from hypervisors.models import Domain, Installation, Operation
from hypervisors.operations.domains.creation import install_phase
from hypervisors.operations.domains.creation.install_phase import look_at_installations
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.states import DomainState, OperationState
from tests.lab.domains.creations import Creator, counts_on, creator, run_to_end
from tests.lab.domains.test_creation import iso_image, succeeded
from tests.lab.portals import Portal
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ()
INACTIVE = "--inactive"


@pytest.fixture
def made(portal: Portal) -> Iterator[Creator]:
    with creator(portal) as found:
        yield found


def installing(made: Creator, name: str, **more: Any) -> Domain:
    """A machine that runs from its installer: the lab's kernel, which does what the test tells it."""
    medium = made.put("install.iso", format_="iso", content=iso_image())
    given = made.given(name, method="iso", install=True, media=[medium.pk], start=True, **more)
    succeeded(made.create(given))
    return row_of(name, state=DomainState.RUNNING)


def row_of(name: str, **fields: Any) -> Domain:
    row: Domain = wait_until(
        lambda: Domain.objects.filter(name=name, vanished_at=None, **fields).select_related("hypervisor").first()
    )
    return row


def finished(made: Creator, name: str) -> Operation:
    """What the house keeper asks for once it sees that the time has come."""
    wait_until(look_at_installations)
    operation = Operation.objects.unfinished().get(kind="finish_install", subject_name=name)
    return succeeded(run_to_end(operation))


def media_in(made: Creator, name: str, *options: str) -> list[str]:
    root = ElementTree.fromstring(made.host.virsh("dumpxml", name, *options))
    sources = [disk.find("source") for disk in root.iterfind("devices/disk[@device='cdrom']")]
    return [Path(source.get("file", "")).name for source in sources if source is not None and source.get("file")]


def test_a_guests_power_off_ends_its_installer_and_it_starts_from_its_disk(made: Creator) -> None:
    installing(made, "powers-off")
    assert look_at_installations() == 0
    assert counts_on(made.host, "powers-off")
    made.host.virsh("shutdown", "powers-off")
    row_of("powers-off", state=DomainState.SHUTOFF)
    operation = finished(made, "powers-off")
    assert "starts from its disk" in operation.outcome
    assert made.host.virsh("domstate", "powers-off") == "running"
    assert media_in(made, "powers-off", INACTIVE) == []
    assert "urn:vmportal:install" not in made.host.virsh("dumpxml", "powers-off", INACTIVE)
    # The drive itself, and its place in the boot order, stay.
    root = ElementTree.fromstring(made.host.virsh("dumpxml", "powers-off", INACTIVE))
    assert root.find("devices/disk[@device='cdrom']/boot").get("order") == "2"  # type: ignore[union-attr]
    assert Installation.objects.get().ended_at is not None


def test_a_reboot_ends_it_too_and_nothing_is_started(made: Creator) -> None:
    installing(made, "reboots")
    pid = made.host.qemu_pid("reboots")
    made.host.virsh("reset", "reboots")
    finished(made, "reboots")
    assert (media_in(made, "reboots"), media_in(made, "reboots", INACTIVE)) == ([], [])
    assert made.host.qemu_pid("reboots") == pid


def test_forced_off_it_is_left_alone_and_can_be_installed_again(made: Creator) -> None:
    domain = installing(made, "fails")
    made.host.virsh("destroy", "fails")
    domain = row_of("fails", state=DomainState.SHUTOFF)
    assert look_at_installations() == 0
    assert made.host.virsh("domstate", "fails") == "shut off"
    assert why_not(domain, "reinstall") == ""
    operation = request_operation(user=made.portal.alice, kind="reinstall", subject=domain)
    succeeded(run_to_end(operation))
    root = ElementTree.fromstring(made.host.virsh("dumpxml", "fails"))
    first = root.find("devices/*/boot[@order='1']/..")
    assert first is not None
    assert (first.get("device"), media_in(made, "fails")) == ("cdrom", ["install.iso"])
    # The next start is from the disk.
    root = ElementTree.fromstring(made.host.virsh("dumpxml", "fails", INACTIVE))
    assert root.find("devices/*/boot[@order='1']/..").get("device") == "disk"  # type: ignore[union-attr]
    row_of("fails", state=DomainState.RUNNING)
    assert counts_on(made.host, "fails")
    made.host.virsh("shutdown", "fails")
    row_of("fails", state=DomainState.SHUTOFF)
    assert "starts from its disk" in finished(made, "fails").outcome


def test_a_seed_without_an_agent_goes_after_half_an_hour_also_when_nobody_looked(
    made: Creator, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeeded(made.create(made.given("seeded", start=True, cloud_init={"user": "anna", "password": "geheim"})))
    row_of("seeded", state=DomainState.RUNNING)
    assert look_at_installations() == 0
    assert "seeded-seed.iso" in made.volumes()
    monkeypatch.setattr(install_phase, "SEED_PATIENCE", timedelta(seconds=0))
    finished(made, "seeded")
    assert "seeded-seed.iso" not in made.volumes()
    assert (media_in(made, "seeded"), media_in(made, "seeded", INACTIVE)) == ([], [])
    made.host.virsh("destroy", "seeded")
    made.host.virsh("start", "seeded")


def test_a_machine_that_was_deleted_is_forgotten(made: Creator) -> None:
    installing(made, "deleted")
    made.host.virsh("destroy", "deleted")
    made.host.virsh("undefine", "deleted")
    wait_until(lambda: Domain.objects.filter(name="deleted").exclude(vanished_at=None).exists())
    Installation.objects.update(started_at=timezone.now() - timedelta(minutes=3))
    look_at_installations()
    assert Installation.objects.get().outcome == "The machine is gone."


def test_a_tree_is_fetched_booted_and_its_kernel_deleted(made: Creator, tmp_path: Path, settings: Any) -> None:
    settings.FETCH_ALLOW = (ip_network("127.0.0.0/8"),)
    image = cached_boot_image()
    (tmp_path / "images/pxeboot").mkdir(parents=True)
    shutil.copy(image.kernel, tmp_path / "images/pxeboot/vmlinuz")
    shutil.copy(image.initramfs, tmp_path / "images/pxeboot/initrd.img")
    with serving(tmp_path) as url:
        given = made.given("from-tree", method="url_tree", tree_url=url, cmdline="console=tty1 quiet lab.name=tree")
        given["spec"] |= {"kernel_path": "", "initrd_path": "", "cmdline": ""}
        succeeded(made.create(given | {"install": True, "start": True}))
    running = ElementTree.fromstring(made.host.virsh("dumpxml", "from-tree"))
    assert (running.findtext("os/kernel") or "").endswith("/from-tree-kernel")
    assert running.findtext("os/cmdline") == f"inst.repo={url}/ console=tty1 quiet lab.name=tree"
    assert ElementTree.fromstring(made.host.virsh("dumpxml", "from-tree", INACTIVE)).find("os/kernel") is None
    assert counts_on(made.host, "from-tree")
    # Forced off, it can be installed again with the same kernel.
    made.host.virsh("destroy", "from-tree")
    domain = row_of("from-tree", state=DomainState.SHUTOFF)
    succeeded(run_to_end(request_operation(user=made.portal.alice, kind="reinstall", subject=domain)))
    again = ElementTree.fromstring(made.host.virsh("dumpxml", "from-tree"))
    assert again.findtext("os/cmdline") == running.findtext("os/cmdline")
    row_of("from-tree", state=DomainState.RUNNING)
    assert counts_on(made.host, "from-tree")
    made.host.virsh("shutdown", "from-tree")
    row_of("from-tree", state=DomainState.SHUTOFF)
    finished(made, "from-tree")
    assert [name for name in made.volumes() if name.startswith("from-tree-")] == []
    assert ElementTree.fromstring(made.host.virsh("dumpxml", "from-tree")).find("os/kernel") is None


def test_a_tree_of_a_private_address_is_not_fetched(made: Creator, tmp_path: Path) -> None:
    before = made.volumes()
    with serving(tmp_path) as url:
        given = made.given("inside", method="url_tree", tree_url=url, start=True)
        given["spec"] |= {"kernel_path": "", "initrd_path": "", "cmdline": ""}
        operation = made.create(given)
    assert operation.state == OperationState.FAILED
    assert "127.0.0.1" in operation.outcome or "private" in operation.outcome, operation.outcome
    assert (made.volumes(), "inside" in made.names()) == (before, False)


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """A web server of this machine for the files."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(directory))

        def log_message(self, *arguments: Any) -> None:
            """Nobody reads it."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="tree")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
