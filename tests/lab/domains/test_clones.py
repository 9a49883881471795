"""Machines cloned, and made of templates, by a real worker; asserted by virsh, qemu-img and the guests themselves."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisors.errors import NotPossible
from hypervisors.inventory.refresh_requests import request_storage_pool_refresh
from hypervisors.models import Domain, DomainTemplate, Operation, OperationLock, StoragePool, Volume
from hypervisors.operations.domains.cloning.requests import request_clones
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.states import OperationState
from tests.lab.portals import Portal, PortalGuest, ended, wait_for_operation
from tests.watching import wait_until
from tests.workers import Worker

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("storage", "operations")
POOL = "shared"


@pytest.fixture(autouse=True)
def clean(portal: Portal) -> Iterator[None]:
    """What a test left defined or in the storage goes afterwards."""
    host = portal.hosts[0]
    before = set(_files(portal))
    wait_until(lambda: StoragePool.objects.filter(name=POOL, active=True).exclude(shared_storage=None).count() == 2)
    yield
    for uuid in host.virsh("list", "--all", "--uuid").split():
        if uuid in host.virsh("list", "--uuid").split():
            host.virsh("destroy", uuid)
        host.virsh("undefine", uuid, "--nvram")
    for name in set(_files(portal)) - before:
        host.virsh("vol-delete", name, "--pool", POOL)


def _files(portal: Portal) -> list[str]:
    portal.hosts[0].virsh("pool-refresh", POOL)
    return [line.split()[0] for line in portal.hosts[0].virsh("vol-list", POOL).splitlines() if line.strip()]


def _row(guest: PortalGuest) -> Domain:
    """With its volume known, whose first bytes are 7."""
    path = guest.lab_guest.disk_path
    row: Domain = wait_until(
        Domain.objects.select_related("hypervisor").filter(uuid=guest.uuid, definition__isnull=False).first
    )
    for pool in StoragePool.objects.filter(name=POOL):
        request_storage_pool_refresh(pool.hypervisor_id, pool.uuid)
    volumes = Volume.objects.present().filter(path=path, format="qcow2")
    wait_until(lambda: volumes.filter(storage_pool__hypervisor=row.hypervisor).exists())
    return row


def _mark(portal: Portal, guest: PortalGuest) -> None:
    portal.hosts[0].run("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 64k", guest.lab_guest.disk_path)


def _has_mark(portal: Portal, path: str) -> bool:
    said = portal.hosts[0].run("qemu-io", "-r", "-U", "-f", "qcow2", "-c", "read -P 7 0 64k", path)
    return "Pattern verification failed" not in said and "read 65536/65536" in said


def _xml(portal: Portal, name: str) -> ElementTree.Element:
    return ElementTree.fromstring(portal.hosts[0].virsh("dumpxml", "--inactive", name))


def _disk(portal: Portal, name: str) -> str:
    source = _xml(portal, name).find("devices/disk/source")
    assert source is not None
    return source.get("file", "")


def _info(portal: Portal, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(portal.hosts[0].run("qemu-img", "info", "-U", "--output=json", path))
    return found


def _boots(portal: Portal, name: str) -> bool:
    log = portal.hosts[0].lab.serial_path / f"{name}.log"
    return log.exists() and bool(re.search(r"^count \d+", log.read_text(errors="replace"), re.MULTILINE))


def _clone(portal: Portal, domain: Domain, **given: Any) -> Operation:
    return ended(request_operation(user=portal.alice, kind="clone_domain", subject=domain, parameters=given))


def test_a_clone_of_one_that_is_off_has_disks_and_names_of_its_own_and_boots(portal: Portal) -> None:
    with portal.guest("origin", start=False) as guest:
        _mark(portal, guest)
        operation = _clone(portal, _row(guest), name="twin", start=True)
        assert operation.state == OperationState.SUCCEEDED, operation.outcome
        origin, twin = _xml(portal, "origin"), _xml(portal, "twin")
        for path in ("uuid", "name"):
            assert origin.findtext(path) != twin.findtext(path)
        assert _mac(origin) != _mac(twin)
        path = _disk(portal, "twin")
        assert Path(path).name == "twin.qcow2"
        assert "backing-filename" not in _info(portal, path)
        assert _has_mark(portal, path)
        wait_until(lambda: _boots(portal, "twin"), seconds=150)
        assert guest.state_on(portal.hosts[0]) == "shut off"
        wait_until(lambda: Domain.objects.present().filter(name="twin").exists())
        assert not OperationLock.objects.exists()


def test_a_clone_of_one_that_runs_is_of_one_moment_and_does_not_disturb_it(portal: Portal) -> None:
    with portal.guest("origin", start=False) as guest:
        _mark(portal, guest)
        guest.do("start")
        guest.wait_until_it_counts()
        before = portal.hosts[0].virsh("domblklist", "origin")
        operation = _clone(portal, _row(guest), name="twin")
        assert operation.state == OperationState.SUCCEEDED, operation.outcome
        assert "plug" in operation.outcome
        path = _disk(portal, "twin")
        info = _info(portal, path)
        assert (info["format"], "backing-filename" in info) == ("qcow2", False)
        portal.hosts[0].run("qemu-img", "check", path)
        assert _has_mark(portal, path)
        assert portal.hosts[0].virsh("domblklist", "origin") == before
        guest.wait_until_it_counts()
        assert guest.lab_guest.boots() == 1
        # Both hosts were told of the new file.
        assert "twin.qcow2" in portal.hosts[1].virsh("vol-list", POOL)


def test_a_worker_killed_while_it_clones_is_followed_by_one_that_ends_it(
    portal: Portal, workers: dict[str, Worker]
) -> None:
    """Whatever step it was at: afterwards there is the whole copy, and nothing besides."""
    with portal.guest("origin", start=False) as guest:
        _mark(portal, guest)
        row, before = _row(guest), set(_files(portal))
        operation = request_operation(user=portal.alice, kind="clone_domain", subject=row, parameters={"name": "twin"})
        wait_for_operation(operation, lambda row: len(row.steps) > 1)
        workers["storage"].kill()
        workers["storage"].start()
        operation = ended(operation, seconds=120)
        assert operation.state == OperationState.SUCCEEDED, operation.outcome
        assert set(_files(portal)) - before == {"twin.qcow2"}
        assert _has_mark(portal, _disk(portal, "twin"))
        assert not OperationLock.objects.exists()


def test_a_name_that_is_taken_on_the_host_leaves_nothing_behind(portal: Portal) -> None:
    with portal.guest("origin", start=False) as guest:
        row = _row(guest)
        before = _files(portal)
        with portal.guest("hidden", start=False):
            Domain.objects.filter(name="hidden").update(name="not-known-yet")
            operation = _clone(portal, row, name="hidden")
        assert operation.state == OperationState.FAILED
        assert "called “hidden” already" in operation.outcome
        assert _files(portal) == before


def test_linked_clones_of_a_template_share_its_disk_and_keep_it(portal: Portal) -> None:
    host = portal.hosts[0]
    with portal.guest("golden", start=False) as guest:
        _mark(portal, guest)
        host.virsh("autostart", guest.uuid)
        made = ended(
            request_operation(
                user=portal.alice, kind="make_template", subject=_row(guest), parameters={"description": "Debian"}
            )
        )
        assert made.state == OperationState.SUCCEEDED, made.outcome
        template = DomainTemplate.objects.get()
        assert (template.name, template.version, template.created_by) == ("golden", 1, portal.alice)
        guest.becomes(is_template=True, autostart=False)
        golden = _template(guest)
        assert "template" in why_not(golden, "start")
        assert _xml(portal, "golden").find("devices/disk/readonly") is not None

        names = ["web-1", "web-2", "web-3"]
        operations = request_clones(
            user=portal.alice, domain=golden, names=names, parameters={"start": True, "memory_kib": 80 * 1024}
        )
        for operation in map(ended, operations):
            assert operation.state == OperationState.SUCCEEDED, operation.outcome
        for name in names:
            info = _info(portal, _disk(portal, name))
            assert info["full-backing-filename"] == guest.lab_guest.disk_path
            assert _xml(portal, name).find("devices/disk/readonly") is None
            assert _xml(portal, name).findtext("memory") == str(80 * 1024)
            assert "template" not in ElementTree.tostring(_xml(portal, name), encoding="unicode")
        wait_until(lambda: all(_boots(portal, name) for name in names), seconds=150)

        wait_until(lambda: "web-3" in why_not(_template(guest), "delete_domain"))
        assert "“web-1”" in why_not(_template(guest), "unmake_template")
        for name in names:
            row = wait_until(Domain.objects.select_related("hypervisor").filter(name=name, state="running").first)
            given = {"own_disks": True, "force_off": True}
            gone = ended(request_operation(user=portal.alice, kind="delete_domain", subject=row, parameters=given))
            assert gone.state == OperationState.SUCCEEDED, gone.outcome
        assert Path(guest.lab_guest.disk_path).exists()
        assert _has_mark(portal, guest.lab_guest.disk_path)

        wait_until(lambda: why_not(_template(guest), "unmake_template") == "")
        back = ended(request_operation(user=portal.alice, kind="unmake_template", subject=_template(guest)))
        assert back.state == OperationState.SUCCEEDED, back.outcome
        assert not DomainTemplate.objects.exists()
        assert "template" not in host.virsh("dumpxml", "--inactive", "golden")
        assert _xml(portal, "golden").find("devices/disk/readonly") is None
        guest.becomes(is_template=False)
        started = guest.do("start")
        assert started.state == OperationState.SUCCEEDED, started.outcome


def test_a_template_of_a_machine_that_runs_is_refused(portal: Portal) -> None:
    with portal.guest("golden") as guest:
        row = _row(guest)
        with pytest.raises(NotPossible, match="It is running"):
            request_operation(user=portal.alice, kind="make_template", subject=row)


def _template(guest: PortalGuest) -> Domain:
    return Domain.objects.select_related("hypervisor").get(uuid=guest.uuid)


def _mac(domain: ElementTree.Element) -> str:
    mac = domain.find("devices/interface/mac")
    assert mac is not None
    return mac.get("address", "")
