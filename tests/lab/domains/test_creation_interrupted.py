"""A machine of three disks whose creation is killed at each write: afterwards all of it is there, or nothing."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from hypervisors.models import Installation, Operation, OperationLock
from hypervisors.operations.engine import records
from hypervisors.operations.engine.records import RecordsAway
from hypervisors.operations.engine.requests import request_cancel
from hypervisors.operations.engine.runner import run_operation
from hypervisors.states import OperationState
from tests.lab.domains.creations import MIB, Creator, creator, make_stale, run_to_end
from tests.lab.portals import Portal

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ()

# Each step is written down when it begins and when it is done.
STEPS = ("check", "disk_1", "disk_2", "disk_3", "file_1", "define", "note_installation", "start", "tell_hosts")
Arrange = Callable[[int], None]


class Killed(BaseException):
    """The worker is gone."""


@pytest.fixture
def made(portal: Portal) -> Iterator[Creator]:
    with creator(portal) as found:
        yield found


@pytest.fixture
def kill_before_write(monkeypatch: pytest.MonkeyPatch) -> Arrange:
    """The worker dies before it writes the steps down for the n-th time: what it did last is known to nobody.

    Every third time it is the database that is away, which ends the run as well.
    """
    original = records.note_steps

    def arrange(number: int) -> None:
        error = RecordsAway("The database is away.") if number % 3 == 0 else Killed()
        left = [number]

        def note_steps(*arguments: Any) -> None:
            left[0] -= 1
            if left[0] == 0:
                monkeypatch.setattr(records, "note_steps", original)
                raise error
            original(*arguments)

        monkeypatch.setattr(records, "note_steps", note_steps)

    return arrange


def three_disks(made: Creator, name: str) -> dict[str, Any]:
    image = made.mirrored("base.qcow2")
    pool = made.storage_pool.pk
    disks = [
        {"action": "new", "storage_pool_id": pool, "capacity_bytes": 16 * MIB},
        {"action": "overlay", "storage_pool_id": pool, "source_volume_id": image.pk},
        {"action": "copy", "storage_pool_id": pool, "source_volume_id": image.pk, "capacity_bytes": 32 * MIB},
    ]
    return made.given(name, disks=disks, start=True, cloud_init={"user": "anna", "password": "geheim"})


def killed(made: Creator, given: dict[str, Any], arrange: Arrange, number: int) -> Operation:
    operation = made.ask(given)
    arrange(number)
    with suppress(Killed):
        assert run_operation(operation.pk) is None
    make_stale(operation)
    operation.refresh_from_db()
    assert operation.state == OperationState.RUNNING
    return operation


def test_the_next_worker_makes_the_whole_of_it(made: Creator, kill_before_write: Arrange) -> None:
    made.put("base.qcow2", content=b"an image")
    before = made.volumes()
    for number in range(1, 2 * len(STEPS) + 1):
        name = f"killed-{number}"
        operation = run_to_end(killed(made, three_disks(made, name), kill_before_write, number))
        assert operation.state == OperationState.SUCCEEDED, (number, operation.outcome)
        assert made.host.virsh("domstate", name) == "running"
        expected = [f"{name}{end}" for end in ("-2.qcow2", "-3.qcow2", "-seed.iso", ".qcow2")]
        assert made.volumes() == sorted([*before, *expected])
        assert made.image(f"{name}-3.qcow2")["virtual-size"] == 32 * MIB
        assert not OperationLock.objects.exists()
        assert "cloud_init" not in operation.parameters
        made.remove(name)


def test_cancelled_meanwhile_nothing_is_left(made: Creator, kill_before_write: Arrange) -> None:
    made.put("base.qcow2", content=b"an image")
    before = made.volumes()
    for number in range(2, 2 * len(STEPS) + 1, 2):
        name = f"cancelled-{number}"
        operation = killed(made, three_disks(made, name), kill_before_write, number)
        request_cancel(operation, user=made.portal.alice)
        operation = run_to_end(operation)
        assert operation.state == OperationState.CANCELLED, (number, operation.outcome)
        assert "could not be undone" not in operation.outcome, (number, operation.outcome)
        assert (made.volumes(), name in made.names()) == (before, False), number
        assert not OperationLock.objects.exists()
        assert not Installation.objects.exists()


def test_killed_while_it_undoes_nothing_is_left_either(made: Creator, kill_before_write: Arrange) -> None:
    made.put("base.qcow2", content=b"an image")
    before = made.volumes()
    for number in range(1, 2 * len(STEPS) + 1, 3):
        operation = killed(made, three_disks(made, f"undone-{number}"), kill_before_write, 2 * len(STEPS))
        request_cancel(operation, user=made.portal.alice)
        kill_before_write(number)
        with suppress(Killed):
            assert run_operation(operation.pk) is None
        make_stale(operation)
        operation = run_to_end(operation)
        assert operation.state == OperationState.CANCELLED, (number, operation.outcome)
        assert (made.volumes(), f"undone-{number}" in made.names()) == (before, False), (number, operation.outcome)
