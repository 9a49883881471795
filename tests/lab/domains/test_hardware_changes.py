"""What changes of hardware come to: seen in the guest, live or pending, guarded, and interrupted."""

from pathlib import Path

import pytest

from deploy.lab.guest import Guest
from hypervisors.errors import Conflict
from hypervisors.models import Operation
from hypervisors.operations.engine.requests import request_cancel
from hypervisors.operations.engine.runner import run_operation
from hypervisors.states import DomainState, OperationState
from tests.fakehost.killing import run_and_die
from tests.lab.domains.creations import MIB, Creator, creator, run_to_end, small_spec
from tests.lab.domains.hardware import EXOTIC, METADATA, HardwareGuest, hardware_guest, with_room
from tests.lab.domains.test_creation import iso_image
from tests.lab.portals import Portal, PortalGuest
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ()
CARD = {"type": "network", "source_network": "default", "model": "virtio"}


def listed(guest: HardwareGuest, command: str, word: str) -> tuple[bool, bool]:
    """Whether virsh names it, as it runs and as it is stored."""
    return word in guest.host.virsh(command, guest.uuid), word in guest.host.virsh(command, guest.uuid, "--inactive")


def test_the_guest_gets_and_loses_what_is_plugged_in_and_what_cannot_be_waits(portal: Portal, tmp_path: Path) -> None:
    with creator(portal) as made, hardware_guest(portal, "hw-inside", tmp_path) as guest:
        iso = made.put("tools.iso", format_="iso", content=iso_image())
        guest.define(with_room(guest.secure_xml()))
        guest.start()
        guest.sees("vda", "eth0", seconds=150)
        _plug_in(guest, made.storage_pool.pk)
        _change(guest)
        _media(guest, iso.pk)
        _memory_and_processors(guest)
        _unplug(guest)
        _waits(guest)
        xml = guest.secure_xml()
        assert METADATA in xml.replace("'", '"').replace("\n", "").replace("  ", "")
        assert "isa-debugcon.iobase=0x402" in xml
        assert EXOTIC.count("qemu:arg ") == xml.count("<qemu:arg ")
        assert "passwd='secret1'" in xml


def _plug_in(guest: HardwareGuest, storage_pool_id: int) -> None:
    disk = {"storage_pool_id": storage_pool_id, "capacity_bytes": 16 * MIB}
    operation = guest.do("add_device", device_type="disk", values={"bus": "virtio"}, new_disk=disk)
    assert operation.outcome == "It is added: the guest has it now, and after every start."
    guest.do("add_device", device_type="interface", values=CARD)
    guest.sees("vdb", "eth1")
    assert listed(guest, "domblklist", "hw-inside-2.qcow2") == (True, True)
    [new] = [one for one in guest.devices("interface") if one.id not in _first_card(guest)]
    assert listed(guest, "domiflist", str(new.values["mac"])) == (True, True)


def _first_card(guest: HardwareGuest) -> set[str]:
    return {guest.devices("interface")[0].id}


def _change(guest: HardwareGuest) -> None:
    card = guest.devices("interface")[1]
    guest.do("change_device", device_id=card.id, device_type="interface", values={"link": "down"})
    assert [guest.devices("interface", stored=stored)[1].values["link"] for stored in (True, False)] == ["down", "down"]
    guest.do("change_device", device_id="disk:vdb", device_type="disk", values={"total_iops_sec": 500})
    for stored in (True, False):
        [disk] = [one for one in guest.devices("disk", stored=stored) if one.id == "disk:vdb"]
        assert disk.values["total_iops_sec"] == 500
    before = guest.xml()
    refusal = guest.fail("change_device", device_id="disk:vdb", device_type="disk", values={"cache": "none"})
    assert "next start" in refusal
    assert guest.xml() == before
    # XML that was made of what is shown has no password; the screen keeps its own.
    [screen] = guest.devices("graphics")
    typed = screen.xml.replace("<graphics ", "<graphics keymap='de' ", 1)
    guest.do("change_device", device_id=screen.id, xml=typed, when="next_start")
    assert guest.devices("graphics")[0].values["keymap"] == "de"


def _media(guest: HardwareGuest, volume_id: int) -> None:
    guest.do("change_media", device_id="disk:sda", volume_id=volume_id)
    assert listed(guest, "domblklist", "tools.iso") == (True, True)
    guest.do("change_media", device_id="disk:sda", force=True)
    assert listed(guest, "domblklist", "tools.iso") == (False, False)


