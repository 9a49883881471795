"""The watcher's small parts: agenda, claims of machines, concurrency limits."""

import threading
from uuid import UUID

from hypervisors.inventory.sessions.agenda import Agenda
from hypervisors.inventory.sessions.concurrency_limits import ConcurrencyLimit
from hypervisors.inventory.sessions.host_claims import HostClaims

MACHINE = UUID(int=1)


def test_jobs_come_when_they_are_due_and_once() -> None:
    agenda = Agenda()
    agenda.add("later", after_seconds=0.05)
    agenda.add("now")
    agenda.add("now")
    assert agenda.next(1) == "now"
    assert agenda.next(0) is None
    assert agenda.next(1) == "later"
    assert agenda.next(0) is None


def test_the_earlier_time_counts() -> None:
    agenda = Agenda()
    agenda.add("job", after_seconds=60)
    agenda.add("job")
    agenda.add("job", after_seconds=60)
    assert agenda.next(0) == "job"
    assert agenda.next(0) is None


def test_a_waiting_thread_wakes_for_a_new_job() -> None:
    agenda, taken = Agenda(), []
    waiting = threading.Thread(target=lambda: taken.append(agenda.next(10)))
    waiting.start()
    agenda.add("job")
    waiting.join(5)
    assert taken == ["job"]


def test_a_machine_belongs_to_the_first_row_that_claims_it() -> None:
    claims = HostClaims()
    assert claims.claim(MACHINE, 1) is None
    assert claims.claim(MACHINE, 1) is None
    assert claims.claim(MACHINE, 2) == 1
    claims.release(1)
    assert claims.claim(MACHINE, 2) is None


def test_what_rows_say_counts_before_anybody_connected() -> None:
    claims = HostClaims()
    claims.seed({MACHINE: 2})
    assert claims.claim(MACHINE, 1) == 2
    assert claims.claim(UUID(int=2), 2) is None, "the row was pointed at another machine"
    assert claims.claim(MACHINE, 1) is None


def test_machines_without_an_id_are_never_the_same() -> None:
    claims = HostClaims()
    assert claims.claim(None, 1) is None
    assert claims.claim(None, 2) is None


def test_a_limit_lets_few_in_at_a_time() -> None:
    limit, entered = ConcurrencyLimit(1, lease_seconds=60), threading.Event()

    def enter() -> None:
        with limit.held():
            entered.set()

    with limit.held():
        second = threading.Thread(target=enter)
        second.start()
        assert not entered.wait(0.05)
    assert entered.wait(5)
    second.join()


def test_one_that_hangs_inside_a_limit_keeps_nobody_out() -> None:
    limit = ConcurrencyLimit(1, lease_seconds=0.01)
    with limit.held(), limit.held(), limit.held():
        pass
    assert limit._leases == {}
