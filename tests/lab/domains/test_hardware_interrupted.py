"""A worker that dies as soon as its host has done something: the next one makes it whole, once, or says what is so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypervisors.models import Operation, OperationLock
from hypervisors.operations.engine.runner import run_operation
from hypervisors.states import OperationState
from tests.fakehost.killing import run_and_die_after_call
from tests.lab.domains.creations import run_to_end
from tests.lab.domains.hardware import HardwareGuest, hardware_guest
from tests.lab.portals import Portal

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ()
CARD = {"type": "network", "source_network": "default", "model": "virtio", "mac": "52:54:00:0b:0e:01"}
ID = f"interface:{CARD['mac']}"
# A guest that takes its time is looked at more often.
_MOST_CALLS = 6


def cards(guest: HardwareGuest) -> list[list[str]]:
    """Their addresses, as they run and as they are stored."""
    return [[str(one.values["mac"]) for one in guest.devices("interface", stored=stored)] for stored in (False, True)]


def links(guest: HardwareGuest) -> list[object]:
    return [
        one.values["link"]
        for stored in (False, True)
        for one in guest.devices("interface", stored=stored)
        if one.id == ID
    ]


def titles(guest: HardwareGuest) -> list[bool]:
    return ["<title>" in guest.xml(stored=stored) for stored in (False, True)]


def survives(
    guest: HardwareGuest, kind: str, is_so: Callable[[], bool], back: Callable[[], object], **parameters: Any
) -> int:
    """Dies after each call of the host in turn; how often it could."""
    for number in range(1, _MOST_CALLS + 1):
        operation = guest.ask(kind, **parameters)
        has_died = run_and_die_after_call(operation, number)
        ended = run_to_end(operation, seconds=150)
        assert ended.state == OperationState.SUCCEEDED, (kind, number, ended.outcome)
        assert is_so(), (kind, number, ended.outcome)
        # Delivered once more it does nothing, and nobody is held.
        assert run_operation(operation.pk) is None
        assert is_so(), (kind, number)
        assert not OperationLock.objects.filter(operation=operation).exists()
        if not has_died:
            return number - 1
        if number < _MOST_CALLS:
            back()
    return _MOST_CALLS


def test_a_worker_that_dies_after_any_call_changes_a_running_machine_once(portal: Portal, tmp_path: Path) -> None:
    with hardware_guest(portal, "hw-dying", tmp_path, start=True) as guest:
        [[own], [_own]] = cards(guest)

        def remove() -> Operation:
            return guest.do("remove_device", device_id=ID)

        def add() -> Operation:
            return guest.do("add_device", device_type="interface", values=CARD)

        def change(link: str) -> Operation:
            return guest.do("change_device", device_id=ID, device_type="interface", values={"link": link})

        def untitle() -> Operation:
            return guest.do("change_section", section="general", values={"title": ""})

        both = [[own, CARD["mac"]]] * 2
        assert survives(guest, "add_device", lambda: cards(guest) == both, remove, device_type="interface", values=CARD)
        assert survives(
            guest,
            "change_device",
            lambda: links(guest) == ["down", "down"],
            lambda: change("up"),
            device_id=ID,
            device_type="interface",
            values={"link": "down"},
        )
        assert survives(guest, "remove_device", lambda: cards(guest) == [[own]] * 2, add, device_id=ID)
        assert survives(
            guest,
            "change_section",
            lambda: titles(guest) == [True, True],
            untitle,
            section="general",
            values={"title": "once"},
        )
