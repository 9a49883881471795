"""Machines deleted with and without their disks by a real worker; asserted by virsh, and by the files that are left."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.lab import fault
from deploy.lab.host import Host
from hypervisors.errors import NotPossible
from hypervisors.inventory.refresh_requests import request_storage_pool_refresh
from hypervisors.models import Domain, Operation, OperationLock, StoragePool, Volume
from hypervisors.operations.domains.deletion.plan import deletion_plan
from hypervisors.operations.engine.requests import request_operation
from hypervisors.states import DomainState, OperationState
from tests.lab.portals import Portal, ended, wait_for_operation
from tests.watching import wait_until
from tests.workers import Worker

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("storage",)
POOL = "shared"


@pytest.fixture(autouse=True)
def clean(portal: Portal) -> Iterator[None]:
    """The storage that both hosts have is known to be such; what a test left in it, or defined, goes afterwards."""
    before = set(files(portal))
    wait_until(lambda: StoragePool.objects.filter(name=POOL, active=True).exclude(shared_storage=None).count() == 2)
    yield
    for host in portal.hosts:
        for uuid in host.virsh("list", "--all", "--uuid").split():
            if uuid in host.virsh("list", "--uuid").split():
                host.virsh("destroy", uuid)
            host.virsh("undefine", uuid, "--nvram")
    for name in set(files(portal)) - before:
        portal.hosts[0].virsh("vol-delete", name, "--pool", POOL)


def files(portal: Portal) -> list[str]:
    host = portal.hosts[0]
    host.virsh("pool-refresh", POOL)
    return [line.split()[0] for line in host.virsh("vol-list", POOL).splitlines() if line.strip()]


def make_volume(portal: Portal, name: str, *, on: str = "") -> str:
    """Its path, once the row is there."""
    host = portal.hosts[0]
    backing = ("--backing-vol", on, "--backing-vol-format", "qcow2") if on else ()
    host.virsh("vol-create-as", POOL, name, "1M", "--format", "qcow2", *backing)
    for row in StoragePool.objects.filter(name=POOL):
        request_storage_pool_refresh(row.hypervisor_id, row.uuid)
    rows = Volume.objects.present().filter(name=name, storage_pool__name=POOL)
    wait_until(lambda: rows.count() == 2, seconds=60)
    return host.virsh("vol-path", name, "--pool", POOL).strip()


def define(portal: Portal, name: str, *paths: str, host: Host | None = None, start: bool = False) -> Domain:
    """A machine without a system, and its row."""
    host = host or portal.hosts[0]
    uuid = str(uuid4())
    root = ElementTree.Element("domain", type="qemu")
    for tag, text in (("name", name), ("uuid", uuid), ("memory", "32768"), ("vcpu", "1")):
        ElementTree.SubElement(root, tag).text = text
    system = ElementTree.SubElement(root, "os")
    ElementTree.SubElement(system, "type", arch="x86_64", machine="q35").text = "hvm"
    devices = ElementTree.SubElement(root, "devices")
    for number, path in enumerate(paths):
        disk = ElementTree.SubElement(devices, "disk", type="file", device="disk")
        ElementTree.SubElement(disk, "driver", name="qemu", type="qcow2")
        ElementTree.SubElement(disk, "source", file=path)
        ElementTree.SubElement(disk, "target", dev=f"vd{'abcd'[number]}", bus="virtio")
    file = host.plan.directory / f"{uuid}.xml"
    file.write_bytes(ElementTree.tostring(root))
    host.virsh("define", str(file))
    if start:
        host.virsh("start", uuid)
    state = DomainState.RUNNING if start else DomainState.SHUTOFF
    found = Domain.objects.select_related("hypervisor").filter(uuid=uuid, state=state, definition__isnull=False)
    row: Domain = wait_until(found.first)
    return row


def delete(portal: Portal, domain: Domain, *disks: str, force_off: bool = False) -> Operation:
    given = {"disks": list(disks), "force_off": force_off}
    return request_operation(user=portal.alice, kind="delete_domain", subject=domain, parameters=given)


def is_defined(host: Host, domain: Domain) -> bool:
    return str(domain.uuid) in host.virsh("list", "--all", "--uuid").split()


@contextmanager
def asked_before(worker: Worker) -> Iterator[None]:
    """What is asked for inside is allowed by the rows; the worker begins after what happens then."""
    worker.kill()
    try:
        yield
    finally:
        worker.start()


def test_of_two_disks_one_is_kept(portal: Portal) -> None:
    goes, stays = make_volume(portal, "goes.qcow2"), make_volume(portal, "stays.qcow2")
    domain = define(portal, "two-disks", goes, stays)
    assert [disk.is_chosen for disk in deletion_plan(domain).disks] == [True, True]
    operation = ended(delete(portal, domain, goes))
    assert (operation.state, operation.outcome) == (OperationState.SUCCEEDED, "It is deleted. 1 disk is deleted.")
    assert not is_defined(portal.hosts[0], domain)
    assert (Path(goes).exists(), Path(stays).exists()) == (False, True)
    # Both hosts were told.
    for host in portal.hosts:
        assert "goes.qcow2" not in host.virsh("vol-list", POOL)
    gone: Domain = wait_until(Domain.objects.filter(uuid=domain.uuid, vanished_at__isnull=False).first)
    assert gone.operations.get() == operation
    assert not OperationLock.objects.exists()


def test_one_that_runs_is_forced_off_first_with_its_saved_and_uefi_state(portal: Portal) -> None:
    path = make_volume(portal, "running.qcow2")
    domain = define(portal, "running", path, start=True)
    with pytest.raises(NotPossible, match="It is running"):
        delete(portal, domain, path)
    operation = ended(delete(portal, domain, path, force_off=True))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    assert not is_defined(portal.hosts[0], domain)
    assert not Path(path).exists()


@pytest.mark.parametrize("number", [0, 1])
def test_a_disk_that_somebody_took_meanwhile_keeps_the_machine(
    number: int, portal: Portal, workers: dict[str, Worker]
) -> None:
    path = make_volume(portal, "wanted.qcow2")
    domain = define(portal, "first", path)
    with asked_before(workers["storage"]):
        operation = delete(portal, domain, path)
        define(portal, "second", path, host=portal.hosts[number])
    operation = ended(operation)
    assert operation.state == OperationState.FAILED
    assert f"vda of “second” on {portal.hosts[number].name}" in operation.outcome
    assert is_defined(portal.hosts[0], domain)
    assert Path(path).exists()


def test_what_others_are_on_top_of_on_another_host_is_refused(portal: Portal) -> None:
    base = make_volume(portal, "base.qcow2")
    top = make_volume(portal, "top.qcow2", on="base.qcow2")
    define(portal, "on-top", top, host=portal.hosts[1])
    domain = define(portal, "under", base)
    with pytest.raises(NotPossible, match="“base\\.qcow2” stays"):
        delete(portal, domain, base)


def test_a_file_that_refuses_is_named_and_tried_again(portal: Portal) -> None:
    goes, stuck = make_volume(portal, "goes.qcow2"), make_volume(portal, "stuck.qcow2")
    domain = define(portal, "stuck", goes, stuck)
    file = portal.hosts[0].lab.directory / "shared-source" / "images" / "stuck.qcow2"
    portal.hosts[0].run("chattr", "+i", str(file))
    try:
        operation = ended(delete(portal, domain, goes, stuck))
    finally:
        portal.hosts[0].run("chattr", "-i", str(file))
    assert operation.state == OperationState.FAILED
    assert "1 of its disks is left" in operation.outcome
    assert "stuck.qcow2: " in operation.outcome
    assert not is_defined(portal.hosts[0], domain)
    assert (Path(goes).exists(), Path(stuck).exists()) == (False, True)
    gone: Domain = wait_until(
        Domain.objects.select_related("hypervisor").filter(uuid=domain.uuid, vanished_at__isnull=False).first
    )
    again = ended(request_operation(user=portal.alice, kind="delete_leftovers", subject=gone))
    assert again.state == OperationState.SUCCEEDED, again.outcome
    assert not Path(stuck).exists()


def test_a_file_in_no_storage_pool_goes_and_its_neighbours_stay(portal: Portal) -> None:
    host = portal.hosts[0]
    directory = f"/var/lib/vmportal-loose-{uuid4().hex[:8]}"
    host.run("mkdir", "-p", directory)
    path = f"{directory}/loose.qcow2"
    host.run("qemu-img", "create", "-q", "-f", "qcow2", path, "1M")
    host.run("cp", path, f"{directory}/neighbour.qcow2")
    try:
        domain = define(portal, "loose", path)
        operation = ended(delete(portal, domain, path))
        assert operation.state == OperationState.SUCCEEDED, operation.outcome
        assert host.run("ls", directory).split() == ["neighbour.qcow2"]
        assert "moment" not in host.virsh("pool-list", "--all")
        assert not StoragePool.objects.filter(name__contains="moment").exists()
    finally:
        host.run("rm", "-r", directory)


def test_a_worker_killed_while_it_asks_is_followed_by_one_that_goes_on(
    portal: Portal, workers: dict[str, Worker]
) -> None:
    path = make_volume(portal, "one.qcow2")
    domain = define(portal, "killed", path, start=True)
    with fault.during(fault.freeze, fault.thaw, portal.hosts[1]):
        operation = delete(portal, domain, path, force_off=True)
        wait_for_operation(operation, lambda row: [step["state"] for step in row.steps] == ["doing"])
        workers["storage"].kill()
    workers["storage"].start()
    operation = ended(operation, seconds=120)
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    assert not is_defined(portal.hosts[0], domain)
    assert not Path(path).exists()
    assert not OperationLock.objects.exists()
