"""Adding hosts whose test succeeds, against libvirt's test driver; the same machine twice."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from hypervisors.models import Hypervisor, HypervisorPool
from hypervisors.operations.hypervisors.connection_tests import (
    ConnectionCandidate,
    ConnectionTest,
    find_connection_test,
    queue_connection_test,
    run_connection_test,
)
from tests.hypervisor_forms import HTMX, polled, submit
from vmportal.celery import app

pytestmark = pytest.mark.usefixtures("tasks_at_once")
HOST_UUID = "11111111-2222-4333-8444-555555555555"


def test_a_host_that_answers_is_saved_after_its_test(operator: Client, hypervisor_pool: HypervisorPool) -> None:
    fields = {"name": "tester", "hypervisor_pool": hypervisor_pool.pk, "uri": "test:///default", "uri_by_hand": "on"}
    answer = submit(operator, reverse("hypervisor_add"), fields)
    row = Hypervisor.objects.get(name="tester")
    assert answer["HX-Redirect"] == row.get_absolute_url()
    assert row.uri == "test:///default"


def test_the_outcome_tells_what_was_found(operator: Client, db: None) -> None:
    fields = {"uri": "test:///default", "uri_by_hand": "on"}
    asked = operator.post(reverse("hypervisor_test"), fields, headers=HTMX)
    page = polled(operator, asked)
    assert 'data-state="succeeded"' in page
    assert "Connected to" in page
    assert not Hypervisor.objects.exists()


def finished_test(user: User, candidate: ConnectionCandidate, host_uuid: UUID) -> ConnectionTest:
    """A test of the test driver, which has no host UUID of its own, with one put into what it found."""
    test = queue_connection_test(user_id=user.pk, candidate=candidate)
    found = find_connection_test(test.id, user_id=user.pk)
    assert found is not None
    assert found.facts is not None
    found = replace(found, facts=replace(found.facts, host_uuid=host_uuid))
    cache.set(f"connection-test:{found.id}", found, 60)
    return found


def test_the_same_machine_twice_is_refused_naming_the_first(
    operator: Client, alice: User, make_hypervisor: Any, tmp_path: Path
) -> None:
    first = make_hypervisor(name="the <first>", host_uuid=HOST_UUID)
    test = finished_test(alice, ConnectionCandidate(uri="test:///default"), UUID(HOST_UUID))
    fields = {"name": "second", "hypervisor_pool": first.hypervisor_pool_id, "uri": "test:///default"}
    for extra in ({}, {"save_anyway": "1"}):
        answer = operator.post(
            reverse("hypervisor_add"), {**fields, "uri_by_hand": "on", "test": test.id, **extra}, headers=HTMX
        )
        assert "the &lt;first&gt;" in answer.content.decode()
        assert 'data-state="twin"' in answer.content.decode()
    assert Hypervisor.objects.count() == 1


def test_what_was_found_is_kept_with_the_row(operator: Client, alice: User, hypervisor_pool: HypervisorPool) -> None:
    test = finished_test(alice, ConnectionCandidate(uri="test:///default"), UUID(HOST_UUID))
    fields = {"name": "h", "hypervisor_pool": hypervisor_pool.pk, "uri": "test:///default", "uri_by_hand": "on"}
    operator.post(reverse("hypervisor_add"), {**fields, "test": test.id}, headers=HTMX)
    assert Hypervisor.objects.get(name="h").host_uuid == UUID(HOST_UUID)


def test_the_message_to_the_worker_tells_no_secret(redis_client: Any, alice: User) -> None:
    app.conf.task_always_eager = False
    queue_connection_test(
        user_id=alice.pk, candidate=ConnectionCandidate(uri="qemu+tcp://h/system", sasl_password="s3cr3t")
    )
    (message,) = redis_client.lrange("operations", 0, -1)
    assert b"s3cr3t" not in message
    everything = b"".join(redis_client.get(key) or b"" for key in redis_client.keys("*connection-test*"))
    assert everything
    assert b"s3cr3t" not in everything


def test_a_test_delivered_twice_is_done_once(alice: User) -> None:
    candidate = ConnectionCandidate(uri="test:///default")
    test = queue_connection_test(user_id=alice.pk, candidate=candidate)
    done = find_connection_test(test.id, user_id=alice.pk)
    run_connection_test(test.id, ConnectionCandidate(uri="qemu+tcp://127.0.0.1:1/system").sealed())
    assert find_connection_test(test.id, user_id=alice.pk) == done


def test_another_key_at_the_worker_is_said(alice: User) -> None:
    test = queue_connection_test(user_id=alice.pk, candidate=ConnectionCandidate(uri="test:///default"))
    cache.set(f"connection-test:{test.id}", replace(test, state="queued"), 60)
    run_connection_test(test.id, "gibberish")
    found = find_connection_test(test.id, user_id=alice.pk)
    assert found is not None
    assert (found.state, found.failure) == ("failed", "OtherKey")


def test_nobody_elses_test_is_found(alice: User, charlie: User) -> None:
    test = queue_connection_test(user_id=alice.pk, candidate=ConnectionCandidate(uri="test:///default"))
    assert find_connection_test(test.id, user_id=charlie.pk) is None