def _memory_and_processors(guest: HardwareGuest) -> None:
    guest.do("change_section", section="memory", values={"current_memory_kib": 112 * 1024})
    guest.do("change_section", section="processor", values={"vcpus_current": 2})
    assert "current='2'" in guest.xml()
    assert "current='2'" in guest.xml(stored=False)
    before = guest.xml()
    topology = {"sockets": 1, "cores": 4, "threads": 1}
    assert "next start" in guest.fail("change_section", section="processor", values=topology)
    assert guest.xml() == before
    guest.do("change_section", section="processor", values=topology | {"model": "Nehalem"}, when="next_start")
    assert "<topology" in guest.xml()
    assert "<topology" not in guest.xml(stored=False)


def _unplug(guest: HardwareGuest) -> None:
    refusal = guest.fail("remove_device", device_id="disk:vdb")
    assert refusal.startswith("No agent in the guest tells whether vdb is in use there")
    operation = guest.do("remove_device", device_id="disk:vdb", confirmed=True)
    assert operation.outcome.startswith("It is removed: the guest has let go of it")
    guest.do("remove_device", device_id=guest.devices("interface")[1].id)
    guest.misses("vdb", "eth1")
    assert listed(guest, "domblklist", "vdb") == (False, False)
    assert (len(guest.devices("interface")), len(guest.devices("interface", stored=False))) == (1, 1)


def _waits(guest: HardwareGuest) -> None:
    """Topology, model and a read-only disk are there after off and on; memory that was changed live still is."""
    guest.do("change_device", device_id="disk:vda", device_type="disk", values={"readonly": True}, when="next_start")
    guest.stop()
    guest.start()
    live = guest.xml(stored=False)
    assert "<topology" in live
    assert "Nehalem" in live
    [disk] = [one for one in guest.devices("disk", stored=False) if one.id == "disk:vda"]
    assert disk.values["readonly"] is True
    assert f"<currentMemory unit='KiB'>{112 * 1024}<" in guest.xml()


def test_who_changes_what_another_has_changed_is_told(portal: Portal, tmp_path: Path) -> None:
    with hardware_guest(portal, "hw-two", tmp_path) as guest:
        base = guest.mirrored()
        late = guest.guest.ask("change_section", section="general", values={"title": "late"}, base_sha256=base)
        guest.define(guest.xml().replace("<on_crash>destroy<", "<on_crash>preserve<"))
        assert run_to_end(late).state == OperationState.FAILED
        late.refresh_from_db()
        assert late.outcome.startswith("It was changed since you opened it")
        guest.mirrored()
        with pytest.raises(Conflict, match="It was changed since you opened it"):
            guest.guest.ask("change_section", section="general", values={"title": "later"}, base_sha256=base)
        assert "<title>" not in guest.xml()
        assert "preserve" in guest.xml()
        guest.do("change_section", section="general", values={"title": "now"})
        assert "<title>now</title>" in guest.xml()
        assert "preserve" in guest.xml()


def test_a_worker_that_dies_adds_a_disk_once(portal: Portal, tmp_path: Path) -> None:
    with creator(portal) as made, hardware_guest(portal, "hw-killed", tmp_path) as guest:
        for number in (3, 4, 5, 6):
            for after in (False, True):
                name = f"killed-{number}-{after}.qcow2"
                disk = {"storage_pool_id": made.storage_pool.pk, "capacity_bytes": 16 * MIB, "name": name}
                operation = guest.ask("add_device", device_type="disk", values={"bus": "virtio"}, new_disk=disk)
                assert run_and_die(operation, number, after=after)
                ended = run_to_end(operation)
                assert ended.state == OperationState.SUCCEEDED, (number, after, ended.outcome)
                assert guest.ids("disk") == {"disk:vda", "disk:vdb"}, (number, after)
                assert name in guest.xml()
                guest.do("remove_device", device_id="disk:vdb")


