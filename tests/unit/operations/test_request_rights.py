"""Who may ask for what is decided where it is asked for, whatever page, command or socket it comes from."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hypervisors.errors import NotPermitted
from hypervisors.models import Domain, HypervisorPool, Operation
from hypervisors.models.access import AuditRecord
from hypervisors.models.stock_roles import OPERATOR, VM_USER
from hypervisors.operations.engine.registry import types_for
from hypervisors.operations.engine.requests import request_cancel, request_of_many, request_operation
from hypervisors.states import DomainState
from tests.roles import bind

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


@pytest.mark.parametrize("kind", [found.kind for found in types_for("domain")])
def test_a_viewer_is_refused_and_the_refusal_is_recorded(kind: str, domain: Domain, bob: User) -> None:
    with pytest.raises(NotPermitted, match="your role does not allow this") as refusal:
        request_operation(user=bob, kind=kind, subject=domain)
    assert refusal.value.is_visible
    record = AuditRecord.objects.latest("pk")
    assert (record.actor, record.action, record.outcome) == (bob, kind, "refused")
    assert (record.subject_type, record.subject_key) == ("domain", str(domain.uuid))
    assert not Operation.objects.exists()


def test_a_stranger_learns_nothing(domain: Domain, charlie: User) -> None:
    with pytest.raises(NotPermitted) as refusal:
        request_operation(user=charlie, kind="start", subject=domain)
    assert not refusal.value.is_visible
    assert domain.name not in str(refusal.value)


def test_who_uses_a_machine_may_not_move_it(domain: Domain, charlie: User, client: Client) -> None:
    bind(charlie, VM_USER, domain)
    assert request_operation(user=charlie, kind="start", subject=domain)
    with pytest.raises(NotPermitted):
        request_operation(user=charlie, kind="migrate", subject=domain)
    client.force_login(charlie)
    assert client.get(f"/vms/{domain.uuid}/migrate/").status_code == 403
    assert "Migrate" not in client.get(f"/vms/{domain.uuid}/buttons/").content.decode()


def test_an_operator_of_one_pool_operates_that_pool(
    domain: Domain, charlie: User, make_domain: Callable[..., Domain], make_hypervisor: Callable[..., object]
) -> None:
    elsewhere = make_domain(
        name="far", hypervisor=make_hypervisor(hypervisor_pool=HypervisorPool.objects.create(name="rack two"))
    )
    bind(charlie, OPERATOR, domain.hypervisor.hypervisor_pool)  # type: ignore[union-attr]
    assert request_operation(user=charlie, kind="start", subject=domain)
    with pytest.raises(NotPermitted) as refusal:
        request_operation(user=charlie, kind="start", subject=elsewhere)
    assert not refusal.value.is_visible


def test_of_many_only_those_are_asked_that_one_may_operate(
    domain: Domain, bob: User, make_domain: Callable[..., Domain]
) -> None:
    mine = [make_domain(name="mine1"), make_domain(name="mine2")]
    for one in mine:
        bind(bob, VM_USER, one)
    bulk = request_of_many(user=bob, kind="start", subjects=[domain, *mine])
    assert {operation.subject_name for operation in bulk.accepted} == {"mine1", "mine2"}
    assert bulk.refusals == [(domain, "You may look at this machine, but not operate it.")]


def test_only_who_may_ask_for_it_may_cancel_it(domain: Domain, alice: User, bob: User) -> None:
    operation = request_operation(user=alice, kind="start", subject=domain)
    with pytest.raises(NotPermitted):
        request_cancel(operation, user=bob)
    operation.refresh_from_db()
    assert operation.state == "queued"
    request_cancel(operation, user=alice)
    assert AuditRecord.objects.latest("pk").action == "cancel start"


def test_what_is_asked_for_is_recorded_with_its_parameters(alice: User, make_domain: Callable[..., Domain]) -> None:
    running = make_domain(name="web7", state=DomainState.RUNNING)
    operation = request_operation(user=alice, kind="shut_down", subject=running, parameters={"timeout_seconds": 30})
    record = AuditRecord.objects.latest("pk")
    assert (record.actor, record.action, record.subject_name) == (alice, "shut_down", "web7")
    assert record.after == {"timeout_seconds": 30}
    assert str(operation.pk) in record.detail
