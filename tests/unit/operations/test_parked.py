"""An operation that nobody holds: it goes on when it is delivered again, once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from hypervisors.models import Domain, Operation
from hypervisors.operations.engine import records
from hypervisors.operations.engine.records import Claim
from hypervisors.states import OperationState

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


@pytest.fixture
def parked(make_domain: Callable[..., Domain], alice: User) -> Operation:
    """A worker looked a moment ago; the clock's next quarter of a second is far away for a test."""
    domain = make_domain(name="vm1")
    return Operation.objects.create(
        kind="start",
        domain=domain,
        hypervisor=domain.hypervisor,
        subject_name=domain.name,
        requested_by=alice,
        state=OperationState.RUNNING,
        attempt=1,
        heartbeat_at=timezone.now() + timedelta(minutes=1),
        progress={records.PARKED: True, "percent": 50},
    )


def progress_of(operation: Operation) -> dict[str, Any]:
    operation.refresh_from_db()
    return dict(operation.progress)


def test_a_delivery_right_after_a_look_is_passed_over(parked: Operation) -> None:
    assert records.claim(parked.pk) is None


def test_once_what_it_waited_for_has_happened_the_next_delivery_counts_and_only_that(parked: Operation) -> None:
    records.note_due(parked.pk)
    claimed = records.claim(parked.pk)
    assert isinstance(claimed, Claim)
    assert claimed.resumed
    assert progress_of(parked) == {"percent": 50}
    assert records.claim(parked.pk) is None


def test_what_a_runner_holds_is_not_marked(parked: Operation) -> None:
    Operation.objects.update(progress={"percent": 50})
    records.note_due(parked.pk)
    assert progress_of(parked) == {"percent": 50}
