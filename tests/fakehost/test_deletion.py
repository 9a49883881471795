"""Deleting a machine on libvirt's test driver: whenever its worker dies, in the end it is gone, and its disks are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User

from hypervisors.gateway.connections import cached_connection
from hypervisors.gateway.domains.reading import domain_state, read_domain
from hypervisors.gateway.domains.removal import shares_nvram
from hypervisors.gateway.storage.volumes import create_volume, list_volumes
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.libvirtxml.install_marker import InstallMarker, build_install_marker
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import Domain, Hypervisor, Operation, OperationLock, StoragePool, Volume
from hypervisors.operations.domains.deletion.outcomes import leftovers_of
from hypervisors.operations.engine.requests import request_operation
from hypervisors.states import DomainState, OperationState
from tests.fakehost.killing import run_and_die, run_to_end
from tests.rows import define

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]

POOL = UUID("dfe224cb-28fb-8dd0-c4b2-64eb3f0f4566")
MACHINE = UUID("6695eb01-f6a4-8304-79aa-97f2502e193f")
DISKS = ("one.qcow2", "two.qcow2")
STEPS = ("examine", "forget_install", "force_off", "undefine", "volume_1", "volume_2", "tell_hosts")


def machine_xml(name: str, uuid: UUID, *disks: str) -> str:
    devices = "".join(
        f"<disk type='file' device='disk'><source file='/images/{disk}'/><target dev='vd{chr(97 + number)}'/></disk>"
        for number, disk in enumerate(disks)
    )
    marker = build_install_marker(InstallMarker(phase="installing"))
    return (
        f"<domain type='test'><name>{name}</name><uuid>{uuid}</uuid><metadata>{marker}</metadata>"
        f"<memory>65536</memory><os><type>hvm</type></os><devices>{devices}</devices></domain>"
    )


class World:
    """A host with a machine that runs, and its two disks."""

    def __init__(self, hypervisor: Hypervisor, domain: Domain) -> None:
        self.hypervisor = hypervisor
        self.domain = domain

    @property
    def connection(self) -> Any:
        return cached_connection(endpoint_of(self.hypervisor))

    def volumes(self) -> list[str]:
        return [facts.name for facts in list_volumes(self.connection, POOL)]

    def is_there(self) -> bool:
        return domain_state(self.connection, MACHINE) is not None


@pytest.fixture
def world(tmp_path: Path, make_hypervisor: Callable[..., Hypervisor], make_domain: Callable[..., Domain]) -> World:
    (tmp_path / "node.xml").write_text(
        f"<node><pool type='dir'><name>images</name><uuid>{POOL}</uuid><target><path>/images</path></target></pool>"
        f"{machine_xml('web1', MACHINE, *DISKS)}</node>"
    )
    hypervisor = make_hypervisor(uri=f"test://{tmp_path}/node.xml")
    pool = StoragePool.objects.create(
        hypervisor=hypervisor, uuid=POOL, name="images", pool_type="dir", active=True, autostart=True
    )
    domain = make_domain(uuid=MACHINE, name="web1", hypervisor=hypervisor, state=DomainState.RUNNING)
    found = World(hypervisor, domain)
    for name in DISKS:
        create_volume(found.connection, POOL, VolumeSpec(name=name, format="qcow2", capacity_bytes=2**20))
        Volume.objects.create(storage_pool=pool, name=name, path=f"/images/{name}")
    facts = read_domain(found.connection, MACHINE)
    assert facts is not None
    define(domain, live_xml=facts.live_xml, inactive_xml=facts.inactive_xml)
    return found


def ask(world: World, user: User) -> Operation:
    given = {"own_disks": True, "force_off": True}
    return request_operation(user=user, kind="delete_domain", subject=world.domain, parameters=given)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, 2 * len(STEPS) + 1))
def test_killed_at_any_write_the_next_worker_ends_it(number: int, after: bool, world: World, alice: User) -> None:
    operation = ask(world, alice)
    assert run_and_die(operation, number, after=after)
    if not world.is_there():
        assert number > 2 * STEPS.index("undefine")
    if world.volumes() != list(DISKS):
        assert not world.is_there(), "a machine without its disks is worse than disks without a machine"
    run_to_end(operation)
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    assert (world.is_there(), world.volumes()) == (False, [])
    assert {entry["name"]: entry["state"] for entry in operation.steps} == dict.fromkeys(STEPS, "done")
    assert leftovers_of(operation) == []
    assert not OperationLock.objects.exists()


def test_the_marker_of_an_installation_is_gone_before_it_stops(world: World, alice: User) -> None:
    operation = ask(world, alice)
    assert run_and_die(operation, 2 * STEPS.index("force_off") + 1, after=True)
    facts = read_domain(world.connection, MACHINE)
    assert facts is not None
    assert facts.state == DomainState.RUNNING
    assert "installing" not in facts.live_xml + facts.inactive_xml


def test_one_that_was_started_after_it_was_asked_for_stays(world: World, alice: User) -> None:
    Domain.objects.filter(pk=world.domain.pk).update(state=DomainState.SHUTOFF)
    off = Domain.objects.select_related("hypervisor").get(pk=world.domain.pk)
    operation = run_to_end(
        request_operation(user=alice, kind="delete_domain", subject=off, parameters={"own_disks": True})
    )
    assert operation.state == OperationState.FAILED
    assert "It runs by now" in operation.outcome
    assert (world.is_there(), world.volumes()) == (True, list(DISKS))


def test_one_that_was_protected_after_it_was_asked_for_stays(world: World, alice: User) -> None:
    operation = ask(world, alice)
    Domain.objects.filter(pk=world.domain.pk).update(delete_protected=True)
    run_to_end(operation)
    assert (operation.state, "protected from deletion" in operation.outcome) == (OperationState.FAILED, True)
    assert (world.is_there(), world.volumes()) == (True, list(DISKS))


def test_a_disk_that_is_not_its_own_any_more_stays_with_the_machine(world: World, alice: User) -> None:
    operation = ask(world, alice)
    world.connection.raw.lookupByUUID(MACHINE.bytes).destroy()
    world.connection.raw.defineXML(machine_xml("web1", MACHINE, "one.qcow2"))
    run_to_end(operation)
    assert operation.state == OperationState.FAILED
    assert "“/images/two.qcow2” is not its disk any more" in operation.outcome
    assert (world.is_there(), world.volumes()) == (True, list(DISKS))


def test_a_disk_taken_between_two_steps_is_left_and_named(world: World, alice: User) -> None:
    operation = ask(world, alice)
    assert run_and_die(operation, 2 * STEPS.index("volume_2") + 1, after=True)
    other = UUID(int=7)
    world.connection.raw.defineXML(machine_xml("db1", other, "two.qcow2"))
    run_to_end(operation)
    assert operation.state == OperationState.FAILED
    assert "two.qcow2: It is in use: vda of “db1”" in operation.outcome
    assert (world.is_there(), world.volumes()) == (False, ["two.qcow2"])
    assert [one.disk.source for one in leftovers_of(operation)] == ["/images/two.qcow2"]


def test_uefi_variables_that_another_machine_names_stay(world: World) -> None:
    firmware = "<loader type='pflash'>/fw/code.fd</loader><nvram>/nvram/{name}</nvram></os>"
    for number, name in enumerate(("db1", "db1", "db3")):
        xml = machine_xml(f"uefi{number}", UUID(int=number + 1)).replace("</os>", firmware.format(name=name))
        world.connection.raw.defineXML(xml)
    named = [world.connection.raw.lookupByUUID(UUID(int=number + 1).bytes) for number in range(3)]
    assert [shares_nvram(world.connection, one) for one in named] == [True, True, False]
