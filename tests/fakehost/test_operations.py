"""Operations from the request to the outcome, on libvirt's test driver; asserted by what libvirt says afterwards."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import libvirt
import pytest
import redis
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from hypervisors.errors import Conflict, NotPossible
from hypervisors.gateway.connections import cached_connection
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import Domain, Hypervisor, Operation
from hypervisors.operations.engine import records
from hypervisors.operations.engine.queues import QUEUES
from hypervisors.operations.engine.requests import request_cancel, request_operation, why_not
from hypervisors.operations.engine.runner import run_operation
from hypervisors.operations.engine.sweep import Sweeper
from hypervisors.states import DomainState, HypervisorStatus, OperationState
from tests.rows import make_operation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]

NASTY_NAMES = ['o\'brien "quoted"', "100% <b>bold & co", "münchen 😀", "a" * 200, "-rf", "$(reboot)", "a\\b;c|d"]

_NODE = """<node>
  <domain type="test"><name>{name}</name><uuid>{uuid}</uuid><memory>131072</memory><vcpu>1</vcpu>
    <os><type>hvm</type></os>
    <test:runstate xmlns:test="http://libvirt.org/schemas/domain/test/1.0">5</test:runstate>
  </domain>
</node>"""


class FakeHost:
    """A hypervisor of the test driver with one machine that is shut off, and that machine as libvirt has it."""

    def __init__(self, hypervisor: Hypervisor, domain: Domain) -> None:
        self.hypervisor = hypervisor
        self.domain = domain

    @property
    def libvirt_domain(self) -> "libvirt.virDomain":
        return cached_connection(endpoint_of(self.hypervisor)).raw.lookupByUUID(self.domain.uuid.bytes)

    @property
    def state(self) -> int:
        return int(self.libvirt_domain.state()[0])

    def mirror(self) -> None:
        """Write what the watcher would."""
        names = {libvirt.VIR_DOMAIN_RUNNING: "running", libvirt.VIR_DOMAIN_PAUSED: "paused"}
        self.domain.state = names.get(self.state, "shutoff")
        self.domain.name = self.libvirt_domain.name()
        self.domain.has_managed_save = bool(self.libvirt_domain.hasManagedSaveImage(0))
        self.domain.save()


@pytest.fixture
def fake_host(
    tmp_path: Path, make_hypervisor: Callable[..., Hypervisor], make_domain: Callable[..., Domain]
) -> FakeHost:
    uuid = UUID("4dea22b3-1d52-d8f3-2516-782e98ab3fa0")
    (tmp_path / "node.xml").write_text(_NODE.format(name="web1", uuid=uuid))
    hypervisor = make_hypervisor(uri=f"test://{tmp_path}/node.xml")
    return FakeHost(hypervisor, make_domain(uuid=uuid, name="web1", hypervisor=hypervisor))


@pytest.fixture
def do(fake_host: FakeHost, alice: User) -> Callable[..., Operation]:
    """Have alice ask for it, do it to its end, and mirror what came of it."""

    def ask_and_do(kind: str, **parameters: Any) -> Operation:
        operation = request_operation(user=alice, subject=fake_host.domain, kind=kind, parameters=parameters)
        run_to_end(operation)
        fake_host.mirror()
        return operation

    return ask_and_do


def run_to_end(operation: Operation) -> None:
    """Deliver it whenever it wants to be, as the queue does."""
    while (again_in_seconds := run_operation(operation.pk)) is not None:
        time.sleep(again_in_seconds)
    operation.refresh_from_db()


def test_a_life_from_start_to_off(fake_host: FakeHost, do: Callable[..., Operation]) -> None:
    steps = [
        ("start", libvirt.VIR_DOMAIN_RUNNING),
        ("pause", libvirt.VIR_DOMAIN_PAUSED),
        ("resume", libvirt.VIR_DOMAIN_RUNNING),
        ("shut_down", libvirt.VIR_DOMAIN_SHUTOFF),
        ("start", libvirt.VIR_DOMAIN_RUNNING),
        ("save", libvirt.VIR_DOMAIN_SHUTOFF),
        ("start", libvirt.VIR_DOMAIN_RUNNING),
        ("force_off", libvirt.VIR_DOMAIN_SHUTOFF),
    ]
    for kind, state in steps:
        operation = do(kind)
        assert (operation.state, fake_host.state) == (OperationState.SUCCEEDED, state), (kind, operation.outcome)
        assert operation.started_at is not None
        assert operation.ended_at is not None
        assert operation.outcome


def test_a_saved_state_can_be_discarded(fake_host: FakeHost, do: Callable[..., Operation]) -> None:
    do("start")
    do("save")
    assert fake_host.libvirt_domain.hasManagedSaveImage(0)
    assert do("discard_saved").state == OperationState.SUCCEEDED
    assert not fake_host.libvirt_domain.hasManagedSaveImage(0)


def test_autostart_title_and_description_are_set(fake_host: FakeHost, do: Callable[..., Operation]) -> None:
    assert do("set_autostart", enabled=True).state == OperationState.SUCCEEDED
    assert fake_host.libvirt_domain.autostart() == 1
    described = do("describe", title='Web <1> & "co"', description="first line\nsecond 😀")
    assert described.state == OperationState.SUCCEEDED, described.outcome
    read = [
        fake_host.libvirt_domain.metadata(kind, None, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        for kind in (libvirt.VIR_DOMAIN_METADATA_TITLE, libvirt.VIR_DOMAIN_METADATA_DESCRIPTION)
    ]
    assert read == ['Web <1> & "co"', "first line\nsecond 😀"]


@pytest.mark.parametrize("name", NASTY_NAMES)
def test_nasty_names_are_taken_exactly(name: str, fake_host: FakeHost, do: Callable[..., Operation]) -> None:
    operation = do("rename", name=name)
    assert (operation.state, fake_host.libvirt_domain.name()) == (OperationState.SUCCEEDED, name), operation.outcome


def test_what_libvirt_refuses_fails_with_what_it_said(fake_host: FakeHost, do: Callable[..., Operation]) -> None:
    fake_host.libvirt_domain.create()
    # The mirror has not seen it yet.
    operation = do("rename", name="other")
    assert operation.state == OperationState.FAILED
    assert operation.outcome.startswith("Could not rename web1: ")
    assert fake_host.libvirt_domain.name() == "web1"


def test_what_is_done_already_has_succeeded(fake_host: FakeHost, do: Callable[..., Operation]) -> None:
    fake_host.libvirt_domain.create()
    assert do("start").state == OperationState.SUCCEEDED


def test_a_second_click_is_told_who_holds_the_machine(fake_host: FakeHost, alice: User, dora: User) -> None:
    request_operation(user=alice, subject=fake_host.domain, kind="start")
    with pytest.raises(Conflict, match=r"“Start”, asked for by alice at .* is waiting to be done on web1"):
        request_operation(user=dora, subject=fake_host.domain, kind="start")
    assert Operation.objects.count() == 1


def test_two_requests_at_the_same_moment_file_one_operation(fake_host: FakeHost, alice: User) -> None:
    outcomes: list[str] = []
    start_line = threading.Barrier(4)

    def click() -> None:
        start_line.wait()
        try:
            request_operation(user=alice, subject=fake_host.domain, kind="start")
            outcomes.append("filed")
        # Refused by the row that is there, or by the index that met it.
        except (Conflict, NotPossible):
            outcomes.append("refused")
        finally:
            connection.close()

    _all_at_once(click, 4)
    assert sorted(outcomes) == ["filed", "refused", "refused", "refused"]
    assert Operation.objects.count() == 1


def test_delivered_many_times_at_once_it_is_done_once(fake_host: FakeHost, alice: User) -> None:
    operation = request_operation(user=alice, subject=fake_host.domain, kind="start")

    def deliver() -> None:
        run_operation(operation.pk)
        connection.close()

    _all_at_once(deliver, 4)
    run_to_end(operation)
    assert (operation.state, operation.attempt) == (OperationState.SUCCEEDED, 1)


def test_one_host_gets_half_of_the_slots(fake_host: FakeHost, alice: User, make_domain: Callable[..., Domain]) -> None:
    for _number in range(QUEUES["operations"].slots_per_hypervisor):
        _running_operation(make_domain(hypervisor=fake_host.hypervisor), alice)
    operation = request_operation(user=alice, subject=fake_host.domain, kind="start")
    assert run_operation(operation.pk) is not None
    operation.refresh_from_db()
    assert operation.state == OperationState.QUEUED
    assert fake_host.hypervisor.name in operation.progress[records.NOTE]
    # A second delivery does not make it come twice from now on, nor does the sweep.
    assert run_operation(operation.pk) is None
    Operation.objects.filter(pk=operation.pk).update(requested_at=timezone.now() - timedelta(seconds=60))
    assert Sweeper(lambda _id, _kind: True).sweep() == 0
    Operation.objects.filter(state=OperationState.RUNNING).update(state=OperationState.SUCCEEDED)
    run_to_end(operation)
    assert operation.state == OperationState.SUCCEEDED


def test_waiting_for_a_guest_holds_no_slot_and_gives_way_to_force_off(
    fake_host: FakeHost, alice: User, dora: User, do: Callable[..., Operation], monkeypatch: pytest.MonkeyPatch
) -> None:
    do("start")
    waiting = _waiting_shut_down(fake_host, alice)
    monkeypatch.setitem(QUEUES, "operations", replace(QUEUES["operations"], slots_per_hypervisor=1))
    assert not records._are_slots_busy(Operation(kind="start"), fake_host.hypervisor)
    with pytest.raises(Conflict):
        request_operation(user=dora, subject=fake_host.domain, kind="reboot")
    assert why_not(fake_host.domain, "force_off") == ""
    forced = request_operation(user=dora, subject=fake_host.domain, kind="force_off")
    waiting.refresh_from_db()
    assert waiting.state == OperationState.CANCELLED
    assert waiting.outcome == "Superseded by “Force off”, asked for by dora."
    run_to_end(forced)
    assert (forced.state, fake_host.state) == (OperationState.SUCCEEDED, libvirt.VIR_DOMAIN_SHUTOFF)
    assert run_operation(waiting.pk) is None


def test_a_guest_that_does_not_listen_fails_the_shut_down(
    fake_host: FakeHost, alice: User, do: Callable[..., Operation]
) -> None:
    do("start")
    waiting = _waiting_shut_down(fake_host, alice, timeout_seconds=1)
    run_to_end(waiting)
    assert waiting.state == OperationState.FAILED
    assert "Force it off, or try again" in waiting.outcome
    assert fake_host.state == libvirt.VIR_DOMAIN_RUNNING


def test_a_waiting_shut_down_can_be_cancelled(fake_host: FakeHost, alice: User, do: Callable[..., Operation]) -> None:
    do("start")
    waiting = _waiting_shut_down(fake_host, alice)
    request_cancel(waiting, user=alice)
    run_to_end(waiting)
    assert waiting.state == OperationState.CANCELLED
    assert fake_host.state == libvirt.VIR_DOMAIN_RUNNING


def test_a_queued_operation_is_cancelled_at_once(fake_host: FakeHost, alice: User) -> None:
    operation = request_operation(user=alice, subject=fake_host.domain, kind="start")
    request_cancel(operation, user=alice)
    operation.refresh_from_db()
    assert (operation.state, operation.outcome) == (
        OperationState.CANCELLED,
        "Cancelled by alice before it began.",
    )
    assert run_operation(operation.pk) is None
    assert fake_host.state == libvirt.VIR_DOMAIN_SHUTOFF
    with pytest.raises(NotPossible, match="over already"):
        request_cancel(operation, user=alice)


def test_a_start_cannot_be_cancelled_once_it_runs(fake_host: FakeHost, alice: User) -> None:
    operation = _running_operation(fake_host.domain, alice)
    with pytest.raises(NotPossible, match="cannot be stopped"):
        request_cancel(operation, user=alice)


def test_a_host_that_went_away_meanwhile_fails_it_fast(fake_host: FakeHost, alice: User) -> None:
    operation = request_operation(user=alice, subject=fake_host.domain, kind="start")
    Hypervisor.objects.filter(pk=fake_host.hypervisor.pk).update(status=HypervisorStatus.OFFLINE)
    run_to_end(operation)
    assert operation.state == OperationState.FAILED
    assert "is offline; it was last seen at" in operation.outcome


@pytest.mark.parametrize("was_done", [True, False])
def test_a_run_that_died_is_decided_by_looking(was_done: bool, fake_host: FakeHost, alice: User) -> None:
    if was_done:
        fake_host.libvirt_domain.create()
    operation = _running_operation(fake_host.domain, alice, silent_for_seconds=records.STALE_SECONDS + 1)
    run_to_end(operation)
    assert operation.state == (OperationState.SUCCEEDED if was_done else OperationState.INTERRUPTED)
    assert fake_host.state == (libvirt.VIR_DOMAIN_RUNNING if was_done else libvirt.VIR_DOMAIN_SHUTOFF)


def test_a_run_that_lives_is_left_alone(fake_host: FakeHost, alice: User) -> None:
    operation = _running_operation(fake_host.domain, alice)
    assert run_operation(operation.pk) is None
    operation.refresh_from_db()
    assert (operation.state, operation.attempt) == (OperationState.RUNNING, 1)


def test_the_sweep_delivers_what_was_left_lying_and_nothing_else(
    fake_host: FakeHost, alice: User, make_domain: Callable[..., Domain]
) -> None:
    fresh = request_operation(user=alice, subject=fake_host.domain, kind="start")
    forgotten = request_operation(user=alice, subject=make_domain(), kind="start")
    Operation.objects.filter(pk=forgotten.pk).update(requested_at=timezone.now() - timedelta(seconds=30))
    silent = _running_operation(make_domain(), alice, silent_for_seconds=30)
    alive = _running_operation(make_domain(), alice)
    delivered: list[UUID] = []
    sweeper = Sweeper(lambda operation_id, _kind: not delivered.append(operation_id))
    sweeper.sweep()
    sweeper.sweep()
    assert sorted(delivered, key=str) == sorted([forgotten.pk, silent.pk], key=str)
    assert {fresh.pk, alive.pk}.isdisjoint(delivered)


def test_a_sweep_without_redis_delivers_nothing_and_remembers_nothing(
    fake_host: FakeHost, alice: User, settings: Any
) -> None:
    silent = _running_operation(fake_host.domain, alice, silent_for_seconds=30)
    delivered: list[UUID] = []
    sweeper = Sweeper(lambda operation_id, _kind: not delivered.append(operation_id))
    with_redis = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert sweeper.sweep() == 0
    settings.REDIS_URL = with_redis
    assert sweeper.sweep() == 1
    assert delivered == [silent.pk]


def test_a_request_does_not_wait_for_a_queue_that_is_away(
    fake_host: FakeHost, alice: User, redis_client: redis.Redis
) -> None:
    redis_client.client_pause(4000)  # type: ignore[no-untyped-call]
    try:
        began = time.monotonic()
        operation = request_operation(user=alice, subject=fake_host.domain, kind="start")
        assert time.monotonic() - began < 3
    finally:
        redis_client.client_unpause()
    assert Operation.objects.get(pk=operation.pk).state == OperationState.QUEUED


def _running_operation(domain: Domain, user: User, *, silent_for_seconds: float = 0) -> Operation:
    """A start that some worker took up and last beat for so long ago."""
    beat = timezone.now() - timedelta(seconds=silent_for_seconds)
    return make_operation(
        kind="start",
        domain=domain,
        subject_name=domain.name,
        hypervisor=domain.hypervisor,
        requested_by=user,
        state=OperationState.RUNNING,
        started_at=beat,
        heartbeat_at=beat,
        attempt=1,
    )


def _waiting_shut_down(fake_host: FakeHost, user: User, *, timeout_seconds: float = 120) -> Operation:
    """A shut down that was asked of the guest and waits: the test driver's guests would obey at once."""
    assert fake_host.domain.state == DomainState.RUNNING
    operation = request_operation(
        user=user,
        subject=fake_host.domain,
        kind="shut_down",
        parameters={"timeout_seconds": timeout_seconds},
    )
    beat = timezone.now() - timedelta(seconds=1)
    Operation.objects.filter(pk=operation.pk).update(
        state=OperationState.RUNNING,
        attempt=1,
        started_at=beat,
        heartbeat_at=beat,
        progress={records.PARKED: True, "asked_at": beat.timestamp()},
    )
    operation.refresh_from_db()
    return operation


def _all_at_once(call: Callable[[], None], count: int) -> None:
    threads = [threading.Thread(target=call) for _number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
