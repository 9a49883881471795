"""Bulk requests: one parent, one bar, one outcome, whatever becomes of its children."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from hypervisors.errors import NotPossible
from hypervisors.models import Domain, Operation, OperationLock
from hypervisors.operations.engine import records
from hypervisors.operations.engine.parents import end_parents_left_open
from hypervisors.operations.engine.requests import BulkRequest, preflight, request_cancel, request_of_many
from hypervisors.operations.engine.sweep import Sweeper
from hypervisors.states import DomainState, OperationState
from tests.roles import bind

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]


@pytest.fixture
def three(make_domain: Callable[..., Domain]) -> list[Domain]:
    return [make_domain(name=name) for name in ("vm1", "vm2", "vm3")]


@pytest.fixture
def bulk(three: list[Domain], alice: User) -> BulkRequest:
    return request_of_many(user=alice, kind="start", subjects=three)


def end(operation: Operation, state: OperationState) -> None:
    """End it as its runner would."""
    Operation.objects.filter(pk=operation.pk).update(state=OperationState.RUNNING, attempt=1)
    operation.refresh_from_db()
    assert records.finish(operation, state, "It is over.", {})


def test_a_bulk_request_is_one_parent_with_a_child_for_each(
    bulk: BulkRequest, three: list[Domain], alice: User
) -> None:
    assert bulk.parent is not None
    assert bulk.parent.subject_name == "3 virtual machines"
    assert {child.subject_name for child in bulk.parent.children.all()} == {"vm1", "vm2", "vm3"}
    assert [operation.pk for operation in Operation.objects.top_level_for(alice)] == [bulk.parent.pk]
    assert set(OperationLock.objects.values_list("key", flat=True)) == {f"domain:{domain.uuid}" for domain in three}


def test_parts_stand_alone_for_who_may_see_them_but_not_the_request(
    bulk: BulkRequest, three: list[Domain], alice: User, bob: User, client: Client
) -> None:
    bind(bob, "vm-user", three[1])
    client.force_login(bob)
    assert [task["subject_name"] for task in client.get("/tasks/").json()["tasks"]] == ["vm2"]
    page = client.get("/operations/").content.decode()
    assert "vm2" in page
    assert "vm1" not in page
    assert bulk.parent is not None
    assert client.get("/operations/", {"only": str(bulk.parent.pk)}).status_code == 404
    client.force_login(alice)
    assert [task["id"] for task in client.get("/tasks/").json()["tasks"]] == [str(bulk.parent.pk)]
    part = bulk.accepted[0]
    only = client.get("/operations/", {"only": str(part.pk)}).content.decode()
    assert [name in only for name in ("vm1", "vm2", "vm3")] == [
        name == part.subject_name for name in ("vm1", "vm2", "vm3")
    ]


def test_one_alone_needs_no_parent(domain: Domain, alice: User) -> None:
    bulk = request_of_many(user=alice, kind="start", subjects=[domain])
    assert bulk.parent is None
    assert [operation.parent for operation in bulk.accepted] == [None]


def test_who_is_refused_is_named_with_the_reason_and_kept(
    three: list[Domain], alice: User, make_domain: Callable[..., Domain]
) -> None:
    running = make_domain(name="runs", state=DomainState.RUNNING)
    bulk = request_of_many(user=alice, kind="start", subjects=[*three, running])
    assert bulk.refusals == [(running, "It is running.")]
    assert bulk.parent is not None
    assert bulk.parent.parameters["refused"] == [{"name": "runs", "reason": "It is running."}]


def test_nothing_is_filed_when_all_are_refused(alice: User, make_domain: Callable[..., Domain]) -> None:
    running = [make_domain(state=DomainState.RUNNING), make_domain(state=DomainState.RUNNING)]
    bulk = request_of_many(user=alice, kind="start", subjects=running)
    assert (bulk.parent, len(bulk.refusals), Operation.objects.count()) == (None, 2, 0)


def test_the_bar_follows_the_children(bulk: BulkRequest) -> None:
    parent = bulk.parent
    assert parent is not None
    first, second, third = bulk.accepted
    end(first, OperationState.SUCCEEDED)
    end(second, OperationState.FAILED)
    parent.refresh_from_db()
    assert parent.state == OperationState.RUNNING
    assert parent.progress == {"percent": 67, "children": {"total": 3, "done": 1, "failed": 1}}
    end(third, OperationState.SUCCEEDED)
    parent.refresh_from_db()
    assert (parent.state, parent.outcome) == (OperationState.FAILED, "2 done, 1 failed.")
    assert parent.ended_at is not None
    assert not OperationLock.objects.exists()


def test_children_that_end_at_the_same_moment_end_the_parent(bulk: BulkRequest) -> None:
    barrier = threading.Barrier(3)

    def finish(child: Operation) -> None:
        barrier.wait()
        end(child, OperationState.SUCCEEDED)
        connection.close()

    threads = [threading.Thread(target=finish, args=(child,)) for child in bulk.accepted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bulk.parent is not None
    bulk.parent.refresh_from_db()
    assert (bulk.parent.state, bulk.parent.outcome) == (OperationState.SUCCEEDED, "3 done.")


def test_cancelling_the_parent_cancels_what_waits(bulk: BulkRequest, alice: User) -> None:
    assert bulk.parent is not None
    end(bulk.accepted[0], OperationState.SUCCEEDED)
    request_cancel(bulk.parent, user=alice)
    bulk.parent.refresh_from_db()
    assert (bulk.parent.state, bulk.parent.outcome) == (OperationState.SUCCEEDED, "1 done, 2 cancelled.")
    with pytest.raises(NotPossible, match="over already"):
        request_cancel(bulk.parent, user=alice)


def test_a_parent_whose_children_cannot_be_stopped_says_so(bulk: BulkRequest, alice: User) -> None:
    assert bulk.parent is not None
    Operation.objects.exclude(parent=None).update(state=OperationState.RUNNING)
    with pytest.raises(NotPossible, match="cannot be stopped once it has begun"):
        request_cancel(bulk.parent, user=alice)


def test_the_sweep_ends_a_parent_that_nobody_told(bulk: BulkRequest) -> None:
    assert bulk.parent is not None
    assert end_parents_left_open() == 0
    Operation.objects.exclude(parent=None).update(state=OperationState.SUCCEEDED)
    long_ago = timezone.now() - timedelta(seconds=60)
    Operation.objects.filter(pk=bulk.parent.pk).update(heartbeat_at=long_ago, requested_at=long_ago)
    delivered: list[object] = []
    Sweeper(lambda operation_id, _kind: not delivered.append(operation_id)).sweep()
    bulk.parent.refresh_from_db()
    assert (bulk.parent.state, delivered) == (OperationState.SUCCEEDED, [])


def test_many_are_looked_at_with_three_queries(
    three: list[Domain], alice: User, django_assert_max_num_queries: Callable[[int], object]
) -> None:
    request_of_many(user=alice, kind="start", subjects=three[:1])
    rows = list(Domain.objects.select_related("hypervisor"))
    with django_assert_max_num_queries(3):  # type: ignore[attr-defined]
        reasons = preflight(kind="start", subjects=rows, user=alice)
    assert sorted(reason[:7] for reason in reasons.values()) == ["", "", "“Start”"]


def test_the_drawer_shows_the_parent_and_its_children_when_asked(bulk: BulkRequest, operator: Client) -> None:
    assert bulk.parent is not None
    (parent,) = operator.get("/tasks/").json()["tasks"]
    assert (parent["label"], parent["subject_name"]) == ("Start", "3 virtual machines")
    assert parent["progress"]["children"] == {"total": 3, "done": 0, "failed": 0}
    children = operator.get(f"/tasks/?parent={bulk.parent.pk}").json()["tasks"]
    assert [child["subject_name"] for child in children] == ["vm1", "vm2", "vm3"]
    page = operator.get(f"/operations/?parent={bulk.parent.pk}")
    assert {row.subject_name for row in page.context["page"]} == {"vm1", "vm2", "vm3"}
