"""Each kind of device added, changed and removed on a real machine, off and running, as virsh and the guest say."""

from pathlib import Path

import pytest

from hypervisors.libvirtxml.hardware.differences import pending_differences
from hypervisors.libvirtxml.hardware.fields import Value
from hypervisors.models import Operation
from hypervisors.states import OperationState
from tests.lab.domains.creations import run_to_end
from tests.lab.domains.hardware import HardwareGuest, hardware_guest, with_room
from tests.lab.portals import Portal

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ()

Values = dict[str, Value]
# By type: what is added, and what is changed of it then. Disks and cards have tests of their own.
OFF: dict[str, tuple[Values, Values]] = {
    "graphics": ({"type": "spice"}, {"clipboard": False}),
    "video": ({"model": "virtio"}, {"heads": 2}),
    "sound": ({"model": "ich9"}, {"model": "ac97"}),
    "input": ({"type": "tablet", "bus": "virtio"}, {}),
    "controller": ({"type": "scsi", "scsi_model": "virtio-scsi"}, {"queues": 2}),
    "serial": ({"type": "pty"}, {}),
    "console": ({"type": "pty", "target_type": "virtio"}, {}),
    "channel": ({"type": "unix", "target_type": "virtio", "target_name": "org.qemu.guest_agent.0"}, {}),
    "rng": ({"model": "virtio", "backend": "random", "backend_path": "/dev/urandom"}, {"rate_bytes": 1024}),
    "tpm": ({"model": "tpm-crb", "backend": "emulator", "version": "2.0"}, {}),
    "watchdog": ({"model": "i6300esb", "action": "reset"}, {"action": "none"}),
    "panic": ({"model": "isa"}, {}),
    "vsock": ({"model": "virtio", "cid_auto": True}, {}),
}


def test_every_kind_is_added_changed_and_removed_while_it_is_off(portal: Portal, tmp_path: Path) -> None:
    with hardware_guest(portal, "hw-off", tmp_path) as guest:
        for kind, (added, changed) in OFF.items():
            before = guest.ids(kind)
            operation = guest.do("add_device", device_type=kind, values=added)
            assert operation.outcome == "It is added.", kind
            [new] = guest.ids(kind) - before
            if changed:
                guest.do("change_device", device_id=new, device_type=kind, values=changed)
                [now] = [one for one in guest.devices(kind) if one.id not in before]
                assert {name: now.values[name] for name in changed} == changed, kind
                new = now.id
            guest.do("remove_device", device_id=new)
            assert guest.ids(kind) == before, kind


# What can be plugged in while it runs, in a machine with room for it.
LIVE: dict[str, tuple[Values, Values]] = {
    "rng": ({"model": "virtio", "backend": "builtin"}, {}),
    "input": ({"type": "tablet", "bus": "usb"}, {}),
    "controller": ({"type": "scsi", "scsi_model": "virtio-scsi"}, {}),
    "channel": ({"type": "unix", "target_type": "virtio", "target_name": "org.example.0"}, {}),
    "watchdog": ({"model": "i6300esb", "action": "none"}, {}),
    "memory": ({"model": "dimm", "size_kib": 128 * 1024, "node": 0}, {}),
}
# What cannot: it waits for the next start.
PENDING: dict[str, Values] = {
    "sound": {"model": "ich9"},
    "video": {"model": "virtio"},
    "tpm": {"model": "tpm-crb", "backend": "emulator", "version": "2.0"},
    "serial": {"type": "pty"},
    "panic": {"model": "isa"},
}


def test_what_can_be_plugged_in_is_and_the_rest_waits(portal: Portal, tmp_path: Path) -> None:
    with hardware_guest(portal, "hw-live", tmp_path) as guest:
        guest.define(with_room(guest.secure_xml()))
        guest.start()
        guest.guest.wait_until_it_counts()
        for kind, (added, _changed) in LIVE.items():
            before, stored = guest.ids(kind, stored=False), guest.ids(kind)
            guest.do("add_device", device_type=kind, values=added)
            [new] = guest.ids(kind, stored=False) - before
            assert guest.ids(kind) - stored == {new}, kind
            guest.do("remove_device", device_id=new)
            assert (guest.ids(kind, stored=False), guest.ids(kind)) == (before, stored), kind
        running = {kind: guest.ids(kind, stored=False) for kind in PENDING}
        for kind, added in PENDING.items():
            before = guest.ids(kind)
            assert "at the next start" in guest.fail("add_device", device_type=kind, values=added), kind
            assert guest.ids(kind) == before, kind
            guest.do("add_device", device_type=kind, values=added, when="next_start")
            assert len(guest.ids(kind)) == len(before) + 1, kind
        _refuses_to_throw_away_what_was_not_shown(guest)
        outcome = guest.do("revert_pending").outcome
        assert outcome == "It starts as it runs now."
        assert pending_differences(guest.xml(stored=False), guest.xml()) == ()
        guest.stop()
        guest.start()
        assert {kind: guest.ids(kind, stored=False) for kind in PENDING} == running


def _refuses_to_throw_away_what_was_not_shown(guest: HardwareGuest) -> None:
    late = guest.ask("revert_pending")
    guest.define(guest.secure_xml().replace("<on_crash>destroy<", "<on_crash>preserve<"))
    stored = guest.xml()
    assert run_to_end(late).state == OperationState.FAILED
    assert Operation.objects.get(pk=late.pk).outcome.startswith("It was changed since you opened it")
    assert guest.xml() == stored
    assert "preserve" in stored