def test_a_paused_guest_is_waited_for_and_lets_go_when_it_runs(portal: Portal, tmp_path: Path) -> None:
    with hardware_guest(portal, "hw-paused", tmp_path, start=True) as guest:
        guest.do("add_device", device_type="interface", values=CARD)
        guest.sees("eth1")
        card = guest.devices("interface")[1].id
        guest.host.virsh("suspend", guest.uuid)
        guest.guest.becomes(state=DomainState.PAUSED)
        operation = guest.ask("remove_device", device_id=card)
        assert run_operation(operation.pk) is not None
        waiting = Operation.objects.get(pk=operation.pk)
        assert waiting.progress["note"] == "Waiting for the guest, which is paused."
        request_cancel(waiting, user=portal.alice)
        cancelled = _carried_out(operation)
        assert cancelled.state == OperationState.CANCELLED
        assert "It stays until the guest lets go of it" in cancelled.outcome
        assert (card in guest.ids("interface"), card in guest.ids("interface", stored=False)) == (False, True)
        again = guest.ask("remove_device", device_id=card)
        assert run_operation(again.pk) is not None
        # What only waits for the guest gives way to what lets it go on.
        assert run_to_end(guest.guest.ask("resume")).state == OperationState.SUCCEEDED
        assert Operation.objects.get(pk=again.pk).outcome.startswith("Superseded by “Resume”")
        guest.misses("eth1")
        assert guest.ids("interface") == guest.ids("interface", stored=False)


def test_a_guest_that_uses_a_memory_module_refuses_to_give_it_back(portal: Portal, tmp_path: Path) -> None:
    with hardware_guest(portal, "hw-refuses", tmp_path) as guest:
        # Its kernel takes the module for its own, which it cannot move away from.
        xml = with_room(guest.secure_xml()).replace("</cmdline>", " memhp_default_state=online_kernel</cmdline>")
        guest.define(xml)
        guest.start()
        guest.guest.wait_until_it_counts()
        guest.host.virsh("dommemstat", guest.uuid, "--period", "1", "--live")
        before = _memory_of(guest)
        guest.do("add_device", device_type="memory", values={"model": "dimm", "size_kib": 128 * 1024, "node": 0})
        wait_until(lambda: _memory_of(guest) > before + 100 * 1024, seconds=90)
        [module] = guest.ids("memory")
        outcome = guest.fail("remove_device", device_id=module)
        assert outcome.startswith("The guest refuses to let go of it: it is in use. Nothing was changed")
        assert guest.ids("memory") == guest.ids("memory", stored=False) == {module}
        guest.do("remove_device", device_id=module, when="next_start")
        assert (guest.ids("memory"), guest.ids("memory", stored=False)) == (set(), {module})


def _memory_of(guest: HardwareGuest) -> int:
    """KiB that the guest itself says it has; 0 before it has said so."""
    lines = (line.split() for line in guest.host.virsh("dommemstat", guest.uuid).splitlines())
    return int(dict(lines).get("available", 0))


def test_a_new_machine_takes_what_is_plugged_in_later(portal: Portal, tmp_path: Path) -> None:
    with creator(portal) as made:
        room = {"vcpus_maximum": 4, "memory_maximum_kib": 1024 * 1024, "spare_root_ports": 8}
        given = made.given("hw-room", start=True, spec=small_spec("hw-room", **room).to_json())
        operation = made.create(given)
        assert operation.state == OperationState.SUCCEEDED, operation.outcome
        uuid = made.host.virsh("domuuid", "hw-room")
        guest = HardwareGuest(PortalGuest(portal, _known_as("hw-room", uuid, made)), tmp_path)
        guest.guest.becomes(state=DomainState.RUNNING)
        disk = {"storage_pool_id": made.storage_pool.pk, "capacity_bytes": 16 * MIB}
        for bus in ("virtio", "scsi"):
            guest.do("add_device", device_type="disk", values={"bus": bus}, new_disk=disk)
        for device_type, values in (
            ("interface", CARD),
            ("rng", {"model": "virtio", "backend": "builtin"}),
            ("watchdog", {"model": "i6300esb", "action": "none"}),
            ("memory", {"model": "dimm", "size_kib": 128 * 1024, "node": 0}),
        ):
            guest.do("add_device", device_type=device_type, values=values)
        guest.do("change_section", section="processor", values={"vcpus_current": 3})
        assert "current='3'" in guest.xml(stored=False)
        for device_type, count in (("disk", 3), ("interface", 2), ("memory", 1), ("watchdog", 1)):
            sides = [len(guest.devices(device_type, stored=stored)) for stored in (True, False)]
            assert sides == [count, count], device_type


def _known_as(name: str, uuid: str, made: Creator) -> Guest:
    disk = str(made.host.lab.pool_path / f"{name}.qcow2")
    return Guest(name=name, uuid=uuid, host_name=made.host.name, disk_path=disk, serial_log_path="")


def _carried_out(operation: Operation) -> Operation:
    """One that was parked a moment ago is taken up again a little later."""

    def finished() -> Operation | None:
        run_operation(operation.pk)
        row = Operation.objects.get(pk=operation.pk)
        return row if row.is_finished else None

    row: Operation = wait_until(finished, seconds=60)
    return row
